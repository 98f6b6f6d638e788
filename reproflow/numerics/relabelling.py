r"""Two designs whose seeds can be relabelled: two samples of seeds, and pairs of the same seed.

.. math::
    T_g(\delta) &= \frac{\bar y_g - \bar x_g - \delta_g}{s_g \sqrt{1/n_0 + 1/n_1}}
        && \text{two samples: which seeds are the run's is relabelled,} \\
    T_g(\delta) &= \frac{\sum_i (d_{gi} - \delta_g)}{\sqrt{\sum_i (d_{gi} - \delta_g)^2}}
        && \text{pairs: the sign of all differences of a seed is flipped,}

with s_g² the pooled variance of row g alone: nothing is borrowed from other rows. A seed is relabelled in all rows at
once, which keeps their dependence, whatever it is. All relabellings are taken where they are few, else the identity and
9 999 random ones, always the same. A value may be missing (NaN); T then counts what is there.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import Protocol

import numpy as np
from scipy.special import stdtr

RELABELLINGS = 9999
"""Random relabellings besides the identity, where all of them would be more."""
FEWEST_SEEDS = 3
"""On either side of two samples; a variance from two values says nothing."""
FEWEST_PAIRS = 8
"""2^8 sign patterns: the smallest two-sided p is 1/128, so that a family of a few rows can be decided at 0.05."""
_SEED = 20050393  # of the random relabellings: the same data give the same p-values
_ROUNDING = 1e-13  # relative: spread below this is what rounding leaves of equal values


class Design(Protocol):
    """Numbers of G rows that can be relabelled; `difference`, `se`, `degrees` (G,) are the estimate and its error."""

    difference: np.ndarray
    se: np.ndarray
    degrees: np.ndarray

    @property
    def relabellings(self) -> int:
        """How many there are, R."""

    def enough(self) -> np.ndarray:
        """Which rows have seeds enough for a verdict, (G,)."""

    def subset(self, rows: np.ndarray) -> Design:
        """The same for some of the rows."""

    def mirrored(self) -> Design:
        """The same for minus the numbers."""

    def statistics(self, shift: np.ndarray, first: int | None = None) -> np.ndarray:
        """T (R, G) of every relabelling at the shifts (G,), the observed one first; or only of so many of them."""

    def shift_at(self, statistic: float) -> np.ndarray:
        """The shifts (G,) at which the observed T is `statistic`; -inf where T never is that large."""

    def as_t(self, statistic: float) -> np.ndarray:
        """Student's t (G,) that belongs to this T."""


def student_p(design: Design, margin: np.ndarray) -> np.ndarray:
    """Student's p (G,) of |shift| <= margin: both tails, P(t > (|d| - m)/se) + P(t > (|d| + m)/se)."""
    size = np.abs(design.difference)
    with np.errstate(invalid="ignore", divide="ignore"):
        tails = [stdtr(design.degrees, -(size + sign * margin) / design.se) for sign in (-1, 1)]
    exact = np.where(size > margin, 0.0, 1.0)
    return np.where(design.se > 0, np.minimum(1.0, tails[0] + tails[1]), exact)


class TwoSamples:
    """`before` (n_0, G) and `after` (n_1, G), a seed a line; the difference is after minus before."""

    def __init__(self, before: np.ndarray, after: np.ndarray) -> None:
        self.before, self.after = before, after
        self.sizes = np.isfinite(before).sum(0), np.isfinite(after).sum(0)
        (mean_0, square_0), (mean_1, square_1) = _moments(before), _moments(after)
        self.difference, self.degrees = mean_1 - mean_0, self.sizes[0] + self.sizes[1] - 2
        with np.errstate(invalid="ignore", divide="ignore"):
            variance = (square_0 + square_1) / self.degrees
            self.se = np.sqrt(variance * (1 / self.sizes[0] + 1 / self.sizes[1]))

    @property
    def relabellings(self) -> int:
        return len(relabellings(len(self.before) + len(self.after), len(self.after)))

    def enough(self) -> np.ndarray:
        return (self.sizes[0] >= FEWEST_SEEDS) & (self.sizes[1] >= FEWEST_SEEDS)

    def subset(self, rows: np.ndarray) -> TwoSamples:
        return TwoSamples(self.before[:, rows], self.after[:, rows])

    def mirrored(self) -> TwoSamples:
        return TwoSamples(-self.before, -self.after)

    def statistics(self, shift: np.ndarray, first: int | None = None) -> np.ndarray:
        values = np.vstack([self.before, self.after - shift])
        there = np.isfinite(values)
        scale, n = np.nanmax(np.abs(values), axis=0), there.sum(0)
        values = np.where(there, values - np.nanmean(values, 0), 0.0)
        squares = (values**2).sum(0)
        squares = np.where(squares > (_ROUNDING * scale) ** 2 * n, squares, 0.0)
        labels = relabellings(len(values), len(self.after))[:first]
        run = np.full((1, 1), float(len(self.after))) if there.all() else labels @ there.astype(float)
        # The values of both sides add up to 0, so T depends on the run's sum alone, through its correlation r with the
        # labels: T = r sqrt((n - 2) / (1 - r²)).
        with np.errstate(invalid="ignore", divide="ignore"):
            r = (labels @ values) * np.sqrt((1 / run + 1 / (n - run)) / squares)
            left = 1 - r**2
            statistic = r * np.sqrt((n - 2) / np.where(left > 1e-14, left, 0.0))
        # Without any spread T is 0. Where a relabelling leaves a side empty there is no T, and nothing is reached.
        statistic = np.where(squares > 0, statistic, 0.0)
        return np.where(np.isnan(statistic), -np.inf, statistic)

    def shift_at(self, statistic: float) -> np.ndarray:
        return self.difference - statistic * self.se if math.isfinite(statistic) else np.full_like(self.se, -np.inf)

    def as_t(self, statistic: float) -> np.ndarray:
        return np.full_like(self.se, statistic)


