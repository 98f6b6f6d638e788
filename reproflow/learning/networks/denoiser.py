"""Denoisers: one trained network as samplers and measures see it.

Whatever a Gaussian network puts out, its denoiser answers with velocity, x1 or a posterior over levels, converted by
LOSS-5; a masked one answers with logits. Shapes: x (B, D), t (B,), y (B,) or None.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from reproflow.foundation.by_process import ByProcess
from reproflow.foundation.specs import Spec
from reproflow.learning.networks.builders import StackedNetwork
from reproflow.learning.networks.heads import Head, mean_level
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.paths import Path
from reproflow.theory.targets import Target, convert, get_target


@dataclass(frozen=True)
class GaussianDenoiser:
    """One network of a Gaussian cell."""

    network: StackedNetwork
    head: Head
    path: Path
    target: Target

    @property
    def device(self) -> torch.device:
        return self.network.device

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        return self.network.parameters()

    def velocity(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """The velocity field at x, t: (B, D)."""
        return self._answer(x, t, y, get_target("velocity"))

    def x1(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """The posterior mean of the data at x, t: (B, D)."""
        return self._answer(x, t, y, get_target("x1"))

    def x1_logits(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """Logits of the posterior over levels, (B, D, V). Raises `TypeError` for a head without levels."""
        if self.head.kind != "levels":
            raise TypeError(
                f"a {self.head.kind!r} head has no posterior over levels; train with target x1 on image data."
            )
        c = self._coefficients(t)
        batch = (x[None], t[None], None if y is None else y[None])
        return self.head.level_logits(self.network, *batch, c.alpha[None], c.sigma[None])[0]

    def _answer(self, x: Tensor, t: Tensor, y: Tensor | None, wanted: Target) -> Tensor:
        own = self._own(x, t, y)
        same = self.target.name == wanted.name
        return own if same else convert(own, x, self._coefficients(t), self.target, wanted)

    def _own(self, x: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        """The network's own target."""
        if self.head.kind == "levels":
            assert self.head.levels is not None
            return mean_level(self.x1_logits(x, t, y), self.head.levels)
        return self.head.gaussian(self.network, x[None], t[None], None if y is None else y[None])[0]

    def _coefficients(self, t: Tensor) -> Coefficients:
        """Coefficients in t's type, found in float64: sigma near the data end has few digits in float32.

        An expanded scalar, as solvers pass it, is differentiated once, not once a row, a sample batch and a cell.
        """
        if t.stride() == (0,):
            at = coefficients_at(self.path, float(t[0]))
            return at.map(lambda value: value.to(t).expand(len(t)))
        return self.path.at(t.double()).map(lambda value: value.to(t.dtype))


@functools.lru_cache(maxsize=4096)
def coefficients_at(path: Path, t: float) -> Coefficients:
    """The coefficients of a Gaussian path at one time, shape (1,), float64; fit for autograd whoever asks first."""
    with torch.inference_mode(False):
        return path.at(torch.tensor([t], dtype=torch.float64))


@dataclass(frozen=True)
class MaskedDenoiser:
    """One network of a masked cell."""

    network: StackedNetwork
    head: Head
    path: Path

    @property
    def device(self) -> torch.device:
        return self.network.device

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        return self.network.parameters()

    def logits(self, tokens: Tensor, y: Tensor | None = None) -> Tensor:
        """Logits over the vocabulary at tokens (B, D) in 0..V: (B, D, V)."""
        return self.head.masked_logits(self.network, tokens[None], None if y is None else y[None])[0]


Denoiser = GaussianDenoiser | MaskedDenoiser

DENOISERS: ByProcess[Callable[[StackedNetwork, Head, Path, str | Spec], Denoiser]] = ByProcess("denoiser", __name__)
"""By process: the denoiser of a network with this head, path and target."""
