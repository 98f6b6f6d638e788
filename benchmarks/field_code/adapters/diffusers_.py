"""diffusers: schedulers and training helpers; between them the lines of its example scripts, in other words."""

import torch
from diffusers import DDPMScheduler, FlowMatchEulerDiscreteScheduler
from diffusers.training_utils import (
    compute_density_for_timestep_sampling,
    compute_loss_weighting_for_sd3,
    compute_snr,
)

LINEAR = DDPMScheduler()
COSINE = DDPMScheduler(beta_schedule="squaredcos_cap_v2")
SCALED = DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)


def _eps(scheduler, model, x1, gamma=None):
    noise, t = torch.randn_like(x1), torch.randint(0, len(scheduler.betas), (len(x1),))
    error = (model(scheduler.add_noise(x1, noise, t), t) - noise) ** 2
    snr = compute_snr(scheduler, t)
    weight = torch.ones_like(snr) if gamma is None else snr.clamp(max=gamma) / snr
    return (weight * error.flatten(1).mean(1)).mean()


def ddpm(model, x1):
    return _eps(LINEAR, model, x1)


def iddpm(model, x1):
    return _eps(COSINE, model, x1)


def stable_diffusion(model, x1):
    return _eps(SCALED, model, x1)


def min_snr_eps(model, x1):
    return _eps(SCALED, model, x1, gamma=5.0)


def min_snr_v(model, x1):
    noise, t = torch.randn_like(x1), torch.randint(0, len(SCALED.betas), (len(x1),))
    error = (model(SCALED.add_noise(x1, noise, t), t) - SCALED.get_velocity(x1, noise, t)) ** 2
    snr = compute_snr(SCALED, t)
    return (snr.clamp(max=5.0) / (snr + 1) * error.flatten(1).mean(1)).mean()


def _flow(model, x1, scheme, shift=1.0):
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    u = compute_density_for_timestep_sampling(scheme, len(x1), logit_mean=0.0, logit_std=1.0, mode_scale=1.29)
    index = (u * scheduler.config.num_train_timesteps).long()
    sigma = scheduler.sigmas[index].view(-1, 1, 1, 1)
    noise = torch.randn_like(x1)
    answer = model((1 - sigma) * x1 + sigma * noise, scheduler.timesteps[index])
    weight = compute_loss_weighting_for_sd3(weighting_scheme=scheme, sigmas=sigma)
    return (weight * (answer - (noise - x1)) ** 2).mean()


def sd3_logit_normal(model, x1):
    return _flow(model, x1, "logit_normal")


def sd3_mode(model, x1):
    return _flow(model, x1, "mode")


def cosmap_weight(model, x1):
    return _flow(model, x1, "cosmap")


def sigma_sqrt_velocity(model, x1):
    return _flow(model, x1, "sigma_sqrt")


def sd3_shift(model, x1):
    return _flow(model, x1, "logit_normal", shift=3.0)


def uniform_shift(model, x1):
    return _flow(model, x1, "none", shift=3.0)
