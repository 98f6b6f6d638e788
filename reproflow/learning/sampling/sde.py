r"""The SDE samplers of a Gaussian denoiser, from the probability flow (eta = 0) to ancestral sampling (eta = 1).

Noise keeps the marginals at any strength if the score pays for it (PATH-8; 002, "Recall the SDE"):

.. math:: dX = [u + \tfrac{g^2}{2} \nabla \log p_t] dt + g\, dW, \qquad g^2 = \eta^2 \sigma^2 \dot\lambda

With the network's x1 and eps held over a step from s to t its linear part is solved exactly (Ho et al. 2020 for
eta = 1, the ancestral step; Song et al. 2021, DDIM, eq. 12 and 16; eta = 0 is the flow again):

.. math:: x_t = \alpha_t \hat x_1 + \sqrt{\sigma_t^2 - v^2}\, \hat\epsilon + v z, \qquad
          v = \eta \sigma_t \sqrt{1 - e^{\lambda_s - \lambda_t}}

The score is -eps/sigma only where noise and data were paired independently.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from reproflow.learning.networks.denoiser import GaussianDenoiser
from reproflow.learning.sampling.ode import base_scale

Noise = Callable[[int], Tensor]


def sample_sde(
    denoiser: GaussianDenoiser, noise: Noise, y: Tensor | None, t_range: tuple[float, float], steps: int, eta: float
) -> tuple[Tensor, int]:
    """x at t_max, and the NFE, one a step; `noise(k)` is standard normal (B, D): the base for k = 0, then each step's.

    eta in [0, 1] is the share of the ancestral noise.
    """
    times = torch.linspace(*t_range, steps + 1, dtype=torch.float64)
    alpha, sigma = (each.tolist() for each in denoiser.path(times))
    x = base_scale(denoiser.path, t_range[0]) * noise(0)
    for k, (now, after) in enumerate(itertools.pairwise(zip(alpha, sigma, strict=True))):
        x1 = denoiser.x1(x, x.new_full((1,), float(times[k])).expand(len(x)), y)
        eps = (x - now[0] * x1) / now[1]
        kept, fresh = sde_shares(now, after, eta)
        x = after[0] * x1 + kept * eps + fresh * noise(k + 1)
    return x, steps


def sde_shares(now: tuple[float, float], after: tuple[float, float], eta: float) -> tuple[float, float]:
    """Of the noise after a step from one (alpha, sigma) to the next: the share kept from eps, and the fresh one, v."""
    fresh = eta * after[1] * math.sqrt(1 - (now[0] * after[1] / (now[1] * after[0])) ** 2)
    return math.sqrt(after[1] ** 2 - fresh**2), fresh
