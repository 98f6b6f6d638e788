"""k-diffusion: EDM's denoiser, with its laws of noise levels and its weights."""

import torch
from k_diffusion.layers import Denoiser
from k_diffusion.utils import rand_log_normal, rand_v_diffusion


def edm(model, x1):
    return Denoiser(model, sigma_data=0.5).loss(x1, torch.randn_like(x1), rand_log_normal([len(x1)], -1.2, 1.2))


def soft_min_snr(model, x1):
    denoiser = Denoiser(model, sigma_data=0.5, weighting="soft-min-snr")
    return denoiser.loss(x1, torch.randn_like(x1), rand_v_diffusion([len(x1)], min_value=1e-3, max_value=1e3))
