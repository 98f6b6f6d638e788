"""A Gaussian mixture on a line along a path: points, scales and distribution function."""

from __future__ import annotations

import torch

from reproflow.exact import three_gaussians
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.paths import get_path

DOUBLE = torch.float64
WEIGHTS, MEANS, STDS = (
    each.numpy().ravel()
    for each in (three_gaussians.MIXTURE.weights, three_gaussians.MIXTURE.means, three_gaussians.MIXTURE.stds)
)


def tensor(values) -> torch.Tensor:
    return torch.tensor(values, dtype=DOUBLE)


def column(*values: float) -> torch.Tensor:
    return tensor(values)[:, None]


def at(path: str, t: float) -> Coefficients:
    return get_path(path).at(tensor(t))
