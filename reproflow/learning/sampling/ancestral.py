"""Ancestral sampling of a masked denoiser: tokens are unmasked step by step.

In a step from s to t each hidden token is shown with probability (alpha_t - alpha_s) / (1 - alpha_s), its value drawn
from the network.
"""

from __future__ import annotations

import itertools

import torch
from torch import Generator, Tensor

from reproflow.learning.networks.denoiser import MaskedDenoiser


def sample_masked(
    denoiser: MaskedDenoiser, n: int, y: Tensor | None, steps: int, generator: Generator
) -> tuple[Tensor, int]:
    """Tokens (n, D) from all masked in `steps` ancestral steps, and the NFE; uniforms come from the CPU generator."""
    vocabulary, device = denoiser.head.vocabulary, denoiser.device
    z = torch.full((n, denoiser.head.dim), vocabulary, device=device)
    alpha = denoiser.path(torch.linspace(0, 1, steps + 1, dtype=torch.float64))[0].tolist()
    alpha[-1] = 1.0
    for before, after in itertools.pairwise(alpha):
        u, choice = torch.rand(2, *z.shape, generator=generator).to(device)
        shown = (z == vocabulary) & (u < (after - before) / (1 - before))
        cumulative = denoiser.logits(z, y)[shown].softmax(-1).cumsum(-1)
        drawn = (choice[shown][:, None] * cumulative[:, -1:] >= cumulative).sum(-1).clamp(max=vocabulary - 1)
        z = z.masked_scatter(shown, drawn)
    return z, steps
