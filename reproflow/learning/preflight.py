"""What is checked of a whole configuration before a second of training."""

from __future__ import annotations

from reproflow.foundation.config import Config
from reproflow.foundation.grid import expand_experiment
from reproflow.theory.admission import admit
from reproflow.theory.divergences import admit_divergence
from reproflow.theory.objective import get_objective


def admit_config(config: Config) -> None:
    """Every objective of a configuration. Raises `UsageError` as `admit`."""
    for experiment in config.experiments:
        for cell in {(c.path, c.time, c.weighting): c for c in expand_experiment(experiment)}.values():
            objective = get_objective(cell.path, cell.time, cell.weighting, cell.process, loss=cell.divergence)
            admit(objective, experiment.training.t_range)
            if objective.loss is not None:
                name = objective.weighting.name
                admit_divergence(objective.loss, name, objective.prediction, cell.target, dim=2)
