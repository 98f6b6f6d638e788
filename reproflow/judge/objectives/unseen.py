"""What a judgement on a weighting has not seen: how fine it looked, and what it cannot tell there.

"w > 0 almost everywhere" and "E[w] is finite" are said of what was looked at. Features between two neighbouring times
of the grid may be missed, and so may sets that the time law never draws and that are finer than its resolution. Where w
is zero by lack of digits (`numerics.zero_sets`) nothing is known of it; up to a hundredth of the length that is passed
over, as what lies below a resolution is, unless the function is computed in single precision, which can be mended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from reproflow.judge.objectives.numeric_objective import NumericObjective
from reproflow.numerics import intervals
from reproflow.numerics.intervals import Interval
from reproflow.theory import time_law_resolution
from reproflow.theory.time_law_resolution import UNSEEN


@dataclass(frozen=True)
class Unseen:
    """`lost`: where w is zero by lack of digits; `doubts`: what cannot be told, in words, nothing where all can.

    `spacing` is the largest distance of neighbouring times looked at, `of_law` the resolution of the time law, None
    where it has none.
    """

    lost: list[Interval]
    doubts: list[str]
    spacing: float
    of_law: float | None

    @classmethod
    def of(cls, subject: NumericObjective, lost: list[Interval], single: bool, t: np.ndarray, span: Interval) -> Unseen:
        """What was not seen of an objective at times t, in order, on a span of times."""
        lost = intervals.clipped(lost, span)
        doubts = []
        if lost and single:
            doubts.append(f"w is zero on {text(lost)} in single precision, in which it is computed; t is float64")
        elif sum(high - low for low, high in lost) > UNSEEN * (span[1] - span[0]):
            doubts.append(f"w underflows, or is lost in rounding, on {text(lost)}: whether it is zero there is unknown")
        law = time_law_resolution.resolution(subject.objective.time)
        length, _ = law.within(span)
        if length is None and not _all_gap(subject, span):
            name = subject.objective.time.name
            doubts.append(f"{name} time may leave out sets of times: {law.text(span)}")
        return cls(lost, doubts, float(np.diff(t).max()) if len(t) > 1 else 0.0, length)

    def resolution(self) -> dict[str, Any]:
        """The lengths in t below which nothing is said: of the weight's grid, and of the time law."""
        return {"times": self.spacing, "time_law": self.of_law}

    def note(self) -> str:
        """How fine was looked, and what was passed over, in words."""
        passed = "" if self.doubts or not self.lost else f", but for {text(self.lost)}, where it underflows"
        return f"at a resolution of {self.spacing:.2g} in t{passed}"


def _all_gap(subject: NumericObjective, span: Interval) -> bool:
    """Whether the time law leaves no time to look at in a span."""
    return sum(high - low for low, high in intervals.clipped(subject.gaps, span)) > 0.999 * (span[1] - span[0])


def text(found: list[Interval]) -> str:
    """The first three intervals, and how many more there are."""
    shown = ", ".join(_one(low, high) for low, high in found[:3])
    return shown + (f" and {len(found) - 3} more" if len(found) > 3 else "")


def _one(low: float, high: float) -> str:
    if f"{low:.4g}" != f"{high:.4g}":
        return f"({low:.4g}, {high:.4g})"
    return f"({high:.4g} - {high - low:.2g}, {high:.4g})"
