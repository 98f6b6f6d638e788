"""Samplers as users write them, `sample(model, n)`, and the discrete schedules that they run on."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from synthetic_audits import SHAPE
from torch import Tensor

T = 1000
LINEAR = np.cumprod(1 - np.linspace(1e-4, 0.02, T))
_bar = np.cos((np.linspace(0, 1, T + 1) + 0.008) / 1.008 * np.pi / 2) ** 2
COSINE = np.cumprod(1 - np.clip(1 - _bar[1:] / _bar[:-1], 0, 0.999))
X0: dict[str, Callable[..., Tensor]] = {
    "eps": lambda x, y, A, B: (x - B * y) / A,
    "v": lambda x, y, A, B: A * x - B * y,
    "x0": lambda x, y, A, B: y,
}


def euler(given: Callable[[float], float] = lambda t: t, sign: int = 1, level: Callable[[float], float] = lambda t: t):
    """dx/dt = v from noise to data: steps at the levels `level(i / steps)`, of which the network is given `given`."""

    def sample(model: Any, n: int, steps: int = 50) -> Tensor:
        x = torch.randn(n, *SHAPE)
        levels = [level(i / steps) for i in range(steps + 1)]
        for i in range(steps):
            x = x + sign * (levels[i + 1] - levels[i]) * model(x, torch.full((n,), given(i / steps)))
        return x

    return sample


def ddim(bars: np.ndarray = LINEAR, what: str = "eps", finish: Callable[[Tensor], Tensor] = lambda x: x):
    """DDIM with eta = 0, the predicted data clamped to [-1, 1]."""

    def sample(model: Any, n: int, steps: int = 50) -> Tensor:
        x = torch.randn(n, *SHAPE)
        chosen = np.linspace(T - 1, 0, steps).round().astype(int)
        for j, k in enumerate(chosen):
            A, B = math.sqrt(bars[k]), math.sqrt(1 - bars[k])
            data = X0[what](x, model(x, torch.full((n,), int(k))), A, B).clamp(-1, 1)
            after = bars[chosen[j + 1]] if j + 1 < steps else 1.0
            x = math.sqrt(after) * data + math.sqrt(1 - after) * (x - A * data) / B
        return finish(x)

    return sample


def ancestral(model: Any, n: int) -> Tensor:
    """DDPM's own sampler: all levels, the variance beta."""
    x = torch.randn(n, *SHAPE)
    for k in reversed(range(T)):
        bar, before = LINEAR[k], LINEAR[k - 1] if k else 1.0
        eps = model(x, torch.full((n,), k))
        beta = 1 - bar / before
        x = (x - beta / math.sqrt(1 - bar) * eps) / math.sqrt(1 - beta)
        x = x + math.sqrt(beta) * torch.randn_like(x) if k else x
    return x


def edm(denoise: Callable[[Any], Callable[[Tensor, Tensor], Tensor]] = lambda model: model):
    """Heun's method from sigma 80 to 0 with Karras's steps."""

    def sample(model: Any, n: int, num_steps: int = 18) -> Tensor:
        i = torch.arange(num_steps, dtype=torch.float64) / (num_steps - 1)
        sigmas = torch.cat([(80 ** (1 / 7) + i * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7, torch.zeros(1)])
        x, D = 80 * torch.randn(n, *SHAPE, dtype=torch.float64), denoise(model)
        for now, then in itertools.pairwise(sigmas):
            slope = (x - D(x, now)) / now
            after = x + (then - now) * slope
            if then > 0:
                after = x + (then - now) * (slope + (after - D(after, then)) / then) / 2
            x = after
        return x

    return sample


def preconditioned(sigma_data: float) -> Callable[[Any], Callable[[Tensor, Tensor], Tensor]]:
    """EDM's D from its F."""

    def denoise(model: Any) -> Callable[[Tensor, Tensor], Tensor]:
        def D(x: Tensor, sigma: Tensor) -> Tensor:
            scale = 1 / (sigma**2 + sigma_data**2).sqrt()
            F = model((scale * x).float(), (sigma.log() / 4).reshape(1).float())
            return sigma_data**2 * scale**2 * x + sigma * sigma_data * scale * F

        return D

    return denoise
