"""Levels and their law."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from reproflow.auditing.continuous.solving import Levels
from reproflow.auditing.measured_loss import MeasuredLoss, Times

REACH = 6.5


@dataclass
class LevelTable:
    """P levels in the order in which they were read, and their law (P,) and steps (P,), as in `MeasuredLoss`."""

    levels: Levels
    times: Times
    law: np.ndarray
    steps: np.ndarray | None = None
    complete: bool = True
    draws: int = 0
    per_batch: str = ""
    rounded: bool = False


def grid(points: int) -> np.ndarray:
    """u even in its logit, within +-6.5, float64 of shape (points,)."""
    return 1 / (1 + np.exp(-np.linspace(-REACH, REACH, points)))


def pooled(levels: Levels) -> Levels:
    """The mean over B samples that share a level: columns of shape (1,)."""
    return Levels(**{name: np.mean(values, keepdims=True) for name, values in vars(levels).items()})


def graded(table: LevelTable) -> LevelTable:
    """The levels at which an answer near zero gets a gradient, which a clamp keeps from the others."""
    kept = np.flatnonzero(table.levels.c != 0)
    steps = None if table.steps is None else table.steps[kept]
    complete = table.complete and len(kept) == len(table.law)
    return replace(table, levels=table.levels.at(kept), law=table.law[kept], steps=steps, complete=complete)


def measured(table: LevelTable, limits: list[str]) -> MeasuredLoss | None:
    """The table from the noise to the data, without levels that are not finite or have no signal or no noise."""
    levels = table.levels
    columns = np.stack([levels.A, levels.B, levels.a, levels.b, levels.c, table.law])
    size = np.maximum(np.abs(levels.A), np.abs(levels.B))
    with np.errstate(all="ignore"):
        empty = (np.abs(levels.A) <= 1e-7 * size) & (table.times is Times.STEPS)
        inner = (empty | (np.abs(levels.A) > 1e-7 * size)) & (np.abs(levels.B) > 1e-7 * size)
    # A step without signal (zero terminal SNR) is a term of the bound like any other.
    levels = replace(levels, A=np.where(empty, 0.0, levels.A))
    usable = np.all(np.isfinite(columns), axis=0) & inner & (empty | np.isfinite(levels.lam))
    if not usable.any():
        return None
    if not usable.all():
        limits.append(f"{int(np.sum(~usable))} levels without signal, without noise or not finite are left out")
    kept = np.flatnonzero(usable)
    kept = kept[np.argsort(levels.lam[kept], kind="stable")]
    if table.times is Times.CONTINUOUS:
        kept = _without_atoms(kept, levels.lam, table.law)
    chosen = levels.at(kept)
    law = table.law[kept] if table.times is Times.STEPS else np.sort(table.law[kept])
    one = np.array_equal(chosen.B, chosen.B_all)
    return MeasuredLoss(
        **chosen.columns(),
        times=table.times,
        law=law,
        state_error=_worst(chosen.state_error),
        target_error=_worst(chosen.target_error),
        coefficient_error=_worst(chosen.spread),
        steps=None if table.steps is None or table.times is not Times.STEPS else table.steps[kept],
        complete=table.complete,
        draws=table.draws,
        rounded=table.rounded,
        all_noise=None if one else (chosen.B_all, chosen.b_all),
    )


def _worst(errors: np.ndarray) -> float:
    """The largest residual; a few levels at which the quantity itself is nearly zero do not count."""
    return float(np.quantile(errors, 0.97))


def _without_atoms(order: np.ndarray, lam: np.ndarray, law: np.ndarray) -> np.ndarray:
    """Levels clamped to one end are one level, whose mass is that of all of them."""
    values = lam[order]
    first, last = 0, len(order) - 1
    while first < last and abs(values[first + 1] - values[0]) < 1e-6 * (1 + abs(values[0])):
        first += 1
    while last > first and abs(values[last - 1] - values[-1]) < 1e-6 * (1 + abs(values[-1])):
        last -= 1
    kept = order[first : last + 1]
    return kept[np.argsort(law[kept], kind="stable")] if np.all(np.diff(lam[kept]) >= -1e-6) else kept
