"""An objective as it is asked about: its parts by their specs, and in which direction the user's own functions run."""

from __future__ import annotations

from dataclasses import dataclass, replace

from reproflow.foundation.specs import Spec
from reproflow.judge.laws import time_law
from reproflow.theory import time_direction
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
