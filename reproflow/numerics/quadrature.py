r"""Integrals of weights: adaptive quadrature that knows a pole it can integrate from one it cannot.

An interval is cut into octaves towards both ends, and every piece is halved until its Gauss-Kronrod rule of 15 points
agrees with the Gauss rule of 7 inside it. What is left of the last octave follows from the exponent p of f ~ x^p there,

.. math:: \int_0^x f = \frac{x f(x)}{1 + p},

where p is a robust slope of log f over the ladder x = 2^-k. A function that halving never resolves has a pole inside,
and so has one that is infinite on a whole piece; the interval is cut there. p <= -1 is infinite. Within 0.01 of -1 the
ladder does not decide, nor does it where p still drifts there like 1/k, as it does for logarithms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from reproflow.numerics.gauss_rules import GAUSS_WEIGHTS, KRONROD_NODES, KRONROD_WEIGHTS

Function = Callable[[np.ndarray], np.ndarray]

OCTAVES = (50, 40)  # towards 0 numbers keep their digits, towards 1 they do not
NEAR = 34  # a pole's place inside is known to 1e-16: nearer than 1e-11, distances to it have too few digits
RUNGS = 20  # for the slope of a ladder
PIECES = 2048  # at least, so that no feature wider than 5e-4 is passed over
MARGIN = 0.01
ROUNDING = 1e-5
TOLERANCE = 1e-10
ROUNDS = 60
LARGEST = 40000
CUTS = 12


@dataclass(frozen=True)
class Pole:
    """f ~ |x - place|^exponent; verdict is finite, infinite or inconclusive."""

    place: float
    exponent: float
    verdict: str


@dataclass(frozen=True)
class Integral:
    """Its value (infinite where it diverges), the verdict of its worst pole, and the exponents at ends and poles."""

    value: float
    verdict: str
    poles: tuple[Pole, ...]

    @property
    def worst(self) -> Pole:
        """The pole with the lowest exponent."""
        return min(self.poles, key=lambda pole: pole.exponent)


def integral(f: Function, low: float = 0.0, high: float = 1.0, octaves: tuple[int, int] = OCTAVES) -> Integral:
    """The integral of f over (low, high); f takes and gives arrays and is never asked at the ends themselves.

    `octaves` says how far towards each end f may be asked. Where the verdict is inconclusive, the value is what lies
    between the ladders' last steps.
    """
    cuts, parts = [low, high], [_part(f, low, high, octaves)]
    while len(cuts) < CUTS and (index := next((i for i, part in enumerate(parts) if part.poles_inside), -1)) >= 0:
        cuts.insert(index + 1, parts[index].poles_inside[0])
        outer = (octaves[0] if index == 0 else NEAR, octaves[1] if index == len(parts) - 1 else NEAR)
        parts[index : index + 1] = [
            _part(f, cuts[index], cuts[index + 1], (outer[0], NEAR)),
            _part(f, cuts[index + 1], cuts[index + 2], (NEAR, outer[1])),
        ]
    poles = tuple(pole for part in parts for pole in part.poles)
    verdicts = [pole.verdict for pole in poles]
    verdict = next((v for v in ("infinite", "inconclusive") if v in verdicts), "finite")
    value = np.inf if verdict == "infinite" else float(sum(part.value for part in parts))
    return Integral(value, "infinite" if np.isinf(value) else verdict, poles)


@dataclass(frozen=True)
class _Part:
    value: float
    poles: tuple[Pole, ...]
    poles_inside: tuple[float, ...] = ()


def _part(f: Function, low: float, high: float, octaves: tuple[int, int]) -> _Part:
    """One interval without a known pole inside; an infinite one is not added up."""
    width = high - low
    left = low + width * _ladder(_depth(low, width, octaves[0]))
    right = high - width * _ladder(_depth(high, width, octaves[1]))
    with np.errstate(all="ignore"):
        poles, tails = zip(*(_end(f, x, end) for x, end in ((left, low), (right, high))), strict=True)
        if any(pole.verdict == "infinite" for pole in poles):
            return _Part(np.inf, poles)
        middle = np.linspace(low, high, PIECES + 1)
        middle = middle[(middle > left[-1]) & (middle < right[-1])]
        value, inside = _adaptive(f, np.unique(np.concatenate([left, middle, right])), (low, high))
    return _Part(value + sum(tails), poles, inside)


def _depth(end: float, width: float, octaves: int) -> int:
    """How many octaves can be told apart from the end itself, to ten bits."""
    return max(2, min(octaves, int(np.log2(width / np.spacing(abs(end)))) - 10)) if end else octaves


def _ladder(octaves: int) -> np.ndarray:
    """1/2, 1/4, .. to 2^-octaves, in smaller steps where those are few."""
    return 2.0 ** -np.linspace(1, octaves, max(octaves, RUNGS))


def _end(f: Function, ladder: np.ndarray, end: float) -> tuple[Pole, float]:
    """The pole at an end, and the integral from the ladder's last step to the end (0 unless it is finite)."""
    values, steps = np.abs(f(ladder)), np.abs(ladder - end)
    exponent, limit = _exponents(np.log2(steps), np.log2(values))
    if exponent <= -1 + ROUNDING and limit <= -1 + MARGIN / 5:
        return Pole(end, exponent, "infinite"), 0.0
    if min(exponent, limit) < -1 + MARGIN:
        return Pole(end, exponent, "inconclusive"), 0.0
    if not np.isfinite(exponent):
        return Pole(end, exponent, "finite"), 0.0
    return Pole(end, exponent, "finite"), float(f(ladder[-1:])[0] * steps[-1] / (1 + exponent))


