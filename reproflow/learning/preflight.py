"""What is checked of a whole configuration before a second of training."""

from __future__ import annotations

from reproflow.foundation.config import Config
from reproflow.foundation.grid import expand_experiment
from reproflow.theory.admission import USUAL, admit
from reproflow.theory.divergences import admit_divergence, get_divergence
from reproflow.theory.paths import get_path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting


def admit_config(config: Config) -> None:
    """Every combination of nouns in a configuration. Raises `UsageError` as `admit`."""
    for experiment in config.experiments:
        for cell in {(c.path, c.time, c.weighting): c for c in expand_experiment(experiment)}.values():
            path, weighting = get_path(cell.path, cell.process), get_weighting(cell.weighting, cell.process)
            admit(path, get_time_law(cell.time), weighting, experiment.training.t_range)
            if cell.divergence != USUAL:
                admit_divergence(get_divergence(cell.divergence), weighting.name, weighting.on, cell.target, dim=2)
