"""What a configuration is held to by its processes, as the committed list of names declares it.

`theory.processes` registers each process with its `Facts`; they are read from `names.json`, so that nothing of theory
is imported to check a configuration.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from reproflow.foundation import names
from reproflow.foundation.errors import UsageError, did_you_mean

CHANGES_NO_NUMBER = "it says what configurations may ask of a process; what one computes counts where it is defined"


@dataclass(frozen=True)
class Facts:
    """Declared facts of a process.

    `predictions` are what a weighting may multiply, besides being canonical, and `prediction` is the one that networks
    put out unless asked otherwise. `path_values` are the values that a user's path gives. `loss` is its own loss in
    words. `other_targets`, `other_divergences` and `coupling`: whether a configuration may choose them. `flow`: whether
    it has a probability flow. `timed`: whether its networks see the time. `usual_weighting` is what the field trains it
    with most. Without `solvers` it is not trained.
    """

    prediction: str
    predictions: tuple[str, ...]
    solvers: tuple[str, ...]
    path_values: tuple[str, ...]
    loss: str
    usual_weighting: str
    other_targets: bool
    other_divergences: bool
    coupling: bool
    flow: bool
    timed: bool

    @property
    def complementary(self) -> bool:
        """Whether sigma is 1 - alpha, so that a path has one value and both are probabilities."""
        return len(self.path_values) == 1

    @property
    def weighted(self) -> tuple[str, ...]:
        """All that `on` of a weighting may name."""
        return (*self.predictions, "canonical")


@functools.cache
def facts(process: str) -> Facts:
    """The facts of a process. Raises `UsageError` for one that is not listed."""
    declared = _listed(process).facts.items()
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in declared}
    return Facts(**values)


def where(process: str) -> str:
    """`module:function` of the definition of a process."""
    return _listed(process).where


def known() -> tuple[str, ...]:
    """The listed processes, in order."""
    return tuple(name.name for name in names.known() if name.kind == "process")


def solvers() -> tuple[str, ...]:
    """Every sampler that some process has."""
    return tuple(dict.fromkeys(solver for process in known() for solver in facts(process).solvers))


def trained() -> tuple[str, ...]:
    """The processes that experiments may have: those with a sampler; of others there is theory, and exact examples."""
    return tuple(process for process in known() if facts(process).solvers)


def check(process: str) -> str:
    """The name itself. Raises `ValueError` naming the closest and all listed ones."""
    try:
        return _listed(process).name
    except UsageError as error:
        raise ValueError(str(error)) from None


def check_solver(solver: str) -> str:
    """The name itself. Raises `ValueError` for a sampler that no process has."""
    if solver not in solvers():
        raise ValueError(f"unknown solver {solver!r};{did_you_mean(solver, solvers())} known: {', '.join(solvers())}")
    return solver


def _listed(process: str) -> names.Name:
    for name in names.known():
        if (name.kind, name.name) == ("process", process):
            return name
    raise UsageError(f"unknown process {process!r};{did_you_mean(process, known())} known: {', '.join(known())}")
