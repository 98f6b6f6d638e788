"""labml-nn: DDPM."""

import torch
from labml_nn.diffusion.ddpm import DenoiseDiffusion


def ddpm(model, x1):
    return DenoiseDiffusion(model, 1000, torch.device("cpu")).loss(x1)
