"""One batch and one step: noise is rearranged within a label, and a step that is not finite is not taken."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from reproflow.foundation import config, grid
from reproflow.learning import data
from reproflow.learning.networks.builders import initialise
from reproflow.learning.networks.heads import Head, head_for
from reproflow.learning.training.batches import Batches
from reproflow.learning.training.stacked import StackedTrainer, fresh

CPU = torch.device("cpu")


def images(**more: object) -> config.Config:
    written = {
        "name": "digits",
        "process": "gaussian",
        "dataset": "digits8",
        "paths": ["linear"],
        "weightings": ["uniform"],
        "targets": ["velocity"],
        "seeds": [0, 1, 2],
        "model": {"width": 16, "depth": 1},
        "training": {"steps": 20, "batch": 64, "warmup": 5},
    } | more
    return config.check({"name": "digits", "experiments": [written]})


def batch(checked: config.Config) -> dict[str, Tensor]:
    return Batches(grid.expand(checked), checked.experiments[0], data.get_dataset("digits8"), CPU).batch(3)


def test_noise_is_rearranged_among_images_of_one_label() -> None:
    """Across labels it would tie noise to label: each label keeps the noise that independent pairs give it."""
    plain, paired = batch(images()), batch(images(coupling="ot"))
    for name in ("x1", "y", "t"):
        assert torch.equal(plain[name], paired[name])
    moved = 0
    for k in range(3):
        for label in plain["y"][k].unique():
            rows = plain["y"][k] == label
            before, after = plain["eps"][k][rows], paired["eps"][k][rows]
            assert torch.equal(before[before[:, 0].argsort()], after[after[:, 0].argsort()])
            moved += int((before != after).any(1).sum())
    assert moved > 60, "optimal transport moves most of it"


def stack(loss) -> tuple[StackedTrainer, dict[str, Tensor]]:
    """Three cells with a loss of one's own, and a batch."""
    checked = images()
    settings, found = checked.experiments[0], data.get_dataset("digits8")
    head: Head = dataclasses.replace(head_for(found, "gaussian", "velocity", settings.model), loss=loss)
    network = initialise(head.architecture, [("test", seed) for seed in range(3)])
    return StackedTrainer(head, settings.training, fresh(network, 20), CPU), batch(checked)


def squares(network) -> Tensor:
    return torch.stack([parameter.square().mean((1, 2)) for parameter in network.parameters()]).sum(0)


def first_weights(trained: StackedTrainer) -> Tensor:
    return next(iter(trained.network.parameters())).detach().clone()


@pytest.mark.parametrize("bad", ["gradient", "loss"])
def test_a_step_that_is_not_finite_is_not_taken_and_its_cell_is_named(bad: str) -> None:
    """The square root at 0 has a finite value and no finite slope; a constant infinity has a slope of 0."""

    def loss(head: Head, network, batch: dict[str, Tensor], divergence: object) -> Tensor:
        values = squares(network)
        spoilt = (0 * values[1]).sqrt() if bad == "gradient" else values[1] + torch.inf
        return torch.stack([values[0], spoilt, values[2]])

    trained, drawn = stack(loss)
    before = first_weights(trained)
    assert trained.advance(drawn) == [1]
    assert trained.step == 0
    assert torch.equal(first_weights(trained), before)
    assert trained.history.isnan().all()
    trained.keep([0, 2])

    def sound(head: Head, network, batch: dict[str, Tensor], divergence: object) -> Tensor:
        return squares(network)

    trained.head = dataclasses.replace(trained.head, loss=sound)
    assert trained.advance({name: each[[0, 2]] for name, each in drawn.items()}) == []
    assert not torch.equal(first_weights(trained), before[[0, 2]])
