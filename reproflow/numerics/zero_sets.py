"""Where a function is zero, and where it only lacks the digits to be told from zero.

In floating point a positive function is zero where it is too small for a number (it underflows: exp(-1/x²) around 0) or
where it is the difference of two numbers that are equal to the last digit (1 - a² for a near 1). Either way it leaves
zero by a step, up to its least number, and climbs on in steps; a function that is really zero on a set leaves it
continuously, as max(x, 0) does, or by a step that is no rounding error, as x > 0 does. That is the criterion: beside a
stretch of zeros the function

- steps up at once, to 1e-30 of its median or less, as numbers near the least one do, or
- steps up at once, to 1e-6 of its median or less, stays there for a while, and goes on to further levels. (Beside an
  end of the grid, and on less than 1e-6, the step may be a twentieth of the median: differences have a root there.)

One end of a stretch at which that is so is enough: how far the zeros go is not known then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from reproflow.numerics import intervals
from reproflow.numerics.intervals import Interval

Function = Callable[[np.ndarray], np.ndarray]

LEAST = 1e-30
STEP = 1e-6
SHORT = 1e-6
STEP_BESIDE_END = 0.05
NEAR = np.array([4.0, 64.0])
STAYS = 1e-4
BEYOND = np.geomspace(0.01, 8, 64)
NEXT = 1.1, 16.0
SAMPLES = 257
FEWEST = 3


@dataclass(frozen=True)
class ZeroSets:
    """`zero`: the intervals where a function is zero; `lost`: those where it is zero by lack of digits, perhaps.

    `single` says that the function is computed in single precision.
    """

    zero: list[Interval]
    lost: list[Interval]
    single: bool


def zero_sets(value: Function, t: np.ndarray) -> ZeroSets:
    """The zeros of a function on the span of t, which is increasing, longer than 1e-9; ends to the last digit."""
    found = intervals.where(lambda t: value(t) == 0, t)
    size = np.abs(value(t))
    positive = size[(size > 0) & np.isfinite(size)]
    if not found or not len(positive):
        return ZeroSets(found, [], _single(positive))
    scale = float(np.median(positive))
    lacking = [_lacks_digits(value, each, (float(t[0]), float(t[-1])), scale) for each in found]
    return ZeroSets(
        [each for each, lacks in zip(found, lacking, strict=True) if not lacks],
        [each for each, lacks in zip(found, lacking, strict=True) if lacks],
        _single(positive),
    )


def _lacks_digits(value: Function, stretch: Interval, span: Interval, scale: float) -> bool:
    """Whether the function steps out of a stretch of zeros, at one end at least, as rounding does."""
    low, high = stretch
    width, beside_end = high - low, low == span[0] or high == span[1]
    allowed = STEP_BESIDE_END if beside_end and width < SHORT else STEP
    return any(
        _steps(value, edge, sign, width, span, scale, allowed)
        for edge, sign in ((low, -1.0), (high, 1.0))
        if edge not in span
    )


def _steps(
    value: Function, edge: float, sign: float, width: float, span: Interval, scale: float, allowed: float
) -> bool:
    away = np.concatenate([NEAR * np.spacing(edge), [STAYS * width], BEYOND * width])
    size = np.abs(value((edge + sign * away).clip(*span)))
    first, second, later = size[0], size[1], size[2]
    if not second > 0 or first < 0.5 * second:
        return False
    if second <= LEAST * scale:
        return True
    above = size[3:][size[3:] > NEXT[0] * second]
    stays = abs(later - second) <= 1e-3 * second
    return bool(second <= allowed * scale and stays and len(above) and above.min() <= NEXT[1] * second)


def _single(positive: np.ndarray) -> bool:
    """Whether these numbers have no more digits than single precision, and are no mere constants."""
    some = positive[:: max(1, len(positive) // SAMPLES)]
    with np.errstate(over="ignore"):
        return bool(len(np.unique(some)) >= FEWEST and (some == some.astype(np.float32)).all())
