r"""Estimates with error bars: intervals over seeds, paired differences, jackknife, Holm, and squared means.

The unit of replication is the seed (or the block of independent draws). With n < 3 values there is no interval: its
ends and the standard error are NaN, and a verdict that needs them cannot be decided.

.. math:: \hat\gamma(d) = \frac{|\sum_i d_i|^2 - \sum_i |d_i|^2}{m (m - 1)}

is the U-statistic of |E d|²: unbiased, so it is zero on average where the mean is zero (LOSS-1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr, stdtrit

from reproflow.foundation.errors import UsageError

Block = TypeVar("Block")
NAN = math.nan


@dataclass(frozen=True)
class Measured:
    """A number and its standard error; both NaN where there is none."""

    value: float
    se: float


@dataclass(frozen=True)
class Estimate:
    """A number, its standard error, a two-sided confidence interval, and the number of replicates behind them."""

    mean: float
    se: float
    low: float
    high: float
    n: int

    @property
    def decided(self) -> bool:
        """Whether there is an interval at all."""
        return math.isfinite(self.low) and math.isfinite(self.high)


def mean_interval(values: ArrayLike, level: float = 0.95) -> Estimate:
    """mean ± t_{n-1} s/sqrt(n) over independent values (n,); n < 3 gives the mean without error or interval.

    Missing values (NaN) do not count: `n` says how many did.
    """
    array = np.asarray(values, dtype=np.float64).ravel()
    array = array[~np.isnan(array)]
    n = len(array)
    mean = float(array.mean()) if n else NAN
    se = float(array.std(ddof=1) / math.sqrt(n)) if n >= 3 else NAN
    return _interval(mean, se, n, n - 1, level)


def paired(a: Mapping[Hashable, float], b: Mapping[Hashable, float], level: float = 0.95) -> Estimate:
    """The mean of a - b over the seeds that both have, with its t-interval.

    A seed whose value is missing (NaN) on either side is not common; `n` is the number of pairs.
    """
    seeds = [seed for seed in a if seed in b]
    return mean_interval([a[seed] - b[seed] for seed in seeds], level)


def equivalence_p(estimate: Estimate, margin: float) -> float:
    r"""The p-value of |mu| >= margin: two one-sided t tests, max over sides of P(T_{n-1} > (margin ∓ mean) / se).

    Below 0.05 exactly where the two-sided 90 % interval lies inside ±margin. NaN without an interval.
    """
    return _below(estimate, margin - abs(estimate.mean))


def beyond_p(estimate: Estimate, margin: float) -> float:
    r"""The p-value of |mu| <= margin: P(T_{n-1} > (|mean| - margin) / se) + P(T_{n-1} > (|mean| + margin) / se).

    Both tails count, since a small margin may be passed on either side; a margin of 0 gives the two-sided t test. NaN
    without an interval.
    """
    size = abs(estimate.mean)
    return float(np.minimum(1.0, _below(estimate, size - margin) + _below(estimate, size + margin)))


def _below(estimate: Estimate, room: float) -> float:
    if not estimate.decided:
        return NAN
    if estimate.se == 0:
        return 0.0 if room > 0 else 1.0
    return float(stdtr(estimate.n - 1, -room / estimate.se))


def jackknife(
    statistic: Callable[[Sequence[Block]], float],
    blocks: Sequence[Block],
    level: float = 0.95,
    corrected: bool = False,
) -> Estimate:
    r"""The statistic of all blocks, with the delete-one-block standard error sqrt((m-1)/m sum (s_i - s̄)²).

    `mean` is the plain statistic s, or, `corrected` for bias of order 1/m, m s - (m-1) s̄. Fewer than 3 blocks give no
    error and no correction.
    """
    m = len(blocks)
    whole = float(statistic(blocks))
    left_out = np.array([statistic([*blocks[:i], *blocks[i + 1 :]]) for i in range(m)] if m >= 3 else [])
    mean = m * whole - (m - 1) * float(left_out.mean()) if corrected and m >= 3 else whole
    return _interval(mean, _jackknife_se(left_out), m, m - 1, level)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given: comparing them with a level bounds the family-wise error by it.

    Raises `UsageError` for a value outside [0, 1].
    """
    p = np.asarray(p_values, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise UsageError(f"p-values must lie in [0, 1], got {list(p_values)}.")
    order = p.argsort(kind="stable")
    factors = np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(factors * p[order]))
    return adjusted.tolist()


