"""K networks of one shape as one module: every weight has a leading dimension K, and a batched product serves all.

Nothing mixes the K slices, so that a network's numbers do not depend on which others share its process. That holds bit
for bit while batch and width are multiples of 16: the vector body and the scalar tail of a kernel may round
differently, and where the tail falls depends on K. As a precaution outputs are padded to such a multiple, and cut.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Generator, Tensor, nn

from reproflow.learning.networks.builders import Architecture, StackedNetwork, network

FREQUENCIES = 8
WAVES = 4
LANES = 16


def layer_sizes(architecture: Architecture) -> list[int]:
    """Numbers into the first layer, out of each hidden one, and out of the last, which is padded.

    Into the first go the inputs, then sin and cos of 1, 2, 3 and 4 times each of them where `waves`, then 2 x 8
    sinusoids of t where `timed`, then a one-hot class where `classes` > 0. From two coordinates alone a small network
    learns the edges of modes slowly (Tancik et al. 2020): without the waves eight modes on a circle come out as a ring.
    """
    waves = 2 * WAVES * architecture.inputs if architecture.waves else 0
    first = architecture.inputs + waves + (2 * FREQUENCIES if architecture.timed else 0) + architecture.classes
    return [first, *[architecture.width] * architecture.depth, math.ceil(architecture.outputs / LANES) * LANES]


class StackedMLP(StackedNetwork):
    """K multi-layer perceptrons with SiLU: weights (K, in, out), biases (K, 1, out)."""

    def __init__(self, architecture: Architecture, members: int) -> None:
        super().__init__()
        self.architecture = architecture
        sizes = layer_sizes(architecture)
        self.weights = nn.ParameterList(torch.zeros(members, i, o) for i, o in itertools.pairwise(sizes))
        self.biases = nn.ParameterList(torch.zeros(members, 1, o) for o in sizes[1:])

    def forward(self, x: Tensor, t: Tensor | None = None, y: Tensor | None = None) -> Tensor:
        """x (K, B, inputs), t (K, B) in [0, 1], y (K, B) class labels -> (K, B, outputs)."""
        h = torch.cat([x, *self._waves(x), *self._condition(t, y, x.dtype)], -1)
        *hidden, last = zip(self.weights, self.biases, strict=True)
        for weight, bias in hidden:
            h = nn.functional.silu(torch.baddbmm(bias, h, weight))
        return torch.baddbmm(last[1], h, last[0])[..., : self.architecture.outputs]

    def _waves(self, x: Tensor) -> list[Tensor]:
        if not self.architecture.waves:
            return []
        angles = (x[..., None] * torch.arange(1, WAVES + 1, device=x.device)).flatten(-2)
        return [angles.sin(), angles.cos()]

    def _condition(self, t: Tensor | None, y: Tensor | None, dtype: torch.dtype) -> list[Tensor]:
        parts = []
        if self.architecture.timed:
            assert t is not None
            angles = t[..., None] * (0.5 * math.pi * torch.arange(1, FREQUENCIES + 1, device=t.device))
            parts += [angles.sin().to(dtype), angles.cos().to(dtype)]
        if self.architecture.classes:
            assert y is not None
            parts.append(nn.functional.one_hot(y, self.architecture.classes).to(dtype))
        return parts

    def initialise(self, member: int, generator: Generator) -> None:
        """Uniform in ±sqrt(6/fan_in), the last layer zero: activations keep their scale (He et al. 2015)."""
        for weight in list(self.weights)[:-1]:
            bound = math.sqrt(6 / weight.shape[1])
            weight.data[member].uniform_(-bound, bound, generator=generator)


@network("stacked_mlp", process=("gaussian", "masked"))
def stacked_mlp(architecture: Architecture, members: int) -> StackedMLP:
    """Perceptrons of `depth` hidden layers of `width` SiLU units, fed with sinusoids of t and one-hot classes."""
    return StackedMLP(architecture, members)
