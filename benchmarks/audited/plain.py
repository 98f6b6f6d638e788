"""Plain losses as training scripts have them: flow matching, DDPM's thousand steps, EDM's denoiser, masked tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn

ABAR = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000), 0)
VOCABULARY = 12


def flow_matching(model: nn.Module, x1: Tensor) -> Tensor:
    """Straight path, uniform times, velocity."""
    t = torch.rand(len(x1), 1, 1, 1)
    noise = torch.randn_like(x1)
    return ((model((1 - t) * noise + t * x1, t.flatten()) - (x1 - noise)) ** 2).mean()


def ddpm(model: nn.Module, x1: Tensor) -> Tensor:
    """Linear betas, a step at random, noise."""
    t = torch.randint(0, len(ABAR), (len(x1),))
    noise = torch.randn_like(x1)
    abar = ABAR[t].view(-1, 1, 1, 1)
    return ((model(abar.sqrt() * x1 + (1 - abar).sqrt() * noise, t) - noise) ** 2).mean()


def edm(model: nn.Module, x1: Tensor) -> Tensor:
    """Log-normal noise levels, the denoiser, sigma_data 0.5."""
    sigma = torch.exp(1.2 * torch.randn(len(x1), 1, 1, 1) - 1.2)
    weight = (sigma**2 + 0.25) / (0.5 * sigma) ** 2
    return (weight * (model(x1 + sigma * torch.randn_like(x1), sigma.flatten()) - x1) ** 2).mean()


def tokens(model: nn.Module, x1: Tensor) -> Tensor:
    """Masked at a uniform rate m, cross-entropy of what is masked over m."""
    m = torch.rand(len(x1), 1)
    masked = torch.rand(x1.shape) < m
    x_t = torch.where(masked, VOCABULARY, x1)
    logits = model(x_t, m.flatten())[..., :VOCABULARY]
    each = nn.functional.cross_entropy(logits.transpose(1, 2), x1, reduction="none")
    return (each * masked / m).sum(1).mean()
