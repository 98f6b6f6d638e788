"""A loss on the levels of a chain said otherwise: as a law over levels, on other predictions, and what it stresses."""

from __future__ import annotations

from typing import Any

import numpy as np

from reproflow.foundation.errors import UsageError
from reproflow.foundation.verdicts import number
from reproflow.judge.levels.weights import LevelWeights
from reproflow.theory.processes.base import facts

QUARTILES = (0.25, 0.5, 0.75)


def plain_numbers(values: np.ndarray) -> list[float | str | None]:
    """Numbers as JSON can hold them."""
    return [number(float(each)) for each in values]


def replacement(loss: LevelWeights) -> dict[str, Any]:
    """The law over levels that would replace the weight (Lemma 4.7): pi_i c_i / K."""
    each, empty = loss.loss, {"K": None, "index": None, "probability": None}
    if np.isnan(each).any():
        return {
            **empty,
            "reason": "w says nothing of the level next to the data: there is no law over all levels",
        }
    total = float(each.sum())
    if (each < 0).any() or not np.isfinite(total) or total <= 0:
        return {**empty, "reason": "the weight is negative, infinite or zero: no law has such probabilities"}
    reason = "draw the level from this law with weight 1, and multiply the loss by K: the same mean, by Lemma 4.7"
    index = loss.levels.index
    return {"K": total, "index": index.tolist(), "probability": (each / total).tolist(), "reason": reason}


def targets(loss: LevelWeights) -> dict[str, Any] | None:
    """The factor on every other prediction that gives the same loss, by level."""
    names = [each for each in facts(loss.levels.process).weighted if each not in (loss.prediction, "canonical")]
    found: dict[str, Any] = {"index": loss.levels.index.tolist()}
    for name in names:
        try:
            found[name] = [each if isinstance(each, float) else None for each in plain_numbers(loss.on(name))]
        except UsageError:
            continue  # a table has no velocity
    return found if len(found) > 1 else None


def stresses(loss: LevelWeights, reference: np.ndarray) -> dict[str, Any] | None:
    """Where the loss of a predictor that knows no data lies: the levels at its quartiles, from data to noise."""
    each = (
        loss.probability
        * np.nan_to_num(loss.coefficient, posinf=np.inf)
        * np.where(np.isfinite(reference), reference, 0.0)
    )
    if not np.isfinite(each).all() or (each < 0).any() or not each.sum() > 0:
        return None
    places = np.searchsorted(np.cumsum(each) / each.sum(), QUARTILES)
    return {"index": loss.levels.index[places].tolist(), "lam": plain_numbers(loss.levels.lam[places])}
