"""What the objective that a loss trains is judged to be.

Exactly, where its named parts, put together as path, law and weighting, have the measured weight (`parts`); a weight
that is no named part counts as one only where the coefficient, read at each level, is exactly its own. Else as the
published objective or registered combination with that weight (`same_as`); else by the measured weight itself, with the
tolerance of its reading (`table`). Steps are judged as a chain besides, level by level.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from reproflow.auditing.measured_loss import Times
from reproflow.auditing.naming.candidates import Candidate
from reproflow.auditing.naming.coefficients import ERROR, CoefficientName, name_coefficient
from reproflow.auditing.naming.comparison import CERTAIN, REACHED, compare
from reproflow.auditing.naming.density import Chain, Weight
from reproflow.auditing.naming.inverses import times_on
from reproflow.auditing.naming.laws import LawName
from reproflow.auditing.naming.levels import Levels
from reproflow.auditing.naming.targets import TargetName
from reproflow.foundation import registry
from reproflow.foundation.errors import UsageError
from reproflow.foundation.specs import Spec
from reproflow.foundation.tables import Table
from reproflow.judge.levels import judgement as chains
from reproflow.judge.levels import schedule
from reproflow.judge.objectives.judgement import Judgement, objective
from reproflow.judge.objectives.measured_weights import measured, within
from reproflow.numerics.derivatives import Mode
from reproflow.theory.objective import Objective
from reproflow.theory.paths import get_path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

ANYWHERE = ("x1", "eps")
"""Predictions whose error is that of any path's at the same log-SNR."""


def judge(
    levels: Levels,
    weight: Weight,
    steps: Chain | None,
    target: TargetName,
    coefficient: CoefficientName,
    law: LawName,
    same: Sequence[Candidate],
) -> dict[str, Any] | None:
    """The judgement's dictionary with `exit_code`, `by` (parts, same_as, table), `spec`, and `chain` of steps.

    None where nothing can be claimed: times known by draws alone, unless law and coefficient are named or exactly those
    of a named weight; too few levels.
    """
    found = _by_parts(levels, weight, target, coefficient, law, same)
    if found is None and weight.times is not Times.DRAWN:  # else a density known to a few percent certifies anything
        found = by_candidate(weight, same)
    found = found or _by_table(weight, steps)
    if found is not None and steps is not None and "chain" not in found:
        found["chain"] = _chain_facts(_by_chain(steps, weight))
    return found


def _by_parts(
    levels: Levels,
    weight: Weight,
    target: TargetName,
    coefficient: CoefficientName,
    law: LawName,
    same: Sequence[Candidate],
) -> dict[str, Any] | None:
    """Law and coefficient have names, or the law has and the measured coefficient is that of a named weight on it."""
    named = ((spec, True) for spec in _specs(levels, target, coefficient, law))
    like = ((spec, False) for spec in _weighted(law, same))
    for spec, has_names in itertools.chain(named, like):
        subject = objective_of(spec)
        if not has_names and not _has_coefficient(levels, subject, spec["path"]):
            continue
        found = compare(weight, subject.signature(torch.from_numpy(weight.lam)).numpy())
        if found is not None and (found.excess <= weight.same or found.error_bulk <= weight.near):
            return facts(objective(subject, mode=Mode.REVERSE), "parts", spec, found.error_range)
    return None


def _has_coefficient(levels: Levels, subject: Objective, path: str | Spec) -> bool:
    """Whether the coefficient on the eps error is the objective's at every level, to the precision of the coefficient.

    It is read at each level by itself: however little draws, or steps, say of the density between levels, a rise of
    the weight that is one of the coefficient shows.
    """
    t = times_on(path, levels.lam)
    reached = np.isfinite(t)
    if reached.mean() < REACHED:
        return False
    stated = subject.coefficient(torch.from_numpy(t[reached])).detach().numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = levels.eps_coefficient[reached] / stated
        distance = np.nan_to_num(np.abs(ratio / np.median(ratio) - 1), nan=np.inf)
    return bool((distance - CERTAIN * levels.precision[reached]).max() <= ERROR)