def squared_mean(blocks: ArrayLike, level: float = 0.95) -> Estimate:
    """The U-statistic of |E d|² over independent rows d_i, blocks (m, p), with an interval.

    The standard error is the jackknife's, but not below sqrt(2 E(d_i·d_j)² / (m (m-1))), the error where E d = 0: there
    the jackknife overstates it for many coordinates (by up to sqrt 2, the safe side), and for one or two can collapse.
    Raises `UsageError` unless blocks has two axes.
    """
    rows = _rows(blocks)
    whole, left_out = _squared_means(rows)
    m = len(rows)
    return _interval(whole, max(_jackknife_se(left_out), _null_se(rows)), m, m - 1, level)


def relative_gap(differences: ArrayLike, gradients: ArrayLike, level: float = 0.95) -> Estimate:
    """|E d|² / |E g|² for paired blocks d_i, g_i, both (m, p), as a ratio of U-statistics with a jackknife interval.

    Equality of two gradients is claimed when `high` lies below a tolerance, never because `low` lies below zero.
    Raises `UsageError` when the two differ in m, and gives NaN where the gradient's own estimate is not positive.
    """
    d, g = _rows(differences), _rows(gradients)
    if len(d) != len(g):
        raise UsageError(f"differences and gradients must have the same blocks, got {len(d)} and {len(g)}.")
    (whole_d, left_d), (whole_g, left_g) = _squared_means(d), _squared_means(g)
    if not (whole_g > 0 and (left_g > 0).all()):
        return Estimate(NAN, NAN, NAN, NAN, len(d))
    se = max(_jackknife_se(left_d / left_g), _null_se(d) / whole_g)
    return _interval(whole_d / whole_g, se, len(d), len(d) - 1, level)


def _null_se(rows: np.ndarray) -> float:
    """The standard error of the U-statistic of |E d|² if E d were 0."""
    m = len(rows)
    gram = rows @ rows.T
    np.fill_diagonal(gram, 0)
    return math.sqrt(2 * (gram**2).sum()) / (m * (m - 1)) if m >= 3 else NAN


def _rows(blocks: ArrayLike) -> np.ndarray:
    rows = np.asarray(blocks, dtype=np.float64)
    if rows.ndim != 2:
        raise UsageError(f"blocks must have shape (m, p), got {rows.shape}.")
    return rows


def _squared_means(rows: np.ndarray) -> tuple[float, np.ndarray]:
    """The U-statistic of |E d|² over all rows (m, p), and over all but each one (m,), from the m x m Gram matrix."""
    m = len(rows)
    gram = rows @ rows.T
    np.fill_diagonal(gram, 0)
    cross = gram.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(cross / (m * (m - 1))), (cross - 2 * gram.sum(1)) / ((m - 1) * (m - 2))


def _jackknife_se(left_out: np.ndarray) -> float:
    m = len(left_out)
    return float(np.sqrt((m - 1) / m * ((left_out - left_out.mean()) ** 2).sum())) if m >= 3 else NAN


def _interval(mean: float, se: float, n: int, degrees: int, level: float) -> Estimate:
    if not 0 < level < 1:
        raise UsageError(f"level must lie in (0, 1), got {level}.")
    reach = float(stdtrit(degrees, (1 + level) / 2)) * se if n >= 3 else NAN
    return Estimate(mean, se, mean - reach, mean + reach, n)
