"""The three verdicts on a loss over the levels of a chain: sums for integrals, levels named by their index."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from reproflow.foundation.verdicts import INCONCLUSIVE, REFUTED, SUPPORTED, number
from reproflow.judge.levels.weights import CHAINS, LevelWeights
from reproflow.theory.bounds import CERTIFIED, NOT_REPRESENTABLE

RISE = 1e-6
"""The share of its running minimum by which w may exceed it, as on a path."""
STEP = 1e-9
"""The share of itself by which w may rise in one step by rounding, unless many such steps add up."""
SHOWN = 3


def admissible(loss: LevelWeights) -> dict[str, Any]:
    """Every hypothesis of Lemma 4.7 of 000 on a chain: every level drawn, a positive weight there, a finite sum."""
    index, value = loss.levels.index, loss.coefficient if loss.prediction == "canonical" else loss.value
    known = ~np.isnan(value)
    broken = []
    if bad := _named(index[known & (value < 0)]):
        broken.append(f"the weight is negative at {bad}")
    if bad := _named(index[known & (value == 0) & (loss.probability > 0)]):
        broken.append(f"the weight is zero at {bad}")
    if bad := _named(index[loss.probability == 0]):
        broken.append(f"{bad} never drawn")
    total = float(loss.loss[known].sum())
    if not np.isfinite(total):
        broken.append(f"the weight is infinite at {_named(index[known & np.isinf(value)])}")
    what = loss.prediction if loss.prediction != "canonical" else f"{_error(loss)}, without the level next to the data,"
    every = f"w > 0 on all {len(index)} levels, each is drawn"
    reason = f"{every}, and the coefficient of the {what} error has the mean {total:.6g}"
    return {
        "verdict": REFUTED if broken else SUPPORTED,
        "mass": number(total),
        "reason": "; ".join(broken) or reason,
    }


def identified(loss: LevelWeights) -> dict[str, Any]:
    """Whether every level's prediction of the data is trained; `levels` are those whose is not, by index."""
    index, at = loss.levels.index, loss.probability * np.where(np.isnan(loss.coefficient), 1.0, loss.coefficient)
    at = np.where(loss.probability == 0, 0.0, at)
    negative, zero = index[at < 0], index[at == 0]
    broken = [f"the weight is negative at {_named(negative)}: the loss has no minimum there"] if len(negative) else []
    blind = loss.levels.index[(at == 0) & (loss.value != 0) & (loss.probability > 0)]
    if len(zero):
        why = ""
        if len(blind):
            error = f"an error of {loss.prediction} says nothing of the data: use x1 or v"
            why = f" (at {_named(blind)} the SNR is 0, where {error})"
        broken.append(f"w pi is zero at {_named(zero)}: the network may say anything of the data there{why}")
    return {
        "verdict": REFUTED if broken else SUPPORTED,
        "levels": sorted(int(each) for each in zero),
        "reason": "; ".join(broken) or f"w pi > 0 on all {len(index)} levels: the minimiser is unique",
    }


@dataclass(frozen=True)
class Climb:
    """A stretch of levels over which w rises towards the data: places from noise to data."""

    first: int
    last: int


def bound(loss: LevelWeights) -> dict[str, Any]:
    """Whether the loss is a sum of bounds with positive coefficients: w does not rise from level to level to the data.

    `violation` holds the hull and its pieces as `intervals`, each with the levels by index from noise to data, lam, w,
    and the number of `steps` that rise; `minorant` the share of the sum of w times the step of lam under the running
    minimum; `advice` the running maximum and the `factor` on the weight that makes it so, by index.
    """
    keep = ~np.isnan(loss.w)
    index, lam, w = (each[keep][::-1] for each in (loss.levels.index, loss.levels.lam, loss.w))
    noise = _noise(loss)[keep][::-1]
    fault = _fault(index, w)
    climbs = [] if fault else _climbs(w, np.zeros_like(w))
    sure = [] if fault else _climbs(w, noise)
    reason = fault or _risen(index, lam, w, climbs) if fault or climbs else _level(index)
    verdict = CERTIFIED if not (fault or climbs) else NOT_REPRESENTABLE
    if climbs and not sure:
        verdict = INCONCLUSIVE
        reason += (
            f"; all of it within the rounding of the table ({_largest(noise):.2g} of w): give it in double precision"
        )
    minorant = None if fault else _minorant(loss, keep)
    if climbs and minorant is not None:
        reason += f"; its running minimum certifies {100 * minorant:.3g} % of its mass all the same"
    if len(first := loss.levels.index[~keep]):
        reason += f"; {_named(first)}, next to the data, left out: its term is the decoder's"
    return {
        "verdict": verdict,
        "violation": _violation(index, lam, w, climbs) if climbs else None,
        "minorant": minorant,
        "resolution": len(w),
        "advice": _advice(loss, index, w) if climbs else None,
        "reason": reason,
    }