def _exponents(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """The slope of y over x at the ladder's end, and its limit if it drifts like 1/k.

    Slopes are medians over all pairs of a window, which an oscillation does not fool.
    """
    last = len(x)
    if y[-1] == -np.inf:
        return np.inf, np.inf
    if y[-1] == np.inf:
        return -np.inf, -np.inf
    late = _median_slope(x[last * 3 // 5 :], y[last * 3 // 5 :])
    early = _median_slope(x[last // 5 : last * 3 // 5], y[last // 5 : last * 3 // 5])
    return late, 2 * late - early


def _median_slope(x: np.ndarray, y: np.ndarray) -> float:
    first, second = np.triu_indices(len(x), 1)
    slopes = (y[second] - y[first]) / (x[second] - x[first])
    slopes = slopes[np.isfinite(slopes)]
    return float(np.median(slopes)) if len(slopes) else 0.0


def _adaptive(f: Function, edges: np.ndarray, ends: tuple[float, float]) -> tuple[float, tuple[float, ...]]:
    """The integral over the edges' span, and the place of a pole if halving does not resolve the function."""
    low, high = edges[:-1], edges[1:]
    value, error, peak, infinite = _rule(f, low, high)
    done, size = 0.0, 0.0
    for _ in range(ROUNDS):
        if infinite.any():
            return np.inf, (float(0.5 * (low + high)[infinite.argmax()]),)
        size = max(size, abs(done) + np.abs(value[np.isfinite(value)]).sum())
        # An argument beside an end is rounded, and a function that is singular at the end feels it.
        rounding = 4 * np.spacing(np.abs(high)) / np.minimum(low - ends[0], ends[1] - high)
        rough = ~(error <= TOLERANCE * size / 50 + rounding * np.abs(value))
        done += value[~rough].sum()
        low, high, value, peak = low[rough], high[rough], value[rough], peak[rough]
        tiny = high - low <= 8 * np.spacing(np.maximum(np.abs(low), np.abs(high)))
        if tiny.any():
            return done, (float(peak[tiny][np.argmax(np.abs(f(peak[tiny])))]),)
        if not len(low) or len(low) > LARGEST:
            break
        middle = 0.5 * (low + high)
        low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
        value, error, peak, infinite = _rule(f, low, high)
    return float(done + value[np.isfinite(value)].sum()), ()


def _rule(f: Function, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Value and error of the rule on each piece, the node where |f| is largest, and whether f is infinite at all."""
    half = 0.5 * (high - low)
    nodes = 0.5 * (low + high)[:, None] + half[:, None] * KRONROD_NODES
    values = f(nodes.ravel()).reshape(nodes.shape)
    kronrod, gauss = half * (values @ KRONROD_WEIGHTS), half * (values @ GAUSS_WEIGHTS)
    peak = nodes[np.arange(len(nodes)), np.argmax(np.abs(values), axis=1)]
    infinite = np.array(np.isinf(values).all(axis=1))
    return kronrod, np.abs(kronrod - gauss), peak, infinite
