"""Is it the objective that was stated? The measured weight over the stated one, from the noise to the data.

A constant factor is a learning rate: it is told, and does not count. A shift of lam is what data of another scale would
make, and is told where it explains the difference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from reproflow.auditing.findings import Finding
from reproflow.auditing.measured_loss import Times
from reproflow.auditing.naming.coefficients import apart
from reproflow.auditing.naming.comparison import REACHED, Comparison, compare
from reproflow.auditing.naming.density import Weight
from reproflow.auditing.naming.laws import STEP, LawName
from reproflow.auditing.naming.levels import Levels
from reproflow.auditing.naming.paths import PathName
from reproflow.foundation.specs import Spec
from reproflow.judge.objectives.asked import of_specs
from reproflow.theory.log_snr import invert_lam
from reproflow.theory.objective import Objective, error_factor

if TYPE_CHECKING:
    from reproflow.auditing.expected import Expected

SAME = "same"
DIFFERENT = "different"
CANNOT = "cannot"
CANONICAL = "canonical"
"""A weight on this is one of the log-SNR alone, whatever the path is."""
SAME_COEFFICIENT = 2e-3
MISSED = 0.05
"""The share of the stated times whose levels the loss may leave out: clipped ends are far less."""
SCALES = (2.0, 0.5)
"""Scales of the data that are tried: [0, 1] for [-1, 1], and the other way."""


def path_of(path: PathName, law: LawName, expect: Expected) -> str | Spec | None:
    """The measured path as a command line says it, for an `expect` that states none; None where it has no name.

    A relation says nothing of the time, so it is a path on which the law of the times has a name, and best the stated
    one; a straight path needs no law.
    """
    known = sorted(law.on_paths, key=lambda each: (not each.carrier.own, each.time != expect.time))
    if known:
        return known[0].carrier.spec
    return "linear" if path.straight else None


def compared(
    weight: Weight | None,
    expect: Expected,
    levels: Levels | None = None,
    process: str = "gaussian",
    path: str | Spec | None = None,
) -> tuple[dict[str, Any], tuple[Finding, ...]]:
    """`expected` of the JSON contract, with `not-as-stated` where the two differ; `path` is where none is stated.

    Raises `UsageError` for an objective that cannot be used.
    """
    stated = of_specs(expect.weighting, expect.path or path, expect.time, process, expect.on, None)
    spec = {
        "weighting": expect.weighting,
        "on": stated.prediction,
        "path": stated.path.name,
        "time": stated.time.name,
    }
    nothing = {"spec": spec, "verdict": CANNOT, "factor": None, "ratio": None, "worst": None}
    if weight is None:
        return {**nothing, "reason": "the loss has no weight that could be read"}, ()
    if levels is not None and (expect.path or path) is None and stated.prediction != CANONICAL:
        return {**nothing, "reason": "none is stated, and the measured path has no name: give --path"}, ()
    found = compare(weight, _at(stated, weight.lam))
    if found is None:
        low, high = weight.lam[0], weight.lam[-1]
        reason = f"the stated path does not reach the measured log-SNRs, from {low:.4g} to {high:.4g}"
        return {**nothing, "reason": reason}, ()
    if levels is not None and levels.times is Times.STEPS:
        stepwise = _stepwise(levels, stated)
        if stepwise is not None:
            facts = {**nothing, "verdict": SAME, "factor": found.factor, "ratio": _ends(found), "reason": stepwise}
            return {**facts, "worst": _worst(found)}, ()
    same = found.excess <= weight.same
    missed = _missed(weight, stated)
    if same and missed > MISSED:
        return _partial(weight, found, {**nothing, "spec": spec}, missed)
    facts = {
        "spec": spec,
        "verdict": SAME if same else DIFFERENT,
        "factor": found.factor,
        "ratio": _ends(found),
        "worst": _worst(found),
        "reason": _reason(weight, found, same) + ("" if same else _scale(weight, stated)),
    }
    finding = Finding("not-as-stated", f"The loss is not the stated objective: {facts['reason']}.", _evidence(facts))
    return facts, () if same else (finding,)


def _at(stated: Objective, lam: np.ndarray) -> np.ndarray:
    return stated.signature(torch.from_numpy(np.ascontiguousarray(lam))).numpy()


def _stepwise(levels: Levels, stated: Objective) -> str | None:
    """In words, that the steps are those of the stated law and their weights exactly the stated ones; else None.

    The weight of a few steps near either end is not that of continuous time, for the discretisation alone: so the law's
    distance in u and the coefficient are compared, each by itself.
    """
    if stated.prediction == CANONICAL:
        return None
    t = invert_lam(stated.path, torch.from_numpy(levels.lam))
    reached = t.isfinite().numpy()
    if reached.mean() < REACHED:
        return None
    at = stated.path.at(t[torch.from_numpy(reached)])
    distance = float(np.abs(stated.time.cdf(at.t).numpy() - levels.cumulative[reached]).max())
    coefficient = (stated.weighting.at(at) * error_factor(stated.weighting, at)).detach().numpy()
    error = apart(levels.eps_coefficient[reached], coefficient)
    if distance > STEP or error > SAME_COEFFICIENT:
        return None
    return (
        f"on the loss's own steps its coefficient is the stated one's to {error:.2g}, and the steps follow the "
        f"stated path and law to {distance:.2g} in probability: the same but for the discretisation"
    )


def _missed(weight: Weight, stated: Objective) -> float:
    """The mass that the stated law has at levels beyond those that the loss draws, on the stated path."""
    if stated.prediction == CANONICAL:
        return 0.0
    t = invert_lam(stated.path, torch.tensor(weight.reach, dtype=torch.float64))
    inside = t.isfinite()
    u = torch.where(inside, stated.time.cdf(torch.where(inside, t, 0.5)), torch.tensor([0.0, 1.0], dtype=torch.float64))
    return 1.0 - abs(float(u[1] - u[0]))


def _partial(
    weight: Weight, found: Comparison, facts: dict[str, Any], missed: float
) -> tuple[dict[str, Any], tuple[Finding, ...]]:
    low, high = weight.reach
    reason = (
        f"at the levels that it draws its weight is the stated one, but they end at lam = {low:.4g} and {high:.4g}: "
        f"{missed:.0%} of the stated times are at others, which are never trained"
    )
    facts = {**facts, "verdict": DIFFERENT, "factor": found.factor, "ratio": _ends(found), "worst": _worst(found)}
    evidence = f"levels {low:.4g} to {high:.4g}"
    finding = Finding("not-as-stated", f"The loss is not the stated objective: {reason}.", evidence)
    return {**facts, "reason": reason}, (finding,)


def _worst(found: Comparison) -> dict[str, float]:
    """Where the ratio is farthest from 1."""
    place = int(np.argmax(np.abs(np.log(np.maximum(found.ratio, 1e-300)))))
    return {"lam": float(found.lam[place]), "ratio": float(found.ratio[place])}


def _ends(found: Comparison) -> dict[str, float]:
    """The ratio at the noise end, nearest to lam = 0, and at the data end."""
    middle = int(np.argmin(np.abs(found.lam)))
    return {"noise": float(found.ratio[0]), "middle": float(found.ratio[middle]), "data": float(found.ratio[-1])}


def _reason(weight: Weight, found: Comparison, same: bool) -> str:
    low, high = found.lam[0], found.lam[-1]
    factor = f"its weight is {found.factor:.6g} times the stated one, a constant, which only scales the learning rate"
    if same:
        return f"{factor}; they agree to {found.error_range:.2g} for lam from {low:.4g} to {high:.4g}"
    ends, worst = _ends(found), _worst(found)
    return (
        f"beside a constant its weight is {ends['noise']:.4g} of the stated one at the noise end (lam = {low:.4g}), "
        f"{ends['middle']:.4g} at lam = 0 and {ends['data']:.4g} at the data end (lam = {high:.4g}), most at lam = "
        f"{worst['lam']:.4g} with {worst['ratio']:.4g}, where {weight.same:g} would be the same"
    )


def _scale(weight: Weight, stated: Objective) -> str:
    """What data of another scale would explain, in words, or nothing."""
    for scale in SCALES:
        moved = compare(weight, _at(stated, weight.lam + 2 * float(np.log(scale))))
        if moved is not None and moved.excess <= weight.same:
            return f"; with data of {scale:g} times that scale they agree: is --data right?"
    return ""


def _evidence(facts: dict[str, Any]) -> str:
    ends, worst = facts["ratio"], facts["worst"]
    ratios = ", ".join(f"{where} {value:.4g}" for where, value in ends.items())
    return f"measured over stated: {ratios}; worst {worst['ratio']:.4g} at lam = {worst['lam']:.4g}"
