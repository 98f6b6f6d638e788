"""azula: EDM's preconditioning on any schedule, SNR + 1."""

import torch
from azula.denoise import KarrasDenoiser
from azula.noise import CosineSchedule


def v_cosine(model, x1):
    return KarrasDenoiser(model, CosineSchedule()).loss(x1, torch.rand(len(x1)))
