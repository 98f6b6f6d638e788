"""Heads: how a cell's network is fed and read, for stacks of cells and for one cell alike.

gaussian    x_t and t in, the cell's target out (D numbers); points in the plane come with their waves
levels      x_t and t in, logits over the grey levels out; with log N(x_t; alpha v_k, sigma²) added they are a posterior
            over a discrete x1, and x1-hat is its mean. The network's target is x1, on image data.
masked      the shown levels' values and which are shown in, logits over the vocabulary out; no time (BIL-10)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from reproflow.foundation.by_process import ByProcess
from reproflow.foundation.config import Model
from reproflow.learning.data import ImageData, ToyData
from reproflow.learning.networks.base import Network
from reproflow.learning.networks.builders import Architecture, get_network
from reproflow.theory.divergences import Divergence
from reproflow.theory.processes.gaussian import level_logits


@dataclass(frozen=True)
class Head:
    """The kind of head and the shape of the network under it; `levels` (V,) are the values of image data.

    `loss(head, network, batch, divergence)` is the training loss of each cell, (K,).
    """

    kind: str
    architecture: Architecture
    dim: int
    loss: Callable[[Head, Network, dict[str, Tensor], Divergence | None], Tensor]
    levels: Tensor | None = None

    @property
    def vocabulary(self) -> int:
        assert self.levels is not None
        return len(self.levels)

    def gaussian(self, network: Network, x: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        """The network's own target at x (K, B, D), t (K, B): (K, B, D)."""
        return network(x, t, y)

    def level_logits(
        self, network: Network, x: Tensor, t: Tensor, y: Tensor | None, alpha: Tensor, sigma: Tensor
    ) -> Tensor:
        """Logits of the posterior over levels at x (K, B, D), t, alpha, sigma (K, B): (K, B, D, V)."""
        assert self.levels is not None
        own = network(x, t, y).unflatten(-1, (self.dim, self.vocabulary))
        return own + level_logits(x, alpha, sigma, self.levels.to(x))

    def masked_logits(self, network: Network, tokens: Tensor, y: Tensor | None) -> Tensor:
        """Logits at tokens (K, B, D) in 0..V, V the mask: (K, B, D, V)."""
        assert self.levels is not None
        shown = tokens < self.vocabulary
        values = functional.pad(self.levels.float(), (0, 1)).to(tokens.device)[tokens]
        return network(torch.cat([values, shown.to(values.dtype)], -1), None, y).unflatten(
            -1, (self.dim, self.vocabulary)
        )


HEADS: ByProcess[Callable[[ToyData | ImageData, str, Model], Head]] = ByProcess("head", __name__)
"""By process: the head of a cell on this data, for this target and size of the network."""


def head_for(data: ToyData | ImageData, process: str, target: str, model: Model) -> Head:
    """The head of a cell on this data."""
    return HEADS[process](data, target, model)


def architecture(
    data: ToyData | ImageData, model: Model, process: str, *, inputs: int, outputs: int, timed: bool
) -> Architecture:
    """The network of a head with so many inputs and outputs, with the data's classes; points come with their waves.

    Raises `UsageError` for a network that cannot be trained.
    """
    return Architecture(
        build=get_network(model.network_spec, process),
        inputs=inputs,
        outputs=outputs,
        width=model.width,
        depth=model.depth,
        classes=data.classes,
        timed=timed,
        waves=isinstance(data, ToyData),
    )


def mean_level(logits: Tensor, levels: Tensor) -> Tensor:
    """The mean of the posterior over levels: (..., V) -> (...)."""
    return logits.softmax(-1) @ levels.to(logits)
