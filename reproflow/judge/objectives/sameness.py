"""Are two objectives one? Their canonical weights as functions of the log-SNR, wherever both paths reach.

The ratio is looked at on a grid of lam and at times uniform in t on either path; `factor` is its median, so that two
objectives that differ on a part are compared on the rest, and `difference` what is farthest from it. They are the same
where nothing is farther than 1e-8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from reproflow.foundation.errors import UsageError
from reproflow.foundation.verdicts import INCONCLUSIVE, number
from reproflow.judge.drawn_laws import DRAWN
from reproflow.judge.objectives.numeric_objective import NumericObjective
from reproflow.theory.equivalence import SAME as TOLERANCE
from reproflow.theory.log_snr import invert_lam
from reproflow.theory.objective import Objective

SAME = "same"
DIFFERENT = "different"
FARTHEST = 20.0
LAM = 4001
TIMES = 2003
NEAREST = 1e-6
"""How near to 0 and 1 times are looked at: nearer, 1 - t and a law's own quantile have too few digits for 1e-8."""
SINGLE = 1e-5
"""Up to this a difference may come from single precision, where a function is computed in it."""


@dataclass(frozen=True)
class Grid:
    """Log-SNRs that both paths reach, in order, and the times of either there; each (P,)."""

    lam: np.ndarray
    t: np.ndarray
    other_t: np.ndarray


def compare(one: NumericObjective, other: NumericObjective) -> dict[str, Any]:
    """`verdict` (same, different, inconclusive), `factor` (other over one), `difference`, where, and `reason`.

    Raises `UsageError` for objectives of two processes, and where a weight is NaN.
    """
    base = _named(other.objective)
    if one.objective.process != other.objective.process:
        raise UsageError("--against compares two objectives of one process.")
    if any(DRAWN in each.objective.time.entry.meta for each in (one, other)):
        reason = "a law that is known by draws alone is the same as no other to 1e-8: give its density"
        return {**base, "verdict": INCONCLUSIVE, **_NOTHING, "reason": reason}
    if fault := one.fault() or other.fault():
        return {**base, "verdict": INCONCLUSIVE, **_NOTHING, "reason": fault}
    on = _grid(one, other)
    if not len(on.lam):
        return {**base, "verdict": INCONCLUSIVE, **_NOTHING, "reason": "no log-SNR is reached by both paths"}
    a, b = one.w(on.t), other.w(on.other_t)
    positive = (a != 0) & (b != 0) & np.isfinite(a) & np.isfinite(b)
    if not positive.any():
        reason = "one of the weights is zero or infinite wherever the other is neither: there is no factor"
        return {**base, "verdict": DIFFERENT, **_NOTHING, "reason": reason}
    factor = float(np.median(b[positive] / a[positive]))
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.where(positive, np.abs(b / (factor * a) - 1), np.where((a == b) & np.isfinite(a), 0.0, np.inf))
    worst = int(apart.argmax())
    found = {
        "factor": factor,
        "difference": {
            "relative": number(float(apart[worst])),
            "lam": float(on.lam[worst]),
            "t": float(on.t[worst]),
            "other_t": float(on.other_t[worst]),
        },
        "range": [float(on.lam[0]), float(on.lam[-1])],
        "differs": _hull(on.lam, apart),
        "points": len(on.lam),
    }
    verdict = SAME if apart[worst] <= TOLERANCE and factor > 0 else DIFFERENT
    if verdict == DIFFERENT and apart[worst] <= SINGLE and (_single(one, on.t) or _single(other, on.other_t)):
        verdict = INCONCLUSIVE
    return {**base, "verdict": verdict, **found, "reason": _reason(verdict, found)}


def _named(objective: Objective) -> dict[str, Any]:
    return {
        "spec": objective.weighting.name,
        "path": objective.path.name,
        "time": objective.time.name,
        "target": objective.prediction,
    }


_NOTHING: dict[str, Any] = {"factor": None, "difference": None, "range": None, "differs": None, "points": 0}


def _grid(one: NumericObjective, other: NumericObjective) -> Grid:
    """A grid of lam and of t on both paths, where 1 - t, t and the quantile of either law keep their digits."""
    # No round numbers: a step that someone has put there would be looked at on its edge.
    times = (np.arange(TIMES) + 0.4871) / TIMES
    lam = np.unique(np.concatenate([np.linspace(-FARTHEST - 3e-3, FARTHEST, LAM), one.lam(times), other.lam(times)]))
    lam = lam[np.abs(lam) <= FARTHEST]
    first, second = (invert_lam(each.objective.path, torch.from_numpy(lam)).detach().numpy() for each in (one, other))
    good = np.isfinite(first) & np.isfinite(second)
    for each, t in ((one, first), (other, second)):
        good &= (t >= NEAREST) & (t <= min(1 - NEAREST, _resolved(each)))
    return Grid(lam[good], first[good], second[good])


def _resolved(subject: NumericObjective) -> float:
    """The t up to which a law that states no density gives one to ten digits."""
    law = subject.objective.time
    if subject.objective.prediction == "canonical" or law.entry.meta.get("density"):
        return 1.0
    return float(subject.quantile(np.array([1 - NEAREST]))[0])


def _hull(lam: np.ndarray, apart: np.ndarray) -> list[float] | None:
    """From the first to the last lam at which the weights differ."""
    places = np.flatnonzero(apart > TOLERANCE)
    return [float(lam[places[0]]), float(lam[places[-1]])] if len(places) else None


def _single(subject: NumericObjective, t: np.ndarray) -> bool:
    """Whether the weighting's values, or the path's, are those of single precision."""
    alpha = subject.objective.path(torch.from_numpy(t))[0].detach().numpy()
    return any(
        len(np.unique(values)) > 2 and bool((values == values.astype(np.float32)).all())
        for values in (subject.value(t), alpha)
    )


def _reason(verdict: str, found: dict[str, Any]) -> str:
    low, high = found["range"]
    where = f"for λ from {low:.4g} to {high:.4g} ({found['points']} places)"
    if verdict == SAME:
        return (
            f"the other weight is {found['factor']:.8g} times this one {where}, to {TOLERANCE:g}: one ideal objective"
        )
    at = found["difference"]
    size = "infinitely" if at["relative"] == "inf" else f"by up to {100 * at['relative']:.3g} %"
    first, last = found["differs"] or (low, high)
    words = (
        f"beside the factor {found['factor']:.6g} the weights differ {size}, most at λ = {at['lam']:.4g} "
        f"(t = {at['t']:.4g}); they differ between λ = {first:.4g} and {last:.4g}, looked at {where}"
    )
    return f"{words}; single precision explains that much" if verdict == INCONCLUSIVE else words
