"""Denoisers that are exact for a mixture, for the tests of samplers."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from reproflow.exact.mixture import Mixture
from reproflow.learning.networks.denoiser import GaussianDenoiser
from reproflow.theory.paths import get_path
from reproflow.theory.targets import get_target

DOUBLE = torch.float64


def exact(mixture: Mixture, path: str, target: str = "x1") -> GaussianDenoiser:
    """A denoiser whose network is the exact posterior mean of its target, for data from a mixture."""
    found, wanted = get_path(path), get_target(target)

    def predict(network: object, x: torch.Tensor, t: torch.Tensor, y: object) -> torch.Tensor:
        c = found.at(t[0].double())
        return mixture.target_mean(x[0].double(), c, *wanted.coefficients(c))[None].to(x)

    return GaussianDenoiser(SimpleNamespace(), SimpleNamespace(kind="gaussian", gaussian=predict), found, wanted)


def one_dimension(*rows: tuple[float, float, float]) -> Mixture:
    weights, means, stds = (torch.tensor(column, dtype=DOUBLE) for column in zip(*rows, strict=True))
    return Mixture(weights, means[:, None], stds)