def _specs(levels: Levels, target: TargetName, coefficient: CoefficientName, law: LawName) -> Iterator[dict[str, Any]]:
    """Parts in the words of `check weighting`, the target's own first, then the same weight on x1 and on eps."""
    for on_path in law.on_paths:
        carrier, prediction = on_path.carrier, target.prediction
        base = {"path": carrier.spec, "time": on_path.time}
        direct = prediction in ANYWHERE or (carrier.own and prediction in ("v", "velocity", "score"))
        if direct and coefficient.weighting is not None:
            yield {"weighting": coefficient.weighting, "on": prediction, **base}
        for on, c in (("x1", levels.x1_coefficient), ("eps", levels.eps_coefficient)):
            named = name_coefficient(levels, c, on, on, carrier)
            if named.weighting is not None:
                yield {"weighting": named.weighting, "on": on, **base}


def _weighted(law: LawName, same: Sequence[Candidate]) -> Iterator[dict[str, Any]]:
    """The weights of like objectives, and the canonical ones, on the loss's own law: it may stop short of an end."""
    names = [each.name for each in registry.entries("weighting", "gaussian") if each.meta.get("on") == "canonical"]
    for on_path in law.on_paths:
        base = {"path": on_path.carrier.spec, "time": on_path.time}
        for each in same:
            if each.on in (*ANYWHERE, "canonical"):
                yield {"weighting": each.weighting, "on": each.on, **base}
        yield from ({"weighting": name, "on": "canonical", **base} for name in names)


def objective_of(spec: dict[str, Any], process: str = "gaussian") -> Objective:
    """The objective of weighting, on, path and time."""
    path = get_path(spec["path"], process, Mode.REVERSE)
    law = get_time_law(spec["time"], fine=True, mode=Mode.REVERSE)
    return Objective(path, law, get_weighting(spec["weighting"], process, spec["on"]))


def by_candidate(weight: Weight, same: Sequence[Candidate]) -> dict[str, Any] | None:
    for each in same:
        if each.comparison.excess <= weight.same:
            spec = each.spec | {"name": each.name}
            return facts(objective(each.objective(), mode=Mode.REVERSE), "same_as", spec, each.comparison.error_range)
    return None


def _by_table(weight: Weight, steps: Chain | None) -> dict[str, Any] | None:
    """The measured weight's own judgement: of all steps as a chain, of quantiles as a function."""
    if weight.rise is None:
        return None
    if steps is not None and steps.whole:
        found = _by_chain(steps, weight)
        if found is not None:
            return {
                **found.as_dict(),
                "exit_code": found.exit_code,
                "by": "table",
                "spec": None,
                "chain": _chain_facts(found),
            }
    return by_values(weight)


def by_values(weight: Weight) -> dict[str, Any] | None:
    """The judgement of the measured weight as a function of lam; None where no rise can be claimed."""
    if weight.rise is None:
        return None
    try:
        judged = measured(weight.lam, weight.w / np.median(np.abs(weight.w)), weight.rise, weight.process)
    except (UsageError, ZeroDivisionError):
        return None
    return facts(judged, "table", None, None)


def facts(found: Judgement, by: str, spec: dict[str, Any] | None, error: float | None) -> dict[str, Any]:
    words = None if spec is None else {key: str(value) for key, value in spec.items()}
    return {**found.as_dict(), "exit_code": found.exit_code, "by": by, "spec": words, "error": error}


def _by_chain(steps: Chain, weight: Weight) -> chains.LevelsJudgement | None:
    """The judgement on the levels' own weights; None where not all levels were read."""
    if not steps.whole or weight.rise is None:
        return None
    inner = np.isfinite(steps.w)
    flat, value = steps.w.copy(), steps.x1_coefficient.copy()
    flat[inner] = within(steps.w[inner], weight.rise)
    with np.errstate(divide="ignore", invalid="ignore"):
        value[inner] *= np.where(steps.w[inner] != 0, flat[inner] / steps.w[inner], 1.0)
    scale = float(np.median(np.abs(value[np.isfinite(value)])))
    order = slice(None, None, -1)
    levels = schedule.from_table(Table("the measured levels", steps.lam[order]), "log_snr", "gaussian")
    asked = chains.Asked(
        Table("the measured weights", (value / scale)[order]), "x1", Table("the measured law", steps.probability[order])
    )
    return chains.judge(asked, levels)


def _chain_facts(found: chains.LevelsJudgement | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "verdict": found.bound["verdict"],
        "admissible": found.admissible["verdict"],
        "identified": found.identified["verdict"],
        "reason": found.bound["reason"],
    }
