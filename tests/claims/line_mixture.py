"""A Gaussian mixture on a line along a path: points, scales and distribution function."""

from __future__ import annotations

import torch

from reproflow.claims import toy
from reproflow.theory.paths import Coefficients, get_path

DOUBLE = torch.float64
WEIGHTS, MEANS, STDS = (each.numpy().ravel() for each in (toy.MIXTURE.weights, toy.MIXTURE.means, toy.MIXTURE.stds))


def tensor(values) -> torch.Tensor:
    return torch.tensor(values, dtype=DOUBLE)


def column(*values: float) -> torch.Tensor:
    return tensor(values)[:, None]


def at(path: str, t: float) -> Coefficients:
    return get_path(path).at(tensor(t))
