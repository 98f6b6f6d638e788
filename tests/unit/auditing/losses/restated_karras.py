"""EDM and EDM2, with the network at D and at F, and k-diffusion's weights: Karras et al. 2022, 2024."""

from __future__ import annotations

import numpy as np
import torch
from losses.stated import by_level, stated

SIGMA_DATA = 0.5
WEIGHT = "expr:(exp(-lam) + 0.25)/(0.25*exp(-lam))"


def exploding(sigma):
    return np.ones_like(sigma), sigma


def data_itself(sigma):
    return np.ones_like(sigma), np.zeros_like(sigma)


def inner_state(noise):
    """The input of F at c_noise = log(sigma)/4."""
    sigma = np.exp(4 * noise)
    c_in = 1 / np.sqrt(sigma**2 + SIGMA_DATA**2)
    return c_in, c_in * sigma


def inner_aim(noise):
    """F's target: (x1 - c_skip (x1 + sigma eps)) / c_out."""
    sigma = np.exp(4 * noise)
    total = sigma**2 + SIGMA_DATA**2
    skip, out = SIGMA_DATA**2 / total, sigma * SIGMA_DATA / np.sqrt(total)
    return (1 - skip) / out, -skip * sigma / out


def karras(denoise, x1, mean=-1.2, std=1.2):
    """The loss of D at log-normal levels."""
    sigma = (torch.randn([x1.shape[0], 1, 1, 1], device=x1.device) * std + mean).exp()
    weight = (sigma**2 + SIGMA_DATA**2) / (sigma * SIGMA_DATA) ** 2
    return weight * (denoise(x1 + torch.randn_like(x1) * sigma, sigma) - x1) ** 2


@stated(WEIGHT, "x1", time="lognormal_sigma", verdict="falsified", state=exploding, aim=data_itself)
def edm_outer(model, x1):
    return karras(model, x1)


@stated(
    WEIGHT,
    "x1",
    time="lognormal_sigma",
    target="edm_f",
    verdict="falsified",
    state=inner_state,
    aim=inner_aim,
    exact=5e-5,
)
def edm_inner(model, x1):
    def denoise(x, sigma):
        total = sigma**2 + SIGMA_DATA**2
        skip, out, c_in = SIGMA_DATA**2 / total, sigma * SIGMA_DATA / total.sqrt(), 1 / total.sqrt()
        return skip * x + out * model(c_in * x, (sigma.log() / 4).flatten())

    return karras(denoise, x1).mean()


@stated(WEIGHT, "x1", time="lognormal_sigma:mean=-0.4,std=1", verdict="falsified", state=exploding, aim=data_itself)
def edm2_outer(model, x1):
    """Karras et al. 2024; the learned log-variance of the level is held at 0.3."""
    logvar = torch.full((len(x1), 1, 1, 1), 0.3)
    return karras(model, x1, -0.4, 1.0) / logvar.exp() + logvar


@stated(
    "expr:1/(exp(-lam) + 1)*4",
    "x1",
    time="lognormal_sigma:mean=-1.2,std=1.5",
    verdict="falsified",
    state=exploding,
    aim=data_itself,
)
def soft_levels(model, x1):
    """A denoiser at log-normal levels with the weight 4/(sigma² + 1)."""
    sigma = torch.empty(len(x1)).log_normal_(-1.2, 1.5)
    level = by_level(sigma, x1)
    denoised = model(x1 + level * torch.randn_like(x1), sigma)
    return (4 / (level**2 + 1) * (denoised - x1) ** 2).mean()
