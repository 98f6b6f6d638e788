"""A denoiser whose network is the exact posterior mean: the package's own samplers and measures without a network."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

from torch import Tensor

from reproflow.exact import three_gaussians
from reproflow.exact.mixture import Mixture
from reproflow.learning.networks.denoiser import GaussianDenoiser
from reproflow.theory.paths import get_path
from reproflow.theory.targets import get_target


@dataclass(frozen=True)
class ExactDenoiser(GaussianDenoiser):
    """E[target | x_t = x] for data from `mixture`, converted as a trained network's output is."""

    mixture: Mixture

    def _own(self, x: Tensor, t: Tensor, y: Tensor | None) -> Tensor:
        c = self._coefficients(t)
        return self.mixture.target_mean(x, c, *self.target.coefficients(c))


def exact_denoiser(path: str, target: str = "velocity", mixture: Mixture = three_gaussians.MIXTURE) -> ExactDenoiser:
    """The exact denoiser of a registered path, differentiated backwards as the sampling jobs do."""
    nothing = cast(Any, SimpleNamespace())
    return ExactDenoiser(nothing, nothing, get_path(path), get_target(target), mixture)
