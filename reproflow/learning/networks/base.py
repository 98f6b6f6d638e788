"""What the engine asks of networks and denoisers, by shapes.

B is a batch, *D the shape of one datum ((D,) for points and flattened images), K the networks of a stack, V the levels
of a vocabulary. Times t have shape (B,), stacked (K, B), and lie in [0, 1], noise at 0; labels y likewise, None
for data without classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from reproflow.theory.paths import Path


@runtime_checkable
class Network(Protocol):
    """K networks of one shape as one module."""

    @property
    def device(self) -> torch.device:
        """Where the parameters lie."""

    def __call__(self, x: Tensor, t: Tensor | None = None, y: Tensor | None = None) -> Tensor:
        """Inputs (K, B, *D) -> outputs (K, B, *E); t is None for networks without time."""

    def parameters(self, recurse: bool = True) -> Iterator[torch.nn.Parameter]:
        """The parameters, each with a leading dimension K."""


@runtime_checkable
class Denoiser(Protocol):
    """One trained network of any process."""

    @property
    def device(self) -> torch.device:
        """Where the network lies."""

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """The network's parameters."""


@runtime_checkable
class ContinuousDenoiser(Denoiser, Protocol):
    """One network of a Gaussian process, whatever it was trained to predict."""

    @property
    def path(self) -> Path:
        """The path whose x_t it denoises."""

    def velocity(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """The velocity field at x (B, *D): (B, *D)."""

    def x1(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """The posterior mean of the data at x (B, *D): (B, *D)."""

    def x1_logits(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """Logits of the posterior over levels at x (B, *D): (B, *D, V). Raises `TypeError` where there are none."""


@runtime_checkable
class TokenDenoiser(Denoiser, Protocol):
    """One network of a masked process."""

    def logits(self, tokens: Tensor, y: Tensor | None = None) -> Tensor:
        """Logits over the vocabulary at tokens (B, *D) in 0..V, V the mask: (B, *D, V)."""
