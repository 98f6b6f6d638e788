"""The probability flow dx/dt = u(x, t) of a Gaussian denoiser, by explicit Runge-Kutta methods.

Samples start from N(0, s² I) at t_min, s² = alpha² + sigma², which is what data of unit variance have become there,
and go to t_max in fixed steps of Euler, Heun or RK4, each written as its tableau.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from reproflow.learning.networks.denoiser import GaussianDenoiser
from reproflow.theory.paths import Path

Field = Callable[[Tensor, float], Tensor]


@dataclass(frozen=True)
class Tableau:
    """An explicit Runge-Kutta method: stage times c, stage coefficients a (lower triangle), weights b."""

    c: tuple[float, ...]
    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]


TABLEAUS = {
    "euler": Tableau((0.0,), ((),), (1.0,)),
    "heun": Tableau((0.0, 1.0), ((), (1.0,)), (1 / 2, 1 / 2)),
    "rk4": Tableau(
        (0.0, 1 / 2, 1 / 2, 1.0), ((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6)
    ),
}


def integrate(field: Field, x: Tensor, times: Sequence[float], solver: str) -> tuple[Tensor, int]:
    """x at the last of `times`, and the number of evaluations of `field(x, t)`; x (B, D), t a number."""
    tableau = TABLEAUS[solver]
    for start, stop in itertools.pairwise(times):
        step = stop - start
        slopes: list[Tensor] = []
        for c, row in zip(tableau.c, tableau.a, strict=True):
            shift = sum((a * slope for a, slope in zip(row, slopes, strict=True)), torch.zeros_like(x))
            slopes.append(field(x + step * shift, start + c * step))
        x = x + step * sum((b * slope for b, slope in zip(tableau.b, slopes, strict=True)), torch.zeros_like(x))
    return x, (len(times) - 1) * len(tableau.b)


def sample_gaussian(
    denoiser: GaussianDenoiser, x0: Tensor, y: Tensor | None, t_range: tuple[float, float], solver: str, steps: int
) -> tuple[Tensor, int]:
    """x at t_max from standard normal x0 (B, D), scaled to the base at t_min, and the NFE.

    Where the velocity is converted from another target it grows like 1/(1 - t), and a method that evaluates it at t_max
    would overshoot there: the last step is then Euler's, which near t = 1 goes to the prediction of x1 itself.
    """

    def field(x: Tensor, t: float) -> Tensor:
        return denoiser.velocity(x, x.new_full((1,), t).expand(len(x)), y)

    times = torch.linspace(*t_range, steps + 1, dtype=torch.float64).tolist()
    x0 = base_scale(denoiser.path, t_range[0]) * x0
    if denoiser.target.name == "velocity":
        return integrate(field, x0, times, solver)
    x, nfe = integrate(field, x0, times[:-1], solver)
    x, last = integrate(field, x, times[-2:], "euler")
    return x, nfe + last


def base_scale(path: Path, t_min: float) -> float:
    """s: the standard deviation of the samplers' base at t_min, sqrt(alpha² + sigma²)."""
    alpha, sigma = path(torch.tensor(t_min, dtype=torch.float64))
    return math.hypot(float(alpha), float(sigma))
