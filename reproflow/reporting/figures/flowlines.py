"""Paths of a flow for the figures: where a field carries points, step by step."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor

from reproflow.learning.networks.denoiser import GaussianDenoiser
from reproflow.learning.sampling.ode import Field, integrate


def field_of(denoiser: GaussianDenoiser) -> Field:
    """The velocity of a denoiser as a function of x (B, D) and a number t."""
    return lambda x, t: denoiser.velocity(x, x.new_full((1,), t).expand(len(x)))


def clock(steps: int) -> list[float]:
    """The times of that many equal steps from noise, 0, to data, 1."""
    return torch.linspace(0, 1, steps + 1, dtype=torch.float64).tolist()


def follow(field: Field, x: Tensor, times: Sequence[float], solver: str) -> Tensor:
    """x (B, D) at each of the times, (T, B, D), by one step of the solver between neighbours."""
    z = [x]
    for step in itertools.pairwise(times):
        z.append(integrate(field, z[-1], step, solver)[0])
    return torch.stack(z)


def tidy(z: Tensor, times: Sequence[float], **about: str | float) -> pd.DataFrame:
    """Paths (T, B, D) as rows: what they are of, the number of the path, t, and the coordinates x0, x1, ..."""
    count, each = z.shape[:2]
    columns = {f"x{d}": z[..., d].T.flatten().numpy() for d in range(z.shape[2])}
    path = torch.arange(each).repeat_interleave(count).numpy()
    return pd.DataFrame({**about, "line": path, "t": list(times) * each, **columns})
