r"""Comparisons of many rows at once: adjusted p-values, one simultaneous interval, and what may be said of each row.

A row (a cell and a metric, a pair of weightings, ..) is compared with the maximum of its statistic over itself and all
rows with smaller ones, in every relabelling of the seeds (step-down max-T; Westfall & Young 1993, Resampling-Based
Multiple Testing; Romano & Wolf 2005, JASA 100). The chance of one or more false rejections is at most the level, for
any dependence and any set of shifted rows, where the true nulls are exchangeable at their margin.

With margin m_g each side has half of the level: `worse` rejects delta_g <= m_g, `better` delta_g >= -m_g (lower is
better). The interval [low, high] is the one that belongs to this test (Strassburger & Bretz 2008, Statistics in
Medicine 27): of a rejected row it ends at the margin; the ends of the others are the shifts that the test of all of
them together just rejects. Only where every row is rejected may an end lie beyond its margin. The verdicts `worse` and
`better` have the level; the ends are found at one configuration of shifts, so that their joint coverage is approximate:
0.93 to 0.95 in simulations (benchmarks/results/familywise.md). Verdicts, in this order:

    equal within the margin             -m < low and high < m
    worse, better                       the test rejects: low >= m, or high <= -m
    not worse by more than the margin   high < m
    not separated                       else; `detectable` is the shift that would be found with power 0.8
    too few seeds                       fewer than three on either side, or eight pairs; or no p could be small enough

Without a margin m = 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from reproflow.foundation.errors import UsageError
from reproflow.numerics.relabelling import Design, Pairs, TwoSamples, student_p
from reproflow.numerics.statistics import holm

LEVEL = 0.05
ITERATIONS = 10  # of the critical T at the ends; it moves by a per cent or two, and settles after two or three
POWER = 0.8
EQUAL = "equal within the margin"
WORSE = "worse"
BETTER = "better"
NOT_WORSE = "not worse by more than the margin"
NOT_SEPARATED = "not separated"
TOO_FEW = "too few seeds"
VERDICTS = (EQUAL, WORSE, BETTER, NOT_WORSE, NOT_SEPARATED, TOO_FEW)


@dataclass(frozen=True)
class Comparisons:
    """The rows of one family, every array (G,); NaN where a row has too few seeds.

    `difference`: after minus before, or the mean of the pairs' differences; `se` is Student's error of it. `low`,
    `high`: the simultaneous interval. `p`: adjusted for the family and both sides, of the side that the row lies on.
    `p_oracle`: by Student's t and Holm, right for Gaussian rows only. `alarm`: about the difference at which a row
    would be rejected, at this spread and beside the rows that are not; `detectable`: about the shift found with power
    0.8.
    """

    difference: np.ndarray
    se: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    p_oracle: np.ndarray
    alarm: np.ndarray
    detectable: np.ndarray
    verdicts: tuple[str, ...]


def compare_samples(before: ArrayLike, after: ArrayLike, margin: ArrayLike = 0.0, level: float = LEVEL) -> Comparisons:
    """Two samples of every row: `before` (n_0, G), `after` (n_1, G), a seed a line, NaN where it is missing.

    Null: the seeds of `after` are further draws of the law of `before`, shifted by at most `margin` (G,). Raises
    `UsageError` for other shapes, a negative margin or a level outside (0, 1).
    """
    x, y = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise UsageError(f"two samples must have shapes (n, G) and (m, G), got {x.shape} and {y.shape}.")
    return _compare(TwoSamples(x, y), margin, level)


def compare_pairs(differences: ArrayLike, margin: ArrayLike = 0.0, level: float = LEVEL) -> Comparisons:
    """Differences of pairs, (n, G), a seed a line, NaN where it is missing.

    Null: symmetric around a shift of at most `margin` (G,). Raises `UsageError` for another shape, a negative margin
    or a level outside (0, 1).
    """
    d = np.asarray(differences, dtype=np.float64)
    if d.ndim != 2:
        raise UsageError(f"differences of pairs must have shape (n, G), got {d.shape}.")
    return _compare(Pairs(d), margin, level)


def verdict(low: float, high: float, margin: float, worse: bool = False, better: bool = False) -> str:
    """The word for a simultaneous interval; `worse` and `better` say that the test rejects at the margin."""
    if -margin < low and high < margin:
        return EQUAL
    if worse or better:
        return WORSE if worse else BETTER
    return NOT_WORSE if high < margin else NOT_SEPARATED


def rejected(design: Design, margin: np.ndarray, level: float) -> np.ndarray:
    """Which rows (G,) the step-down test of shifts at most `margin` rejects: one side of `compare_samples`."""
    return step_down(design.statistics(margin)) <= level


def still_open(design: Design, margin: np.ndarray, level: float, first: int = 500) -> np.ndarray:
    """Which rows (G,) may yet be rejected after so many of all relabellings: what spares simulations the rest.

    A row is decided once more of them reach its statistic than the level allows of all.
    """
    p = step_down(design.statistics(margin, first))
    return p * min(first, design.relabellings) <= level * design.relabellings + 1e-6


def step_down(statistics: np.ndarray) -> np.ndarray:
    """Adjusted p (G,) of statistics (R, G) over R relabellings, the first one observed; large ones reject.

    The share of relabellings in which the maximum over the row itself and all rows with smaller observed statistics
    reaches the row's own, made monotone along that order.
    """
    order = statistics[0].argsort(kind="stable")
    maxima = np.maximum.accumulate(statistics[:, order], axis=1)
    p = np.empty(len(order))
    p[order] = np.maximum.accumulate(_reaching(maxima, statistics[0, order]).mean(0)[::-1])[::-1]
    return p


def critical(maxima: np.ndarray, level: float) -> float:
    """The value that an observed maximum must exceed to be rejected, given relabelled maxima (R,); inf if none can."""
    allowed = math.floor(level * len(maxima) + 1e-9)
    return float(np.partition(maxima, len(maxima) - 1 - allowed)[len(maxima) - 1 - allowed]) if allowed else math.inf


def _reaching(relabelled: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Where a relabelled statistic is at least the observed one, give or take rounding: equal ones must count."""
    room = 1e-10 * np.maximum(1.0, np.abs(np.where(np.isfinite(observed), observed, 0.0)))
    return relabelled >= observed - room


