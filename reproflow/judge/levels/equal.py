"""What a loss on the levels of a chain is the same as: a constant on a prediction, or a registered weighting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from reproflow.foundation import registry
from reproflow.foundation.errors import UsageError
from reproflow.judge.levels.schedule import Levels
from reproflow.judge.levels.weights import LevelWeights, level_weights
from reproflow.theory.processes.base import facts
from reproflow.theory.weightings import Weighting, get_weighting

SAME = 1e-8


@dataclass(frozen=True)
class Ratio:
    """Two weights over the same levels: other = `factor` times this, to `relative` at the level `place`."""

    factor: float
    relative: float
    place: int


def values(weighting: Weighting, levels: Levels) -> np.ndarray:
    """A weighting's value at every level. Raises `UsageError` where it is NaN, with the level."""
    with np.errstate(all="ignore"):
        found = weighting.at(levels.coefficients).detach().double().numpy()
    bad = np.isnan(found)
    if bad.any():
        place = int(bad.argmax())
        raise UsageError(
            f"weighting {weighting.name!r} is NaN at index {levels.index[place]} (lam = {levels.lam[place]:.4g})."
        )
    return found


def ratio(this: np.ndarray, other: np.ndarray) -> Ratio | None:
    """How two canonical weights compare: the median of their ratio, and what is farthest from it.

    Levels without a weight are left out; where one of the two is zero alone, the difference is 1. None where there is
    nothing to compare.
    """
    both = np.flatnonzero(~(np.isnan(this) | np.isnan(other)))
    a, b = this[both], other[both]
    positive = (a != 0) & (b != 0)
    if not positive.any() or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return None
    factor = float(np.median(b[positive] / a[positive]))
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.where(positive, np.abs(b / (factor * a) - 1), np.where((a == 0) & (b == 0), 0.0, 1.0))
    worst = int(apart.argmax())
    return Ratio(factor, float(apart[worst]), int(both[worst]))


def equivalents(loss: LevelWeights, tolerance: float) -> list[dict[str, Any]]:
    """The constants and registered weightings (default parameters) whose loss on these levels is proportional."""
    levels, found = loss.levels, []
    for on in facts(levels.process).weighted:
        candidates = [("1", np.ones(len(levels)))]
        for entry in registry.entries("weighting", levels.process):
            weighting = get_weighting(entry.name, levels.process)
            if weighting.on == on:
                candidates.append((entry.name, weighting))  # type: ignore[arg-type]
        for name, what in candidates:
            try:
                value = what if isinstance(what, np.ndarray) else values(what, levels)
                other = level_weights(levels, value, on, loss.probability)
            except UsageError:
                continue  # not defined on these levels
            compared = ratio(loss.w, other.w)
            if compared is not None and compared.relative <= tolerance and compared.factor > 0:
                found.append({"weighting": name, "on": on, "factor": compared.factor})
    return found
