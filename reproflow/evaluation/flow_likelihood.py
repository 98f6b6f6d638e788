r"""The exact likelihood of a flow: where a point came from, and how much the flow stretched on the way.

x_{tmin} ~ N(0, I) and dx/dt = velocity(x, t) up to t_max define a density there; a data point is taken at t_max:

.. math:: -\log p(x) = -\log N(x_{t_{min}}; 0, I) + \int_{t_{min}}^{t_{max}} \nabla \cdot v(x_t, t) \, dt

(Chen et al. 2018, eq. 8). This is exact for that model: it neither corrects t_min > 0 nor t_max < 1. The only error is
the solver's, which is of order 4 and is reported as the distance between N and 2 N steps. Nats throughout.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from reproflow.foundation.errors import UsageError

Field = Callable[[Tensor, float], tuple[Tensor, Tensor]]

RANGE = (1e-3, 1 - 1e-3)


@dataclass(frozen=True)
class FlowLikelihood:
    """-log p per point (B,), float64: `nats` with 2 N steps and `coarse` with N; `error` is their distance."""

    nats: Tensor
    coarse: Tensor

    @property
    def error(self) -> Tensor:
        return (self.nats - self.coarse).abs()


def flow_nll(
    denoiser: Any,
    x: Tensor,
    y: Tensor | None = None,
    t_range: tuple[float, float] = RANGE,
    steps: int = 25,
    probes: Tensor | None = None,
) -> FlowLikelihood:
    """-log p in nats of the probability-flow ODE, by RK4 from data to noise with N and 2 N equal steps.

    x (B, D) floating, y (B,) or None. The divergence is exact, by D backward passes, or with `probes` (P, B, D) of
    independent ±1 Hutchinson's unbiased estimate, held fixed along the path. A trajectory that leaves the finite
    numbers gives NaN or infinity there. Raises `UsageError` for integer x: a density needs dequantised data.
    """
    if not x.is_floating_point():
        raise UsageError(f"a flow likelihood needs floating-point data, got {x.dtype}; dequantise it first.")
    x, y = x.to(denoiser.device), None if y is None else y.to(denoiser.device)
    directions = torch.eye(x.shape[1], dtype=x.dtype).unsqueeze(1) if probes is None else probes
    weight = 1.0 if probes is None else 1 / len(probes)

    def field(x: Tensor, t: float) -> tuple[Tensor, Tensor]:
        # One time for all: an expanded scalar, so that a denoiser may find its coefficients once.
        times = torch.full((1,), t, dtype=x.dtype, device=x.device).expand(len(x))
        return _with_divergence(lambda z: denoiser.velocity(z, times, y), x, directions.to(x), weight)

    coarse, fine = (_flow_nll(field, x, t_range, n) for n in (steps, 2 * steps))
    return FlowLikelihood(fine, coarse)


def dequantised_nll(
    denoiser: Any, levels: Tensor, y: Tensor | None, generator: Generator, values: Tensor, **options: Any
) -> FlowLikelihood:
    """An upper bound in nats of -log P(levels) under the flow of `flow_nll`, by uniform dequantisation (one draw).

    levels int64 (B, D), values (V,) evenly spaced: -log P = -log E_u p(v + u h) h^D <= E_u[-log p(v + u h)] - D log h,
    u uniform on (-1/2, 1/2). Another model than `gaussian_bound`'s, with another number.
    """
    spacing = float(values[1] - values[0])
    u = torch.rand(levels.shape, generator=generator, dtype=torch.float64) - 0.5
    flow = flow_nll(denoiser, (values[levels] + spacing * u).to(values.dtype), y, **options)
    shift = levels.shape[1] * math.log(spacing)
    return FlowLikelihood(flow.nats - shift, flow.coarse - shift)


def _flow_nll(field: Field, x: Tensor, t_range: tuple[float, float], steps: int) -> Tensor:
    x, integral = _rk4(field, x, t_range, steps)
    prior = -0.5 * x.double().square().sum(-1) - 0.5 * x.shape[1] * math.log(2 * math.pi)
    return (integral.double() - prior).cpu()


def _rk4(field: Field, x: Tensor, t_range: tuple[float, float], steps: int) -> tuple[Tensor, Tensor]:
    """x carried from t_max to t_min (B, D), and the integral of the divergence from t_min to t_max (B,)."""
    h = (t_range[1] - t_range[0]) / steps
    integral = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for step in range(steps):
        t = t_range[1] - step * h
        v1, d1 = field(x, t)
        v2, d2 = field(x - h / 2 * v1, t - h / 2)
        v3, d3 = field(x - h / 2 * v2, t - h / 2)
        v4, d4 = field(x - h * v3, t - h)
        x = x - h / 6 * (v1 + 2 * v2 + 2 * v3 + v4)
        integral += h / 6 * (d1 + 2 * d2 + 2 * d3 + d4)
    return x, integral


def _with_divergence(
    velocity: Callable[[Tensor], Tensor], x: Tensor, directions: Tensor, weight: float
) -> tuple[Tensor, Tensor]:
    """v(x) (B, D) and weight x sum_k e_k · J e_k (B,), one backward pass for each direction e_k (P, B or 1, D)."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        v = velocity(x)
        rows = (torch.autograd.grad(v, x, e.expand_as(v), retain_graph=True)[0] * e for e in directions)
        divergence = weight * torch.stack([row.sum(-1) for row in rows]).sum(0)
    return v.detach(), divergence
