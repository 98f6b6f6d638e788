"""Two canonical weights over the measured levels: their factor, and how far from proportional they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reproflow.auditing.naming.density import Weight

REACHED = 0.9
"""The share of the measured levels that another objective's path has to reach."""
SHARE = 0.95
CERTAIN = 3.0
"""How many times its precision a weight may be off."""


@dataclass(frozen=True)
class Comparison:
    """measured / other over their median ratio `factor`: (P,) `ratio` at `lam`, and the largest distance from 1.

    `error_bulk` is met by 95 % of the levels between which 96 % of the draws lie, `error_range` by all levels; `excess`
    is what of the latter the measured precision does not explain.
    """

    factor: float
    lam: np.ndarray
    ratio: np.ndarray
    error_bulk: float
    error_range: float
    excess: float


def compare(weight: Weight, other: np.ndarray) -> Comparison | None:
    """How the measured weight compares with another (P,) at its log-SNRs, NaN out of reach; None where it cannot."""
    both = np.isfinite(other) & np.isfinite(weight.w)
    if both.mean() < REACHED or both.sum() < 8:
        return None
    mine, theirs, bulk = weight.w[both], other[both], weight.bulk[both]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where((mine == 0) & (theirs == 0), 1.0, mine / theirs)
        inner = ratio[bulk & np.isfinite(ratio) & (ratio > 0)]
        if not len(inner):
            return None
        factor = float(np.median(inner))
        ratio = ratio / factor
        # Of two weights that differ by a factor either may be the larger one.
        distance = np.where(ratio > 0, np.exp(np.abs(np.log(ratio))) - 1, np.inf)
    distance = np.nan_to_num(distance, nan=np.inf)
    excess = distance - CERTAIN * weight.precision[both]
    return Comparison(
        factor,
        weight.lam[both],
        ratio,
        float(np.quantile(distance[bulk], SHARE)) if bulk.any() else float("inf"),
        float(distance.max()),
        float(excess.max()),
    )


def may_be_same(weight: Weight, others: np.ndarray) -> np.ndarray:
    """Which of other weights (N, P) may have an `error_bulk` up to `weight.same`, (N,): all that have, and few else.

    Of the bulk's ratios all but a share of 1 - `SHARE` then lie within (1 + same)² of each other: where no window of so
    many in their order is that narrow, `compare` need not be asked. Weights with zeros or gaps are left to it.
    """
    bulk = weight.bulk
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.sort(np.log(weight.w[bulk] / others[:, bulk]), axis=1)
    count = int(bulk.sum())
    inside = count - int((1 - SHARE) * count) - 2
    if inside < 2:
        return np.ones(len(others), dtype=bool)
    plain = np.isfinite(ratio).all(axis=1)
    # A share of the window more, so that rounding leaves none out.
    width = 2.001 * np.log1p(weight.same) + 1e-12
    with np.errstate(invalid="ignore"):
        narrow = (ratio[:, inside - 1 :] - ratio[:, : count - inside + 1]).min(axis=1) <= width
    return narrow | ~plain
