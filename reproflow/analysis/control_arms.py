"""Arms that check a block of weightings: one that must come out worse, and one objective under two names.

A comparison that cannot tell a network that was not trained on half of the times from a good one says nothing where it
tells nothing apart; one that tells two names of one objective apart says nothing where it does. `controls` of an
experiment names such arms; what came of them stands on the page, and the gate takes it as it takes the controls of
claims.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reproflow.analysis.comparison import all_pairs, by_seed, candidates
from reproflow.analysis.ranking import BLOCK
from reproflow.analysis.results import Results
from reproflow.foundation import measures
from reproflow.foundation.config import Experiment
from reproflow.numerics.paired import NO_RESULT, Seeds
from reproflow.numerics.relabelling import FEWEST_SEEDS
from reproflow.numerics.simultaneous import BETTER, TOO_FEW, WORSE


@dataclass(frozen=True)
class Outcome:
    """What came of a control arm in one block and metric: `verdict`, and whether it is as it must be.

    `ok` is None where there are too few seeds for a verdict.
    """

    experiment: str
    metric: str
    what: str
    verdict: str
    ok: bool | None

    def __str__(self) -> str:
        return f"{self.experiment}, {self.metric}: {self.what}: {self.verdict}"


def outcomes(read: Results) -> list[Outcome]:
    """Every control of every experiment, in every block and metric that has its arms."""
    return [each for experiment in read.experiments if experiment.controls.names for each in _of(read, experiment)]


def _of(read: Results, experiment: Experiment) -> list[Outcome]:
    own = read.cells[read.cells["experiment"] == experiment.name]
    found = []
    for group in candidates(own, BLOCK):
        for metric in measures.compared(own.columns):
            if np.isfinite(group.loc[group["status"] == "ok", metric]).any():
                found += _in_block(experiment, group, metric)
    return found


def _in_block(experiment: Experiment, group: pd.DataFrame, metric: str) -> list[Outcome]:
    values = {str(name): by_seed(rows, metric) for name, rows in group.groupby("weighting", sort=True)}
    compared = all_pairs({name: seeds for name, seeds in values.items() if seeds})
    means = {name: float(np.mean(list(seeds.values()))) for name, seeds in values.items() if len(seeds) >= FEWEST_SEEDS}
    best = min(means, key=lambda name: means[name], default="")
    found = []
    for name in experiment.controls.separated:
        verdict, ok = _separated(name, best, values, compared)
        found.append(Outcome(experiment.name, metric, f"{name} must be worse than the best", verdict, ok))
    for a, b in experiment.controls.same:
        verdict = compared.get((a, b), {"verdict": NO_RESULT})["verdict"]
        ok = None if verdict in (TOO_FEW, NO_RESULT) else verdict not in (WORSE, BETTER)
        found.append(Outcome(experiment.name, metric, f"{a} and {b} are one objective", verdict, ok))
    return found


def _separated(
    name: str, best: str, values: dict[str, Seeds], compared: dict[tuple[str, str], dict[str, Any]]
) -> tuple[str, bool | None]:
    """What came of an arm that must be worse: an arm whose every cell is without a number is apart enough."""
    if name not in values or not best:
        return NO_RESULT, None
    if not values[name]:
        return "no cell has the number", True
    if name == best:
        return "it is the lowest", False
    verdict = compared[name, best]["verdict"]
    return verdict, None if verdict in (TOO_FEW, NO_RESULT) else verdict == WORSE
