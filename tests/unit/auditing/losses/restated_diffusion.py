"""Diffusion in continuous time: the variance-preserving and -exploding paths, and weights on x1, eps, score and v."""

from __future__ import annotations

import math

import numpy as np
import torch
from losses.stated import by_level, stated
from torch.nn.functional import mse_loss

HALF_PI = math.pi / 2


def cosine_state(s):
    """alpha, sigma at the time s that runs from the data to the noise."""
    return np.cos(HALF_PI * s), np.sin(HALF_PI * s)


def noise_itself(tau):
    return np.zeros_like(tau), np.ones_like(tau)


def data_itself(tau):
    return np.ones_like(tau), np.zeros_like(tau)


def cosine_draw(x1, clip=0.0):
    """Times in (clip, 1), alpha and sigma against the batch, and noise."""
    s = clip + (1 - clip) * torch.rand(len(x1))
    angle = by_level(s, x1) * HALF_PI
    return s, angle.cos(), angle.sin(), torch.randn_like(x1)


def per_sample(error):
    return error.square().flatten(1).mean(1)


@stated("expr:1", "eps", path="cosine", verdict="falsified", state=cosine_state, aim=noise_itself)
def simple_loss_cosine(model, x1):
    s, alpha, sigma, eps = cosine_draw(x1)
    return mse_loss(model(alpha * x1 + sigma * eps, s), eps)


@stated("expr:1/(1 + snr)", "eps", path="cosine", verdict="falsified", state=cosine_state, aim=noise_itself)
def p2_weight(model, x1):
    """Choi et al. 2022, gamma = 1 and k = 1."""
    s, alpha, sigma, eps = cosine_draw(x1)
    weight = 1 / (1 + (alpha / sigma) ** 2).flatten()
    return (weight * per_sample(model(alpha * x1 + sigma * eps, s) - eps)).mean()


@stated("elbo", "canonical", path="cosine", target="eps", time="expr:0.999*u", state=cosine_state, aim=noise_itself)
def variational_bound(model, x1):
    """Kingma et al. 2021, eq. 17: half of the slope of the log-SNR on the error of the noise."""
    s, alpha, sigma, eps = cosine_draw(x1, 0.001)
    slope = math.pi / (alpha * sigma).flatten()
    return (0.5 * slope * per_sample(model(alpha * x1 + sigma * eps, s) - eps)).mean()


@stated(
    "sigmoid:k=2",
    "canonical",
    path="cosine",
    target="eps",
    time="expr:0.999*u",
    state=cosine_state,
    aim=noise_itself,
)
def sigmoid_weight(model, x1):
    s, alpha, sigma, eps = cosine_draw(x1, 0.001)
    lam = 2 * (alpha / sigma).log().flatten()
    slope = math.pi / (alpha * sigma).flatten()
    return (slope * torch.sigmoid(2 - lam) * per_sample(model(alpha * x1 + sigma * eps, s) - eps)).mean()


@stated(
    "edm_monotone",
    "canonical",
    path="cosine",
    target="eps",
    time="expr:0.999*u",
    state=cosine_state,
    aim=noise_itself,
)
def edm_made_monotone(model, x1):
    """Kingma & Gao 2023, section 4.2: constant from the maximum, where the slope in lam is zero, towards the noise."""
    s, alpha, sigma, eps = cosine_draw(x1, 0.001)
    lam = 2 * (alpha / sigma).log().flatten()
    grid = torch.linspace(-6, 4, 200001, dtype=torch.float64)
    peak = grid[(torch.exp(-((grid - 2.4) ** 2) / (2 * 2.4**2)) * (torch.exp(-grid) + 0.25)).argmax()]
    held = lam.clamp(min=float(peak))
    weight = torch.exp(-((held - 2.4) ** 2) / (2 * 2.4**2)) * (torch.exp(-held) + 0.25)
    return (weight * math.pi / (alpha * sigma).flatten() * per_sample(model(alpha * x1 + sigma * eps, s) - eps)).mean()


