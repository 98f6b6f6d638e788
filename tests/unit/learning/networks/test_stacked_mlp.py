"""Stacked networks: what they see of a point, and that a slice computes what it would alone."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from reproflow.foundation.config import Model
from reproflow.learning import data
from reproflow.learning.networks.builders import Architecture, StackedNetwork, initialise, member_state, stack
from reproflow.learning.networks.heads import head_for
from reproflow.learning.networks.stacked_mlp import StackedMLP, layer_sizes, stacked_mlp

SEEN = Architecture(stacked_mlp, inputs=2, outputs=2, width=32, depth=1, waves=True)
BLIND = Architecture(stacked_mlp, inputs=2, outputs=2, width=32, depth=1)


def made(architecture: Architecture, members: int) -> StackedMLP:
    """Networks with random weights in the last layer too."""
    network = initialise(architecture, [("test", member) for member in range(members)])
    assert isinstance(network, StackedMLP)
    network.weights[-1].data.normal_(0, 0.3, generator=torch.Generator().manual_seed(1))
    return network


def points(members: int, batch: int = 48) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    return 1.5 * torch.randn(members, batch, 2, generator=generator), torch.rand(members, batch, generator=generator)


def gradients(network: StackedNetwork, x: Tensor, t: Tensor) -> list[Tensor]:
    x = x.clone().requires_grad_()
    out = network(x, t)
    return [out, *torch.autograd.grad(out.square().sum(), [x, *network.parameters()])]


def test_every_member_starts_from_its_own_name() -> None:
    network = initialise(SEEN, [("test", 0), ("test", 1), ("test", 0)])
    assert isinstance(network, StackedMLP)
    first = network.weights[0]
    assert torch.equal(first[0], first[2])
    assert not torch.isclose(first[0], first[1]).any()


@pytest.mark.parametrize("architecture", [SEEN, BLIND], ids=["waves", "no waves"])
@pytest.mark.parametrize("members", [2, 5])
def test_a_slice_is_the_network_alone_bit_for_bit(architecture: Architecture, members: int) -> None:
    network, (x, t) = made(architecture, members), points(members)
    together = gradients(network, x, t)
    for member in range(members):
        alone = stack(architecture, [member_state(network, member)])
        for one, all_ in zip(gradients(alone, x[member, None], t[member, None]), together, strict=True):
            assert torch.equal(one[0], all_[member])


def first_layer(weights: dict[int, float]) -> StackedMLP:
    """A network whose hidden unit 0 sees the given inputs, and whose output 0 is that unit."""
    network = StackedMLP(SEEN, 1).requires_grad_(False)
    for place, weight in weights.items():
        network.weights[0][0, place, 0] = weight
    network.weights[1][0, 0, 0] = 1.0
    return network


@pytest.mark.parametrize("coordinate", [0, 1])
@pytest.mark.parametrize("times", [1, 2, 3, 4])
@pytest.mark.parametrize("wave", ["sin", "cos"])
def test_a_unit_can_see_each_wave_of_each_coordinate(coordinate: int, times: int, wave: str) -> None:
    """Inputs are two numbers, then eight sines, then eight cosines; the unit is SiLU of what it sees."""
    x, t = points(1)
    place = 2 + (8 if wave == "cos" else 0) + 4 * coordinate + times - 1
    angle = times * x[0, :, coordinate].double()
    seen = 0.7 * (angle.sin() if wave == "sin" else angle.cos())
    got = first_layer({place: 0.7})(x, t)[0, :, 0].double()
    torch.testing.assert_close(got, seen / (1 + (-seen).exp()), rtol=1e-5, atol=1e-6)


def test_time_and_class_come_after_the_waves() -> None:
    x, t = points(1)
    network = first_layer({2 + 16 + 2: 1.0})
    seen = (1.5 * math.pi * t[0].double()).sin()
    torch.testing.assert_close(network(x, t)[0, :, 0].double(), seen / (1 + (-seen).exp()), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "process", "target", "waves"),
    [
        ("eight_gaussians", "gaussian", "velocity", True),
        ("pinwheel", "gaussian", "x1", True),
        ("digits8", "gaussian", "velocity", False),
        ("digits8", "gaussian", "x1", False),
        ("digits8", "masked", "ce", False),
    ],
)
def test_points_come_with_waves_and_images_without(name: str, process: str, target: str, waves: bool) -> None:
    architecture = head_for(data.get_dataset(name, process), process, target, Model(width=16, depth=1)).architecture
    assert architecture.waves == waves
    assert layer_sizes(architecture)[0] == {"eight_gaussians": 34, "pinwheel": 34}.get(
        name, layer_sizes(architecture)[0]
    )
