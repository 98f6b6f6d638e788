"""What is checked of a whole configuration before a second of training."""

from __future__ import annotations

from collections.abc import Collection

import torch

from reproflow.foundation.config import Config, Experiment
from reproflow.foundation.errors import UsageError
from reproflow.foundation.grid import Cell, expand_experiment
from reproflow.learning.data import get_dataset
from reproflow.learning.data.user_points import admit_points, user_points
from reproflow.learning.networks.builders import not_trained_yet
from reproflow.learning.networks.user_network import admit_network
from reproflow.theory import pointwise, time_law_densities
from reproflow.theory.admission import POINTS, admit, admit_target, admit_time_law, midpoints
from reproflow.theory.couplings import admit_coupling
from reproflow.theory.divergences import admit_divergence
from reproflow.theory.objective import Objective, get_objective
from reproflow.theory.paths import get_path
from reproflow.theory.targets import get_target
from reproflow.theory.times import get_time_law


def admit_config(config: Config) -> None:
    """Every objective of a configuration, and what is a user's own of each experiment.

    Raises `UsageError` as `pointwise`, `admit`, `admit_target`, `admit_coupling`, `admit_divergence`, `admit_points`
    and `admit_network`, and at last for any network of a user's own, which cannot be trained yet.
    """
    for experiment in config.experiments:
        dim = _admit_points(experiment)
        if not experiment.coupling_spec.registered:
            admit_coupling(experiment.coupling_spec, dim)
        cells = {(cell.path, cell.time, cell.weighting): cell for cell in expand_experiment(experiment)}.values()
        _admit_path_and_law(cells)
        for cell in cells:
            _admit_cell(cell, experiment)
        if not experiment.model.network_spec.registered:
            data = get_dataset(experiment.dataset_spec, experiment.process)
            admit_network(experiment.model.network_spec, data, experiment.training.t_range)
    for experiment in config.experiments:
        if not experiment.model.network_spec.registered:
            raise not_trained_yet(experiment.model.network_spec)


def _admit_path_and_law(cells: Collection[Cell]) -> None:
    """Each is a function of each time alone, at the times where `admit` looks; a law's density is that of its map."""
    inside = (torch.arange(POINTS, dtype=torch.float64) + 0.5) / POINTS
    for path, process in dict.fromkeys((cell.path, cell.process) for cell in cells):
        own_path = get_path(path, process)
        pointwise.check_path(own_path, inside)
    for law in dict.fromkeys(cell.time for cell in cells):
        own = get_time_law(law)
        pointwise.check_time_law(own, inside)
        admit_time_law(own)
        time_law_densities.check(own)


def _admit_cell(cell: Cell, experiment: Experiment) -> None:
    """A cell's objective, and the weighting, targets and divergence at the times that training draws."""
    objective, t_range = _objective(cell), experiment.training.t_range
    admit(objective, t_range)
    pointwise.check_weighting(objective.weighting, objective.path, midpoints(objective.time, t_range).unique())
    regular = torch.linspace(*t_range, POINTS, dtype=torch.float64)
    if objective.loss is not None:
        admit_divergence(objective.loss, objective.weighting.name, objective.prediction, cell.target, dim=2)
        a, b, x = torch.randn(3, POINTS, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        pointwise.check_divergence(objective.loss, a, b, regular, x)
        if bool((infinite := ~objective.loss(a, b, regular, x).isfinite()).any()):
            raise UsageError(
                f"divergence {objective.loss.name!r} is not finite at standard normal targets and predictions, "
                f"at t = {float(regular[infinite][0]):.6g}."
            )
    for spec in experiment.target_specs:
        if not spec.registered:
            target = get_target(spec)
            admit_target(target, objective.path, t_range)
            pointwise.check_target(target, objective.path, regular)


def _objective(cell: Cell) -> Objective:
    return get_objective(cell.path, cell.time, cell.weighting, cell.process, loss=cell.divergence)


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