class Pairs:
    """Differences (n, G) of pairs, a seed a line."""

    def __init__(self, differences: np.ndarray) -> None:
        self.differences = differences
        self.n = np.isfinite(differences).sum(0)
        self.difference, self.squares = _moments(differences)
        self.degrees = self.n - 1
        with np.errstate(invalid="ignore", divide="ignore"):
            self.se = np.sqrt(self.squares / self.degrees / self.n)

    @property
    def relabellings(self) -> int:
        return len(sign_flips(len(self.differences)))

    def enough(self) -> np.ndarray:
        return self.n >= FEWEST_PAIRS

    def subset(self, rows: np.ndarray) -> Pairs:
        return Pairs(self.differences[:, rows])

    def mirrored(self) -> Pairs:
        return Pairs(-self.differences)

    def statistics(self, shift: np.ndarray, first: int | None = None) -> np.ndarray:
        values = np.where(np.isfinite(self.differences), self.differences - shift, 0.0)
        norm = np.sqrt((values**2).sum(0))
        return sign_flips(len(values))[:first] @ (values / np.where(norm > 0, norm, 1.0))

    def shift_at(self, statistic: float) -> np.ndarray:
        if not math.isfinite(statistic):
            return np.full_like(self.se, -np.inf)
        with np.errstate(invalid="ignore"):
            return self.difference - np.where(self.squares > 0, self.as_t(statistic) * self.se, 0.0)

    def as_t(self, statistic: float) -> np.ndarray:
        """T² = n t² / (t² + n - 1), so that T stays below sqrt(n)."""
        room = self.n - min(statistic, 1e9) ** 2
        return np.where(room > 0, statistic * np.sqrt(self.degrees / np.where(room > 0, room, 1.0)), np.inf)


@functools.lru_cache(maxsize=32)
def relabellings(n: int, run: int) -> np.ndarray:
    """Which `run` of `n` seeds are the run's: (R, n) of 0 and 1, first the identity, where they are the last ones."""
    if math.comb(n, run) <= RELABELLINGS + 1:
        sets = np.array(list(itertools.combinations(range(n - 1, -1, -1), run)), dtype=int)
    else:
        drawn = np.random.default_rng(_SEED).random((RELABELLINGS, n))
        sets = np.vstack([np.arange(n - run, n), drawn.argpartition(run, axis=1)[:, :run]])
    labels = np.zeros((len(sets), n))
    np.put_along_axis(labels, sets, 1.0, axis=1)
    return labels


@functools.lru_cache(maxsize=32)
def sign_flips(n: int) -> np.ndarray:
    """Signs of `n` pairs: (R, n) of 1 and -1, the identity first."""
    if 2**n <= RELABELLINGS + 1:
        return np.array(list(itertools.product((1.0, -1.0), repeat=n)))
    drawn = np.random.default_rng(_SEED).integers(0, 2, (RELABELLINGS, n))
    return np.vstack([np.ones(n), 1.0 - 2.0 * drawn])


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean of every column, and the sum of squares around it; what rounding leaves of equal values is no spread."""
    n = np.isfinite(values).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(n > 0, np.nansum(values, 0) / n, np.nan)
        squares = np.nansum((values - mean) ** 2, 0)
        scale = np.nan_to_num(np.nanmax(np.abs(values), axis=0, initial=0.0))
    return mean, np.where(squares > (_ROUNDING * scale) ** 2 * n, squares, 0.0)
