"""The control cell of the demo shows the eight modes of its law, not a ring."""

from __future__ import annotations

import pytest
import torch
from repository import ROOT

from reproflow.evaluation.modes import modes
from reproflow.foundation import config, grid
from reproflow.foundation.config import Experiment
from reproflow.learning import data
from reproflow.learning.networks.builders import initialise, stack
from reproflow.learning.networks.denoiser import GaussianDenoiser
from reproflow.learning.networks.heads import head_for
from reproflow.learning.sampling.samples import draw
from reproflow.learning.training.batches import Batches
from reproflow.learning.training.stacked import StackedTrainer, fresh
from reproflow.theory.paths import get_path
from reproflow.theory.targets import get_target

CONFIG = ROOT / "configs" / "demo.yaml"
LAW = data.get_dataset("eight_gaussians")
CONTROL = {"name": "control", "process": "gaussian", "dataset": "eight_gaussians", "paths": ["linear"]}
CPU = torch.device("cpu")


def control(steps: int | None = None) -> Experiment:
    """Linear path, uniform time, weight 1 on the velocity, with the demo's planar settings and more samples."""
    planar = next(each for each in config.load(CONFIG).experiments if each.dataset == LAW.name)
    settings = {name: getattr(planar, name).model_dump() for name in ("model", "training", "sampling", "likelihood")}
    settings["sampling"] |= {"n": 10_000}
    settings["training"] |= {} if steps is None else {"steps": steps}
    return Experiment(**CONTROL, weightings=["uniform"], seeds=[0, 100], **settings)


def samples(experiment: Experiment) -> list[torch.Tensor]:
    """Of each seed's network, trained in one stack."""
    cells = grid.expand_experiment(experiment)
    head = head_for(LAW, "gaussian", cells[0].target, experiment.model)
    network = initialise(head.architecture, [(head.kind, LAW.name, cell.seed) for cell in cells])
    trained = StackedTrainer(head, experiment.training, fresh(network, experiment.training.steps), CPU)
    draws = Batches(cells, experiment, LAW, CPU)
    while trained.step < experiment.training.steps:
        assert trained.advance(draws.batch(trained.step)) == []
    found = []
    for cell, state in zip(cells, trained.states(), strict=True):
        weights = {name.removeprefix("ema."): each for name, each in state.tensors.items() if name.startswith("ema.")}
        average = stack(head.architecture, [weights]).requires_grad_(False)
        denoiser = GaussianDenoiser(average, head, get_path("linear"), get_target(cell.target))
        found.append(draw(denoiser, LAW, cell, experiment)[0]["samples"])
    return found


@pytest.mark.slow
def test_the_control_cell_of_the_demo_resolves_the_modes() -> None:
    for each in samples(control()):
        found = modes(each, LAW.mixture)
        assert found.resolved, found
        assert float(found.shares.min()) > 0.09
        assert float(found.shares.max()) < 0.16


@pytest.mark.slow
def test_a_tenth_of_its_steps_leaves_a_ring() -> None:
    """So the settings are what resolves them, and the measure can say no to a network."""
    for each in samples(control(steps=200)):
        assert not modes(each, LAW.mixture).resolved
