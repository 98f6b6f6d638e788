"""What is checked of a whole configuration before a second of training."""

from __future__ import annotations

from reproflow.foundation.config import Config, Experiment
from reproflow.foundation.errors import UsageError
from reproflow.foundation.grid import expand_experiment
from reproflow.learning.data import get_dataset
from reproflow.learning.data.user_points import admit_points, user_points
from reproflow.learning.networks.builders import not_trained_yet
from reproflow.learning.networks.user_network import admit_network
from reproflow.theory.admission import admit, admit_target
from reproflow.theory.couplings import admit_coupling
from reproflow.theory.divergences import admit_divergence
from reproflow.theory.objective import get_objective
from reproflow.theory.targets import get_target


def admit_config(config: Config) -> None:
    """Every objective of a configuration, and what is a user's own of each experiment.

    Raises `UsageError` as `admit`, `admit_target`, `admit_coupling`, `admit_points` and `admit_network`, and at last
    for any network of a user's own, which cannot be trained yet.
    """
    for experiment in config.experiments:
        dim = _admit_points(experiment)
        if not experiment.coupling_spec.registered:
            admit_coupling(experiment.coupling_spec, dim)
        for cell in {(c.path, c.time, c.weighting): c for c in expand_experiment(experiment)}.values():
            objective = get_objective(cell.path, cell.time, cell.weighting, cell.process, loss=cell.divergence)
            admit(objective, experiment.training.t_range)
            if objective.loss is not None:
                name = objective.weighting.name
                admit_divergence(objective.loss, name, objective.prediction, cell.target, dim=2)
            for spec in experiment.target_specs:
                if not spec.registered:
                    admit_target(get_target(spec), objective.path, experiment.training.t_range)
        if not experiment.model.network_spec.registered:
            data = get_dataset(experiment.dataset_spec, experiment.process)
            admit_network(experiment.model.network_spec, data, experiment.training.t_range)
    for experiment in config.experiments:
        if not experiment.model.network_spec.registered:
            raise not_trained_yet(experiment.model.network_spec)


def _admit_points(experiment: Experiment) -> int:
    """Tries a user's data set; the dimension that couplings are tried in."""
    spec = experiment.dataset_spec
    if spec.registered:
        return 2
    data = user_points(spec)
    admit_points(data, spec)
    if (wanted := experiment.likelihood.points) > len(data.test):
        raise UsageError(
            f"likelihood.points {wanted}: {spec.name} holds out {len(data.test)} points; give that or fewer."
        )
    return data.dim
