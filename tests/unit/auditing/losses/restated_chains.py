"""Diffusion on a table of steps: linear, scaled-linear, cosine betas, Min-SNR, zero terminal SNR, learned variances."""

from __future__ import annotations

import math

import numpy as np
import torch
from losses.stated import by_level, stated
from torch.nn.functional import mse_loss

STEPS = 1000
SCALED = (
    "expr:exp(-(1 - t)*(0.425 + 1.171871944*(1 - t) + 1.077085372*(1 - t)**2)), "
    "sqrt(tanh((1 - t)*(0.425 + 1.171871944*(1 - t) + 1.077085372*(1 - t)**2))"
    "*(1 + exp(-2*(1 - t)*(0.425 + 1.171871944*(1 - t) + 1.077085372*(1 - t)**2))))"
)


def linear_table():
    """Ho et al. 2020: the products of 1 - beta, beta from 1e-4 to 0.02."""
    return np.cumprod(1 - np.linspace(1e-4, 0.02, STEPS))


def scaled_table():
    """Rombach et al. 2022: sqrt(beta) linear."""
    return np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, STEPS) ** 2)


def cosine_table():
    """Nichol & Dhariwal 2021: betas of the squared cosine, offset 0.008, clipped at 0.999."""
    squared = np.cos((np.arange(STEPS + 1) / STEPS + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.cumprod(1 - np.minimum(1 - squared[1:] / squared[:-1], 0.999))


def terminal_table():
    """Lin et al. 2024: the scaled-linear levels, moved so that the last has no signal."""
    root = np.sqrt(scaled_table())
    root = (root - root[-1]) * root[0] / (root[0] - root[-1])
    return root**2


def levels(table):
    """A and B at the step that the network gets."""
    known = table()

    def at(tau):
        bars = known[np.round(tau).astype(int)]
        return np.sqrt(bars), np.sqrt(1 - bars)

    return at


LINEAR, SCALED_LINEAR, COSINE, TERMINAL = map(levels, (linear_table, scaled_table, cosine_table, terminal_table))


def noise_itself(tau):
    return np.zeros_like(tau), np.ones_like(tau)


def data_itself(tau):
    return np.ones_like(tau), np.zeros_like(tau)


def v_of(state):
    def at(tau):
        alpha, sigma = state(tau)
        return -sigma, alpha

    return at


def noised(x1, table, t):
    """The state at the steps t, with its alpha, sigma and noise."""
    bars = torch.as_tensor(table()).to(x1)[t]
    alpha, sigma = (by_level(each, x1) for each in (bars.sqrt(), (1 - bars).sqrt()))
    eps = torch.randn_like(x1)
    return alpha * x1 + sigma * eps, alpha, sigma, eps


def per_sample(error):
    return error.square().flatten(1).mean(1)


@stated("expr:1", "eps", path="vp", verdict="falsified", state=LINEAR, aim=noise_itself, steps=STEPS, near=5e-3)
def ddpm_linear(model, x1):
    t = torch.randint(0, STEPS, (len(x1),))
    xt, _, _, eps = noised(x1, linear_table, t)
    return mse_loss(model(xt, t), eps)


@stated("expr:1", "eps", path="cosine", verdict="falsified", state=COSINE, aim=noise_itself, steps=STEPS, near=3e-2)
def ddpm_cosine(model, x1):
    t = torch.randint(0, STEPS, (len(x1),))
    xt, _, _, eps = noised(x1, cosine_table, t)
    return mse_loss(model(xt, t), eps)


@stated(
    "expr:1", "eps", path=SCALED, verdict="falsified", state=SCALED_LINEAR, aim=noise_itself, steps=STEPS, near=5e-3
)
def latent_diffusion(model, x1):
    """Stable Diffusion: the table in float32, times as long integers, the text held."""
    noise, t = torch.randn_like(x1), torch.randint(0, STEPS, (x1.shape[0],)).long()
    table = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, STEPS) ** 2, 0)
    alpha, sigma = by_level(table[t] ** 0.5, x1), by_level((1 - table[t]) ** 0.5, x1)
    text = torch.ones(len(x1), 4, 6)
    return mse_loss(model(alpha * x1 + sigma * noise, t, encoder_hidden_states=text), noise)


@stated("expr:1", "v", path=SCALED, state=SCALED_LINEAR, aim=v_of(SCALED_LINEAR), steps=STEPS, near=5e-3)
def latent_diffusion_v(model, x1):
    t = torch.randint(0, STEPS, (len(x1),))
    xt, alpha, sigma, eps = noised(x1, scaled_table, t)
    return mse_loss(model(xt, t), alpha * eps - sigma * x1)


@stated("expr:1", "v", path="table", state=TERMINAL, aim=v_of(TERMINAL), steps=STEPS, near=5e-3)
def zero_terminal_snr(model, x1):
    t = torch.randint(0, STEPS, (len(x1),))
    xt, alpha, sigma, eps = noised(x1, terminal_table, t)
    return mse_loss(model(xt, t), alpha * eps - sigma * x1)