def _fault(index: np.ndarray, w: np.ndarray) -> str:
    if (w < 0).any():
        return f"w is negative at {_named(index[w < 0])}, down to {w.min():.3g}; a measure is not"
    if np.isinf(w).any():
        return f"w is infinite at {_named(index[np.isinf(w)])}"
    return "" if (w > 0).any() else "zero objective: w is zero on every level, there is nothing to bound"


def _climbs(w: np.ndarray, noise: np.ndarray) -> list[Climb]:
    """The stretches, noise to data, in which w rises to more than its running minimum by `RISE` and by rounding."""
    low, high = w * (1 - noise), w * (1 + noise)
    least = np.minimum.accumulate(high)
    above = low[1:] > least[:-1] * (1 + RISE)
    up = above & (w[1:] > w[:-1] * (1 + STEP))
    places = 1 + np.flatnonzero(up if up.any() else above & (w[1:] > w[:-1]))
    if not len(places):
        return []
    runs = np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)
    return [Climb(int(run[0]) - 1, int(run[-1])) for run in runs]


def _noise(loss: LevelWeights) -> np.ndarray:
    """How far off w may be, relative to itself, for the digits of the table of levels, (N,)."""
    levels = loss.levels
    before = np.concatenate([[0.0], levels.rounding[:-1]])
    step = np.concatenate([[np.inf], -np.diff(levels.lam)])
    with np.errstate(invalid="ignore"):
        return loss.rounding + np.nan_to_num((levels.rounding + before) / step)


def _largest(noise: np.ndarray) -> float:
    return float(noise.max(initial=0.0))


def _level(index: np.ndarray) -> str:
    return f"w is finite, not negative, and does not rise from level to level towards the data ({len(index)} levels)"


def _risen(index: np.ndarray, lam: np.ndarray, w: np.ndarray, climbs: list[Climb]) -> str:
    steps = sum(each.last - each.first for each in climbs)
    parts = [_piece(index, w, each) for each in climbs[:SHOWN]]
    more = f" and {len(climbs) - SHOWN} more" if len(climbs) > SHOWN else ""
    return (
        f"w rises towards the data over {steps} of {len(w) - 1} steps between levels: {'; '.join(parts)}{more}; "
        "as a sum of bounds it would need negative coefficients there"
    )


def _piece(index: np.ndarray, w: np.ndarray, climb: Climb) -> str:
    return f"from index {index[climb.first]} to {index[climb.last]}, {w[climb.first]:.4g} to {w[climb.last]:.4g}"


def _violation(index: np.ndarray, lam: np.ndarray, w: np.ndarray, climbs: list[Climb]) -> dict[str, Any]:
    whole = Climb(climbs[0].first, climbs[-1].last)
    pieces = [{**_ends(index, lam, w, each), "steps": each.last - each.first} for each in climbs]
    return {**_ends(index, lam, w, whole), "steps": sum(each["steps"] for each in pieces), "intervals": pieces}


def _ends(index: np.ndarray, lam: np.ndarray, w: np.ndarray, climb: Climb) -> dict[str, Any]:
    ends = climb.first, climb.last
    return {
        "levels": [int(index[each]) for each in ends],
        "lam": [number(float(lam[each])) for each in ends],
        "w": [float(w[each]) for each in ends],
    }


def _minorant(loss: LevelWeights, keep: np.ndarray) -> float | None:
    """The share of the sum of w times the fall of lam that the running minimum holds, over levels of finite lam."""
    step = np.concatenate([[np.inf], -np.diff(loss.levels.lam)])
    w, step = loss.w[keep][::-1], step[keep][::-1]
    least = np.minimum.accumulate(w)
    finite = np.isfinite(step)
    w, least, step = w[finite], least[finite], step[finite]
    return float(least @ step / (w @ step)) if w @ step > 0 else None


def _advice(loss: LevelWeights, index: np.ndarray, w: np.ndarray) -> dict[str, Any]:
    greatest = np.maximum.accumulate(w[::-1])[::-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        times = np.where(w > 0, greatest / w, np.inf)
    text = (
        "multiply the weight by factor: that gives the running maximum from the data end, the smallest certified "
        "weight above this one (a factor of inf: the weight is zero there); here w is divided by its largest value"
    )
    return {
        "text": text,
        "index": index[::-1].tolist(),
        "w": (greatest / greatest[0])[::-1].tolist(),
        "factor": [number(float(each)) for each in times[::-1]],
    }


def _error(loss: LevelWeights) -> str:
    return CHAINS[loss.levels.process]().error


def _named(index: Iterable[int]) -> str:
    """Levels by index in words, ranges joined: `index 0`, `index 0, 5-9`; nothing where there are none."""
    order = sorted(int(each) for each in index)
    if not order:
        return ""
    runs = np.split(order, np.flatnonzero(np.diff(order) > 1) + 1)
    parts = [f"{run[0]}" if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    return f"index {', '.join(parts[: 2 * SHOWN])}" + (
        f" and {len(parts) - 2 * SHOWN} more" if len(parts) > 2 * SHOWN else ""
    )
