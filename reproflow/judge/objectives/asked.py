"""An objective as it is asked about: its parts by their specs, and in which direction the user's own functions run."""

from __future__ import annotations

from dataclasses import dataclass

from reproflow.foundation.specs import Spec
from reproflow.theory import time_direction
from reproflow.theory.objective import Objective, get_objective

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
    found = get_objective(path or DEFAULT_PATH, time, weighting, process, target or "")
    return time_direction.turned(found) if time_direction.is_turned(time_runs) else found