@stated("expr:1", "v", path="cosine", state=cosine_state, aim=lambda s: (-np.sin(HALF_PI * s), np.cos(HALF_PI * s)))
def v_prediction(model, x1):
    """Salimans & Ho 2022: v = alpha eps - sigma x1."""
    s, alpha, sigma, eps = cosine_draw(x1)
    return mse_loss(model(alpha * x1 + sigma * eps, s), alpha * eps - sigma * x1)


@stated("truncated_snr", "x1", path="cosine", time="expr:0.999*u", state=cosine_state, aim=data_itself)
def truncated_snr(model, x1):
    s, alpha, sigma, eps = cosine_draw(x1, 0.001)
    weight = ((alpha / sigma) ** 2).flatten().clamp(min=1)
    return (weight * per_sample(model(alpha * x1 + sigma * eps, s) - x1)).mean()


@stated("snr", "x1", path="cosine", time="expr:0.999*u", verdict="falsified", state=cosine_state, aim=data_itself)
def snr_on_data(model, x1):
    s, alpha, sigma, eps = cosine_draw(x1, 0.001)
    return ((alpha / sigma) ** 2 * (model(alpha * x1 + sigma * eps, s) - x1) ** 2).mean()


@stated("min_snr", "x1", path="cosine", verdict="falsified", state=cosine_state, aim=data_itself)
def min_snr_on_data(model, x1):
    s, alpha, sigma, eps = cosine_draw(x1)
    weight = torch.minimum((alpha / sigma) ** 2, torch.tensor(5.0)).flatten()
    return (weight * per_sample(model(alpha * x1 + sigma * eps, s) - x1)).mean()


@stated("soft_min_snr:gamma=4", "x1", path="cosine", verdict="falsified", state=cosine_state, aim=data_itself)
def soft_min_snr(model, x1):
    """Crowson et al. 2024."""
    s, alpha, sigma, eps = cosine_draw(x1)
    weight = 4 * alpha**2 / (alpha**2 + 4 * sigma**2)
    return (weight * (model(alpha * x1 + sigma * eps, s) - x1) ** 2).mean()


@stated("expr:clamp(snr, 0.05, 1.5)", "x1", path="cosine", verdict="falsified", state=cosine_state, aim=data_itself)
def clipped_snr(model, x1):
    s, alpha, sigma, eps = cosine_draw(x1)
    weight = ((alpha / sigma) ** 2).clamp(0.05, 1.5)
    return (weight * (model(alpha * x1 + sigma * eps, s) - x1) ** 2).mean()


def vp_levels(s):
    """alpha and sigma of the SDE with beta from 0.1 to 20; s runs from the data to the noise."""
    log_alpha = -0.25 * s**2 * 19.9 - 0.05 * s
    return np.exp(log_alpha), np.sqrt(-np.expm1(2 * log_alpha))


def vp_draw(x1, low=1e-5):
    s = low + (1 - low) * torch.rand(len(x1))
    log_alpha = by_level(-0.25 * s**2 * 19.9 - 0.05 * s, x1)
    return s, log_alpha.exp(), (-torch.expm1(2 * log_alpha)).sqrt(), torch.randn_like(x1)


def score_itself(levels):
    return lambda tau: (np.zeros_like(tau), -1 / levels(tau)[1])


@stated(
    "expr:sigma**2",
    "score",
    path="vp",
    time="expr:0.99999*u",
    target="score",
    verdict="falsified",
    state=lambda tau: vp_levels(tau / 999),
    aim=score_itself(lambda tau: vp_levels(tau / 999)),
)
def vp_sde_score(model, x1):
    """Song et al. 2021, lambda = sigma²: (sigma score + eps)²; the network gets 999 times the time."""
    s, alpha, sigma, eps = vp_draw(x1)
    score = model(alpha * x1 + sigma * eps, s * 999)
    return (score * sigma + eps).square().flatten(1).mean(1)


@stated(
    "expr:0.1 + 19.9*(1 - t)",
    "score",
    path="vp",
    time="expr:0.999*u",
    target="score",
    state=lambda tau: vp_levels(tau),
    aim=score_itself(vp_levels),
)
def likelihood_weighting(model, x1):
    """Song, Durkan et al. 2021, lambda = g²."""
    s, alpha, sigma, eps = vp_draw(x1, 1e-3)
    g2 = 0.1 + 19.9 * s
    return (g2 * per_sample(model(alpha * x1 + sigma * eps, s) + eps / sigma)).mean()


