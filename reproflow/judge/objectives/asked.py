"""An objective as it is asked about: its parts by their specs, and in which direction the user's own functions run."""

from __future__ import annotations

from dataclasses import dataclass, replace

from reproflow.foundation.code_limits import Budget
from reproflow.foundation.specs import Spec
from reproflow.judge.laws import time_law
from reproflow.judge.objectives.numeric_objective import NumericObjective
from reproflow.judge.time_budget import limited
from reproflow.numerics.derivatives import Mode
from reproflow.numerics.intervals import Interval
from reproflow.theory import pointwise, time_direction
from reproflow.theory.objective import Objective
from reproflow.theory.paths import get_path
from reproflow.theory.weightings import get_weighting

DEFAULT_PATH = "linear"


@dataclass(frozen=True)
class Against:
    """Another objective by its specs, to be compared with one that is judged: what is None is as there."""

    weighting: str | Spec
    path: str | Spec | None = None
    time: str | Spec | None = None
    target: str | None = None


def of_specs(
    weighting: str | Spec,
    path: str | Spec | None,
    time: str | Spec,
    process: str,
    target: str | None,
    time_runs: str | None,
) -> Objective:
    """The objective of these specs, in this package's time. Raises `UsageError` for one that cannot be used."""
    turn = time_direction.is_turned(time_runs)
    law = time_law(time, turned=turn)
    found = Objective(get_path(path or DEFAULT_PATH, process), law, get_weighting(weighting, process, target or ""))
    return replace(time_direction.turned(found), time=law) if turn else found


def check_pointwise(subject: NumericObjective, t_range: Interval) -> None:
    """Path and time law first: where the log-SNR can be looked at depends on the path."""
    pointwise.check_path(subject.objective.path)
    pointwise.check_time_law(subject.objective.time)
    low, high = (min(max(end, subject.reach[0]), subject.reach[1]) for end in t_range)
    pointwise.check_weighting(subject.objective.weighting, subject.objective.path, pointwise.times(low, high))


def as_judged(subject: Objective, mode: Mode | None = None) -> Objective:
    """However the objective was made, its derivatives are taken as a judgement takes them, or in `mode`."""
    return replace(subject, path=replace(subject.path, mode=mode), time=replace(subject.time, fine=True, mode=mode))


def numeric_of(subject: Objective, budget: Budget, mode: Mode | None = None) -> NumericObjective:
    """Its expressions stop when the judgement has used its time."""
    subject = as_judged(subject, mode)
    components = {part: limited(getattr(subject, part), budget) for part in ("path", "time", "weighting")}
    return NumericObjective(replace(subject, **components))