def _compare(design: Design, margin: ArrayLike, level: float) -> Comparisons:
    size = len(design.difference)
    allowed = np.broadcast_to(np.asarray(margin, dtype=np.float64), (size,))
    if not (np.isfinite(allowed).all() and (allowed >= 0).all() and 0 < level < 1):
        raise UsageError(
            f"margins must be finite and not negative, and the level in (0, 1), got {allowed} and {level}."
        )
    usable = np.flatnonzero(design.enough())
    columns = {name: np.full(size, np.nan) for name in ("low", "high", "p", "p_oracle", "alarm", "detectable")}
    verdicts = [TOO_FEW] * size
    # With so few relabellings that not one of them is allowed, nothing could ever be rejected.
    if len(usable) and level / 2 * design.relabellings >= 1:
        kept, m = design.subset(usable), allowed[usable]
        worse, better = _Side(kept, m, level / 2), _Side(kept.mirrored(), m, level / 2)
        reach = kept.as_t(max(worse.critical, better.critical))
        columns["low"][usable], columns["high"][usable] = worse.ends, -better.ends
        columns["p"][usable] = np.minimum(1.0, 2 * np.minimum(worse.p, better.p))
        columns["p_oracle"][usable] = holm(student_p(kept, m).tolist())
        for name, further in (("alarm", 0.0), ("detectable", stdtrit(kept.degrees, POWER))):
            with np.errstate(invalid="ignore"):
                columns[name][usable] = m + np.where(kept.se > 0, (reach + further) * kept.se, 0.0)
        words = map(verdict, worse.ends, -better.ends, m, worse.rejected, better.rejected)
        for row, word in zip(usable, words, strict=True):
            verdicts[row] = word
    return Comparisons(design.difference, design.se, **columns, verdicts=tuple(verdicts))


class _Side:
    """The test of shifts of at most the margin: adjusted p, the rejected rows, and the lower ends of the intervals."""

    def __init__(self, design: Design, margin: np.ndarray, level: float) -> None:
        self.p = step_down(design.statistics(margin))
        self.rejected = self.p <= level
        rest = np.flatnonzero(~self.rejected) if not self.rejected.all() else np.arange(len(margin))
        left = design.subset(rest)
        self.critical = _critical_at_ends(left, margin[rest], level)
        self.ends = margin.copy()
        reached = left.shift_at(self.critical)
        # A row that is not rejected does not end beyond its margin, though the two tests' relabellings differ a little.
        self.ends[rest] = np.maximum(reached, margin) if self.rejected.all() else np.minimum(reached, margin[rest])


def _critical_at_ends(design: Design, margin: np.ndarray, level: float) -> float:
    """The T at which the test of all rows together just rejects: each shifted so that its own T is that.

    Relabelled statistics depend on the shifts, though little, so it is found by iteration from the T at the margin.
    """
    found = critical(design.statistics(margin).max(1), level)
    for _ in range(ITERATIONS):
        shift = design.shift_at(found)
        if not np.isfinite(shift).all():
            break
        before, found = found, critical(design.statistics(shift).max(1), level)
        if abs(found - before) <= 1e-3 * before:
            break
    return found
