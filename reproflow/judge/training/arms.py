"""The arms of `check --train`: what a weighting is trained beside, and what is said of the outcome."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reproflow.foundation import processes
from reproflow.numerics.paired import compare_seeds
from reproflow.numerics.relabelling import FEWEST_PAIRS
from reproflow.numerics.statistics import mean_interval
from reproflow.theory.equivalence import ANY
from reproflow.theory.objective import Objective
from reproflow.theory.paths import get_path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

SAME = "same objective"
WORDS = {
    "better": "better",
    "worse": "worse",
    "not separated": "not separated, which does not say that they are equal",
    "too few seeds": f"fewer than {FEWEST_PAIRS} pairs of seeds, so no interval and no verdict",
}


@dataclass(frozen=True)
class Arm:
    """One of the objectives that are trained; `role` is `this`, `same objective`, `elbo` or `usual`."""

    role: str
    objective: Objective

    @property
    def name(self) -> tuple[str, str, str, str]:
        """Path, time law, weighting and what it multiplies: two arms with one name are one."""
        objective = self.objective
        return objective.path.name, objective.time.name, objective.weighting.name, objective.prediction


@dataclass
class Outcome:
    """What became of an arm: the metric by seed, and why a seed has none."""

    values: dict[Hashable, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def arms(subject: Objective, equivalent: Sequence[Mapping[str, Any]]) -> list[Arm]:
    """The subject first, then its neighbours; one that is the subject itself, or another neighbour, is left out.

    `equivalent` holds registered combinations with the subject's canonical weight, as `check` tells them.
    """
    process, path, law = subject.process, subject.path, subject.time
    found = [Arm("this", subject)]
    if same := _same_objective(subject, equivalent):
        found.append(same)
    found.append(Arm("elbo", Objective(path, law, get_weighting("elbo", process))))
    found.append(Arm("usual", Objective(path, law, get_weighting(processes.facts(process).usual_weighting, process))))
    kept: dict[tuple[str, ...], Arm] = {}
    for arm in found:
        kept.setdefault(arm.name, arm)
    return list(kept.values())


def _same_objective(subject: Objective, equivalent: Sequence[Mapping[str, Any]]) -> Arm | None:
    """The registered combination with the same canonical weight that is most worth training.

    One with the same path and another time law (it differs in the noise of gradients alone), else one with another
    path, else one that says the same loss in other words.
    """
    itself = Arm("this", subject).name
    candidates = [each for each in (_combination(subject, every) for every in equivalent) if each.name != itself]

    def rank(arm: Arm) -> int:
        same_path, same_law = arm.name[0] == itself[0], arm.name[1] == itself[1]
        if not same_path:
            return 1
        return 2 if same_law else 0

    return min(candidates, key=rank, default=None)


def _combination(subject: Objective, each: Mapping[str, Any]) -> Arm:
    process = subject.process
    path = subject.path if each["path"] == ANY else get_path(each["path"], process)
    law = get_time_law("uniform" if each["time"] == ANY else each["time"], fine=True)
    return Arm(SAME, Objective(path, law, get_weighting(each["weighting"], process)))


def told(trained: Sequence[Arm], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """`this` and `neighbours` as JSON holds them: values, means and paired differences, this less the neighbour."""
    rows = compare_seeds([(outcomes[0].values, each.values) for each in outcomes[1:]])
    neighbours = [
        {**_side(arm, outcome), **_difference(row), "reason": _words(arm, row)}
        for arm, outcome, row in zip(trained[1:], outcomes[1:], rows, strict=True)
    ]
    return {"this": _side(trained[0], outcomes[0]), "neighbours": neighbours}


def _side(arm: Arm, outcome: Outcome) -> dict[str, Any]:
    estimate = mean_interval(list(outcome.values.values()))
    path, law, weighting, on = arm.name
    return {
        "role": arm.role, "weighting": weighting, "on": on, "path": path, "time": law,
        "values": {str(seed): value for seed, value in outcome.values.items()},
        "mean": _plain(estimate.mean), "interval": [estimate.low, estimate.high] if estimate.decided else None,
        "failures": outcome.failures,
    }  # fmt: skip


def _difference(row: Mapping[str, Any]) -> dict[str, Any]:
    interval = [_plain(row["difference_low"]), _plain(row["difference_high"])]
    return {
        "pairs": row["pairs"], "difference": _plain(row["difference"]),
        "difference_interval": None if None in interval else interval,
        "p_holm": _plain(row["p_holm"]), "p_adjusted": _plain(row["p_adjusted"]),
        "detectable": _plain(row["detectable"]), "verdict": row["verdict"],
    }  # fmt: skip


def _words(arm: Arm, row: Mapping[str, Any]) -> str:
    """One line a neighbour, said of the weighting under judgement."""
    low, high, pairs = row["difference_low"], row["difference_high"], row["pairs"]
    if pairs == 0:
        return "no pair of seeds has a result"
    if low == high == 0:
        return f"equal in all {pairs} pairs, to the last digit"
    interval = f" [{low:+.3g}, {high:+.3g}]" if math.isfinite(low) else ""
    same = "; the ideal objective is the same" if arm.role == SAME else ""
    return f"{row['difference']:+.3g}{interval} over {pairs} pairs: {WORDS[row['verdict']]}{same}"


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