def sub_vp(s):
    alpha, sigma = vp_levels(s)
    return alpha, sigma**2


@stated(
    "expr:sigma**2",
    "score",
    time="expr:0.999*u",
    target="score",
    verdict="falsified",
    path="expr:exp(-(1 - t)*(0.05 + 4.975*(1 - t))), 1 - exp(-2*(1 - t)*(0.05 + 4.975*(1 - t)))",
    state=sub_vp,
    aim=score_itself(sub_vp),
)
def sub_vp_sde_score(model, x1):
    """Song et al. 2021: the standard deviation is 1 - alpha²."""
    s, alpha, root, eps = vp_draw(x1, 1e-3)
    sigma = root**2
    return (model(alpha * x1 + sigma * eps, s) * sigma + eps).square().mean()


def ve_levels(t):
    return np.ones_like(t), 0.01 * (50 / 0.01) ** (1 - t)


@stated(
    "expr:sigma**2",
    "score",
    path="ve",
    target="score",
    state=lambda tau: (np.ones_like(tau), tau),
    aim=lambda tau: (np.zeros_like(tau), -1 / tau),
)
def ncsn(model, x1):
    """Song & Ermon 2019: a geometric sequence of levels, here a continuum; the network gets sigma."""
    sigma = 0.01 * (50 / 0.01) ** torch.rand(len(x1))
    level = by_level(sigma, x1)
    eps = torch.randn_like(x1)
    return ((model(x1 + level * eps, sigma) + eps / level) ** 2 * level**2).sum((1, 2, 3))


@stated(
    "expr:1 + snr",
    "x1",
    path="edm:low=0.02,high=88",
    state=lambda tau: (np.ones_like(tau), tau),
    aim=data_itself,
)
def gencast(model, x1):
    """Price et al. 2024: the levels of EDM's sampler with uniform ranks, sigma_data = 1."""
    u = torch.rand(len(x1))
    sigma = (88 ** (1 / 7) + u * (0.02 ** (1 / 7) - 88 ** (1 / 7))) ** 7
    level = by_level(sigma, x1)
    denoised = model(x1 + level * torch.randn_like(x1), sigma)
    return ((level**2 + 1) / level**2 * (denoised - x1) ** 2).mean()


@stated("expr:1", "x1", path="vp_sigma_t", state=lambda s: (np.sqrt(1 - s**2), s), aim=data_itself)
def noise_level_as_time(model, x1):
    """The variance-preserving path whose sigma is the time."""
    sigma, eps = torch.rand(len(x1)), torch.randn_like(x1)
    level = by_level(sigma, x1)
    return mse_loss(model((1 - level**2).sqrt() * x1 + level * eps, sigma), x1)


def by_log_snr(lam):
    return np.sqrt(1 / (1 + np.exp(-lam))), np.sqrt(1 / (1 + np.exp(lam)))


@stated("expr:1", "eps", time="laplace", verdict="falsified", state=by_log_snr, aim=noise_itself)
def laplace_levels(model, x1):
    """Hang et al. 2024: the log-SNR has a Laplace law of scale 0.5; the network gets the log-SNR."""
    u = torch.rand(len(x1)) - 0.5
    lam = -0.5 * u.sign() * torch.log1p(-2 * u.abs())
    level, eps = by_level(lam, x1), torch.randn_like(x1)
    noisy = torch.sigmoid(level).sqrt() * x1 + torch.sigmoid(-level).sqrt() * eps
    return mse_loss(model(noisy, lam), eps)


@stated("expr:1", "eps", verdict="falsified", state=lambda t: (t, 1 - t), aim=noise_itself)
def sit_noise(model, x1):
    """SiT's prediction of the noise on the straight path."""
    t, eps = torch.rand(len(x1)), torch.randn_like(x1)
    s = by_level(t, x1)
    return mse_loss(model(s * x1 + (1 - s) * eps, t), eps)
