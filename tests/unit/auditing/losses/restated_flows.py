"""Flow matching in plain torch: straight and curved paths, and the laws that times are drawn from."""

from __future__ import annotations

import math

import numpy as np
import torch
from losses.stated import by_level, stated
from torch.nn.functional import mse_loss


def to_data(t):
    return t, 1 - t


def to_noise(s):
    return 1 - s, s


def forwards(t):
    """x1 - eps."""
    return np.ones_like(t), -np.ones_like(t)


def backwards(s):
    """eps - x1."""
    return -np.ones_like(s), np.ones_like(s)


def straight(model, x1, t, weight=1.0):
    """The loss of a straight path at the times t, weighted."""
    eps = torch.randn_like(x1)
    s = by_level(t, x1)
    error = model(s * x1 + (1 - s) * eps, t) - (x1 - eps)
    return (weight * error.square().flatten(1).mean(1)).mean()


@stated("uniform", "velocity", state=to_data, aim=forwards)
def rectified_flow(model, x1):
    x0, t = torch.randn_like(x1), torch.rand(x1.shape[0])
    xt = t[:, None, None, None] * x1 + (1 - t[:, None, None, None]) * x0
    return mse_loss(model(xt, t), x1 - x0)


@stated(
    "uniform",
    "velocity",
    path="expr:t, 1 - 0.99*t",
    state=lambda t: (t, 1 - 0.99 * t),
    aim=lambda t: (np.ones_like(t), -0.99 * np.ones_like(t)),
)
def optimal_transport_path(model, x1):
    """Lipman et al. 2023, eq. 23: sigma_min is 0.01."""
    low = 0.01
    t, x0 = torch.rand(len(x1), 1, 1, 1), torch.randn_like(x1)
    psi = (1 - (1 - low) * t) * x0 + t * x1
    return (model(psi, t.flatten()) - (x1 - (1 - low) * x0)).pow(2).mean()


@stated(
    "uniform",
    "velocity",
    path="cosine",
    state=lambda t: (np.sin(np.pi * t / 2), np.cos(np.pi * t / 2)),
    aim=lambda t: (np.pi / 2 * np.cos(np.pi * t / 2), -np.pi / 2 * np.sin(np.pi * t / 2)),
)
def sit_gvp(model, x1):
    """SiT with the variance-preserving trigonometric path."""
    t, eps = torch.rand(len(x1)), torch.randn_like(x1)
    angle = by_level(t, x1) * math.pi / 2
    alpha, sigma = angle.sin(), angle.cos()
    velocity = math.pi / 2 * (sigma * x1 - alpha * eps)
    return ((model(alpha * x1 + sigma * eps, t) - velocity) ** 2).flatten(1).mean(1)


def vp_velocity(t):
    s = 1 - t
    alpha = np.exp(-0.25 * s**2 * 19.9 - 0.05 * s)
    dalpha = alpha * (0.5 * s * 19.9 + 0.05)
    sigma = np.sqrt(-np.expm1(2 * np.log(alpha)))
    return dalpha, -alpha * dalpha / sigma


def vp_state(t):
    s = 1 - t
    log_alpha = -0.25 * s**2 * 19.9 - 0.05 * s
    return np.exp(log_alpha), np.sqrt(-np.expm1(2 * log_alpha))


@stated("uniform", "velocity", path="vp", time="expr:0.999*u", state=vp_state, aim=vp_velocity)
def sit_vp(model, x1):
    """The velocity of the variance-preserving SDE's path, times kept off the data."""
    t = 0.999 * torch.rand(len(x1))
    eps, s = torch.randn_like(x1), by_level(1 - t, x1)
    log_alpha = -0.25 * s**2 * 19.9 - 0.05 * s
    alpha, sigma = log_alpha.exp(), (-torch.expm1(2 * log_alpha)).sqrt()
    dalpha = alpha * (0.5 * s * 19.9 + 0.05)
    velocity = dalpha * x1 - alpha * dalpha / sigma * eps
    return mse_loss(model(alpha * x1 + sigma * eps, t), velocity)


@stated(
    "uniform",
    "velocity",
    path="polynomial",
    state=lambda t: (t**2, 1 - t**2),
    aim=lambda t: (2 * t, -2 * t),
)
def polynomial_scheduler(model, x1):
    """Lipman et al. 2024: a convex polynomial scheduler with n = 2."""
    t, x0 = torch.rand(len(x1)), torch.randn_like(x1)
    s = by_level(t, x1)
    return mse_loss(model(s**2 * x1 + (1 - s**2) * x0, t), 2 * s * (x1 - x0))


@stated(
    "uniform",
    "velocity",
    time="logit_normal",
    verdict="falsified",
    state=lambda tau: to_noise(tau / 1000),
    aim=backwards,
)
def sd3_logit_normal(model, x1):
    sigmas = torch.sigmoid(torch.randn(len(x1)))
    noise, s = torch.randn_like(x1), by_level(sigmas, x1)
    return mse_loss(model((1 - s) * x1 + s * noise, timestep=sigmas * 1000), noise - x1)


