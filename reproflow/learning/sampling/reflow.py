r"""Reflow: the pairs that a trained flow makes, on which the next one is trained (Liu et al. 2022; 003, "Reflow").

Noise x0 is carried along the probability flow dx/dt = u(x, t) to x1; a network trained on these pairs has straighter
paths. How far from straight they are is

.. math:: S = \int_0^1 E|z_1 - z_0 - \dot z_\tau|^2 d\tau

along the flow's own paths z, in the units of the data squared, where tau runs over [t_min, t_max] as over [0, 1]: S = 0
where one Euler step is exact. x0 is *noise*; 003's script starts from data.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import torch
from torch import Tensor

from reproflow.foundation import seeds
from reproflow.foundation.config import Sampling
from reproflow.foundation.errors import ReproflowError, UsageError
from reproflow.foundation.grid import Cell
from reproflow.learning.data import ImageData, ToyData, coupled_pairs
from reproflow.learning.networks.denoiser import GaussianDenoiser
from reproflow.learning.sampling import ode, samples


def write_pairs(
    denoiser: GaussianDenoiser,
    data: ToyData | ImageData,
    cell: Cell,
    settings: Sampling,
    t_range: tuple[float, float],
    out: str | Path,
) -> str:
    """Writes `settings.n` pairs of noise and what the flow makes of it, and returns the SHA-256 of the arrays.

    Labels go through the training set's in turn. Raises `UsageError` for a solver that does not follow the flow,
    `ReproflowError` where the flow is not finite.
    """
    if settings.solver not in ode.TABLEAUS:
        raise UsageError(f"{settings.solver!r} does not follow the flow; give --solver {', '.join(ode.TABLEAUS)}.")
    n, x0, x1 = settings.n, [], []
    y = data.labels().repeat(n // len(data.train) + 1)[:n] if isinstance(data, ImageData) else None
    for start in range(0, n, samples.CHUNK):
        size = min(samples.CHUNK, n - start)
        x0.append(torch.randn(size, data.dim, generator=seeds.generator("pairs", cell.key, start)))
        labels = None if y is None else y[start : start + size].to(denoiser.device)
        x1.append(_carried(denoiser, x0[-1].to(denoiser.device), labels, settings, t_range).cpu())
    about = {"cell": cell.key, "solver": settings.solver, "steps": settings.steps, "t_range": list(t_range)}
    return coupled_pairs.write(out, torch.cat(x0), torch.cat(x1), y, about)


@torch.inference_mode()
def _carried(
    denoiser: GaussianDenoiser, x0: Tensor, y: Tensor | None, settings: Sampling, t_range: tuple[float, float]
) -> Tensor:
    x, _ = ode.sample_gaussian(denoiser, x0, y, t_range, settings.solver, settings.steps)
    try:
        return samples.finite(x)
    except FloatingPointError as error:
        raise ReproflowError(f"{error}; no pairs were written.") from error


@torch.inference_mode()
def straightness(
    denoiser: GaussianDenoiser, x0: Tensor, y: Tensor | None, t_range: tuple[float, float], steps: int = 64
) -> float:
    """S of the flow from x0 (n, D), by Heun's method and its steps' slopes: second order in 1/steps, from below."""
    times = torch.linspace(*t_range, steps + 1, dtype=torch.float64).tolist()

    def field(x: Tensor, t: float) -> Tensor:
        return denoiser.velocity(x, x.new_full((1,), t).expand(len(x)), y)

    z = [x0]
    for step in itertools.pairwise(times):
        z.append(ode.integrate(field, z[-1], step, "heun")[0])
    speeds = torch.stack(z).diff(dim=0) * steps
    return float((speeds - (z[-1] - z[0])).square().sum(-1).mean())
