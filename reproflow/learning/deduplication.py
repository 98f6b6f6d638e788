"""Training once what is one objective: cells of a configuration whose canonical weights are proportional."""

from __future__ import annotations

import torch
from torch import Tensor

from reproflow.foundation.config import Config, Experiment
from reproflow.foundation.grid import Cell, expand_experiment
from reproflow.theory.equivalence import proportional
from reproflow.theory.objective import Objective
from reproflow.theory.paths import get_path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting


def dedupe(config: Config) -> Config:
    """The configuration with `merged` filled in where an experiment asks for it: cell key -> key of the cell kept.

    Cells are merged when their ideal objective is the same and so are data set, path, target, coupling, divergence and
    seed (the drawing scheme is the experiment's); the first in the grid's order is kept. The time law may differ. Cells
    with a noun from a user's file are left alone: to compare them his code would have to run.
    """
    experiments = [_deduped(each) if each.dedupe and not each.merged else each for each in config.experiments]
    return config.model_copy(update={"experiments": experiments})


def _deduped(experiment: Experiment) -> Experiment:
    low, high = experiment.training.t_range
    t = torch.linspace(low, high, 2001, dtype=torch.float64)
    signatures: dict[tuple[object, ...], Tensor] = {}
    kept: dict[tuple[object, ...], list[tuple[str, Tensor]]] = {}
    merged = {}
    for cell in expand_experiment(experiment):
        nouns = (cell.path, cell.time, cell.weighting)
        if any(noun.file for noun in nouns):
            continue
        if nouns not in signatures:
            signatures[nouns] = _on_times(cell, t)
        alike = kept.setdefault((cell.path, cell.target, cell.coupling, cell.divergence, cell.seed), [])
        same = next((key for key, w in alike if proportional(signatures[nouns], w) is not None), None)
        if same is None:
            alike.append((cell.key, signatures[nouns]))
        else:
            merged[cell.key] = same
    return experiment.model_copy(update={"merged": merged})


def _on_times(cell: Cell, t: Tensor) -> Tensor:
    weighting = get_weighting(cell.weighting, cell.process)
    path, law = get_path(cell.path, cell.process), get_time_law(cell.time, fine=True)
    return Objective(path, law, weighting).weight(t)