@stated(
    "uniform",
    "velocity",
    time="logit_normal:mean=-1.0986122887,std=1",
    verdict="falsified",
    state=to_noise,
    aim=backwards,
)
def sd3_shifted(model, x1):
    """Logit-normal times, moved by the shift 3 of the scheduler."""
    u = torch.normal(mean=0.0, std=1.0, size=(len(x1),)).sigmoid()
    sigmas = 3 * u / (1 + 2 * u)
    noise, s = torch.randn_like(x1), by_level(sigmas, x1)
    return mse_loss(model((1 - s) * x1 + s * noise, sigmas), noise - x1)


@stated("uniform", "velocity", time="mode", verdict="not_representable", state=to_noise, aim=backwards)
def sd3_mode(model, x1):
    """Mode sampling with heavy tails; its law is symmetric."""
    u = torch.rand(len(x1))
    sigmas = 1 - u - 1.29 * (torch.cos(math.pi * u / 2) ** 2 - 1 + u)
    noise, s = torch.randn_like(x1), by_level(sigmas, x1)
    return mse_loss(model((1 - s) * x1 + s * noise, sigmas), noise - x1)


@stated("uniform", "velocity", time="cosine_map", state=to_data, aim=forwards)
def sd3_cosmap(model, x1):
    u = torch.rand(len(x1))
    return straight(model, x1, 1 / (torch.tan(math.pi / 2 * (1 - u)) + 1))


@stated("uniform", "velocity", time="expr:u/(3 - 2*u)", state=to_noise, aim=backwards)
def uniform_shifted(model, x1):
    u = torch.rand(len(x1))
    s = 3 * u / (1 + 2 * u)
    noise, level = torch.randn_like(x1), by_level(s, x1)
    return mse_loss(model(x1 + level * (noise - x1), s), noise - x1)


@stated("uniform", "velocity", time="expr:0.999*(1 - (1 - u)**(2/3))", state=to_noise, aim=backwards)
def pi0_beta(model, x1):
    """Black et al. 2024: Beta(1.5, 1), which stresses the noise, up to 0.999."""
    s = 1 - 0.999 * (1 - torch.rand(len(x1)) ** (1 / 1.5))
    noise, level = torch.randn_like(x1), by_level(s, x1)
    return mse_loss(model((1 - level) * x1 + level * noise, s), noise - x1)


@stated("uniform", "velocity", time="u_squared", state=to_data, aim=forwards)
def times_squared(model, x1):
    return straight(model, x1, torch.rand(len(x1)) ** 2)


@stated("uniform", "velocity", time="one_minus_u_squared", state=to_data, aim=forwards)
def times_towards_data(model, x1):
    return straight(model, x1, 1 - torch.rand(len(x1)) ** 2)


@stated("uniform", "velocity", time="u_shaped", state=to_data, aim=forwards)
def rectified_flow_plus_plus(model, x1):
    """Lee et al. 2024: density cosh(4 (t - 1/2))."""
    u = torch.rand(len(x1))
    return straight(model, x1, 0.5 + torch.asinh((2 * u - 1) * math.sinh(2.0)) / 4)


@stated("uniform", "velocity", time="lognormal_sigma", verdict="falsified", state=to_data, aim=forwards)
def skewed_times(model, x1):
    """The levels of EDM on the straight path."""
    sigma = (1.2 * torch.randn(len(x1)) - 1.2).exp()
    return straight(model, x1, 1 / (1 + sigma))


@stated("inv_snr", "velocity", time="expr:0.001 + 0.999*u", verdict="not_representable", state=to_data, aim=forwards)
def inverse_snr(model, x1):
    t = 0.001 + 0.999 * torch.rand(len(x1))
    return straight(model, x1, t, ((1 - t) / t) ** 2)


@stated("t_squared", "velocity", verdict="falsified", state=to_data, aim=forwards)
def data_end(model, x1):
    t = torch.rand(len(x1))
    return straight(model, x1, t, t**2)


@stated("one_minus_t_squared", "velocity", state=to_data, aim=forwards)
def noise_end(model, x1):
    t = torch.rand(len(x1))
    return straight(model, x1, t, (1 - t) ** 2)


def data_itself(t):
    return np.ones_like(t), np.zeros_like(t)


@stated("inv_one_minus_t_squared", "x1", time="expr:0.99*u", state=to_data, aim=data_itself)
def endpoint_weighted(model, x1):
    """Billera et al. 2025: the endpoint is predicted, the error of the velocity weighted."""
    t = 0.99 * torch.rand(len(x1))
    s = by_level(t, x1)
    guess = model(s * x1 + (1 - s) * torch.randn_like(x1), t)
    return (((guess - x1) / (1 - s)) ** 2).mean()


@stated("expr:1", "x1", state=to_data, aim=data_itself)
def indi(model, x1):
    t = torch.rand(len(x1))
    s = by_level(t, x1)
    return mse_loss(model(torch.lerp(torch.randn_like(x1), x1, s), t), x1)


@stated(
    "expr:max(1 - t, 0.05)**(-2)",
    "x1",
    time="logit_normal:mean=-0.8,std=0.8",
    verdict="falsified",
    state=to_data,
    aim=data_itself,
)
def jit(model, x1):
    """A network of x1 with the loss of the velocity, the divisor clipped; the probe answers x1."""
    t = (0.8 * torch.randn(len(x1)) - 0.8).sigmoid()
    s = by_level(t, x1)
    z = s * x1 + (1 - s) * torch.randn_like(x1)
    divisor = (1 - s).clamp_min(0.05)
    return (((x1 - z) / divisor - (model(z, t) - z) / divisor) ** 2).mean()