@stated(
    "expr:min(snr, 5)/snr",
    "eps",
    path=SCALED,
    verdict="falsified",
    state=SCALED_LINEAR,
    aim=noise_itself,
    steps=STEPS,
    near=5e-3,
)
def min_snr_eps(model, x1):
    """Hang et al. 2023, with the divisor that belongs to the noise."""
    t = torch.randint(0, STEPS, (len(x1),))
    xt, alpha, sigma, eps = noised(x1, scaled_table, t)
    snr = ((alpha / sigma) ** 2).flatten()
    weight = torch.stack([snr, 5 * torch.ones_like(snr)], 1).min(1)[0] / snr
    return (weight * per_sample(model(xt, t) - eps)).mean()


@stated(
    "expr:min(snr, 5)/(snr + 1)",
    "v",
    path=SCALED,
    verdict="falsified",
    state=SCALED_LINEAR,
    aim=v_of(SCALED_LINEAR),
    steps=STEPS,
    near=5e-3,
)
def min_snr_v(model, x1):
    t = torch.randint(0, STEPS, (len(x1),))
    xt, alpha, sigma, eps = noised(x1, scaled_table, t)
    snr = ((alpha / sigma) ** 2).flatten()
    return (snr.clamp(max=5) / (snr + 1) * per_sample(model(xt, t) - (alpha * eps - sigma * x1))).mean()


@stated(
    "expr:min(snr, 5)",
    "x1",
    path="cosine",
    verdict="falsified",
    state=COSINE,
    aim=data_itself,
    steps=STEPS,
    near=3e-2,
)
def min_snr_x1(model, x1):
    t = torch.randint(0, STEPS, (len(x1),))
    xt, alpha, sigma, _ = noised(x1, cosine_table, t)
    snr = ((alpha / sigma) ** 2).flatten()
    return (snr.clamp(max=5) * per_sample(model(xt, t) - x1)).mean()


@stated(
    "expr:1/sqrt(snr)", "eps", path="vp", state=LINEAR, aim=noise_itself, steps=STEPS, near=5e-3, verdict="certified"
)
def debiased(model, x1):
    """Yu et al. 2023: 1/sqrt(SNR) on the error of the noise."""
    t = torch.randint(0, STEPS, (len(x1),))
    xt, alpha, sigma, eps = noised(x1, linear_table, t)
    return (per_sample(model(xt, t) - eps) * (sigma / alpha).flatten()).mean()


@stated(
    "expr:1/(1 + snr)", "eps", path="vp", verdict="falsified", state=LINEAR, aim=noise_itself, steps=STEPS, near=5e-3
)
def p2_on_steps(model, x1):
    t = torch.randint(0, STEPS, (len(x1),))
    xt, _, sigma, eps = noised(x1, linear_table, t)
    return (sigma.flatten() ** 2 * per_sample(model(xt, t) - eps)).mean()


@stated(
    "expr:snr/(snr + 1)",
    "v",
    path=SCALED,
    verdict="falsified",
    state=SCALED_LINEAR,
    aim=v_of(SCALED_LINEAR),
    steps=STEPS,
    near=5e-3,
)
def v_like_eps(model, x1):
    t = torch.randint(0, STEPS, (len(x1),))
    xt, alpha, sigma, eps = noised(x1, scaled_table, t)
    error = model(xt, t) - (alpha * eps - sigma * x1)
    return (error**2 * alpha**2).mean()


@stated("expr:1", "eps", path="cosine", verdict="falsified", state=COSINE, aim=noise_itself, steps=STEPS, near=3e-2)
def learned_variance(model, x1):
    """Nichol & Dhariwal 2021: 2 C channels of answer; the bound sees the mean detached and trains the variance."""

    def network(x, t):
        mean = model(x, t)
        return torch.cat([mean, torch.zeros_like(mean)], 1)

    t = torch.randint(0, STEPS, (len(x1),))
    xt, _, _, eps = noised(x1, cosine_table, t)
    mean, fraction = network(xt, t).chunk(2, 1)
    bars = torch.as_tensor(cosine_table()).to(x1)
    beta = 1 - bars[t] / bars[(t - 1).clamp(min=0)].where(t > 0, torch.ones(()))
    log_variance = by_level(beta.clamp(min=1e-6).log(), x1) * (fraction + 1) / 2
    on_eps = by_level(beta**2 / ((1 - beta) * (1 - bars[t])), x1)
    bound = 0.5 * (log_variance + on_eps * (mean.detach() - eps) ** 2 * (-log_variance).exp())
    return mse_loss(mean, eps) + 0.001 * bound.flatten(1).mean(1).mean()


@stated("expr:1", "eps", path="vp", verdict="falsified", state=LINEAR, aim=noise_itself, steps=STEPS, near=5e-3)
def antithetic_steps(model, x1):
    """Half of the batch at t, half at T - 1 - t."""
    half = torch.randint(0, STEPS, (len(x1) // 2 + 1,))
    t = torch.cat([half, STEPS - 1 - half])[: len(x1)]
    xt, _, _, eps = noised(x1, linear_table, t)
    return mse_loss(model(xt, t), eps)


@stated(
    "expr:1",
    "eps",
    path="cosine",
    verdict="falsified",
    state=lambda s: (np.cos(np.pi * s / 2), np.sin(np.pi * s / 2)),
    aim=noise_itself,
)
def stratified_times(model, x1):
    """Kingma et al. 2021: one uniform number and equal steps cover the times of a batch."""
    s = (torch.rand(1) + torch.arange(len(x1)) / len(x1)) % 1
    angle, eps = by_level(s, x1) * math.pi / 2, torch.randn_like(x1)
    return mse_loss(model(angle.cos() * x1 + angle.sin() * eps, s), eps)
