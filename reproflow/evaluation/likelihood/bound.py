"""An upper bound of -log p per image with its Monte-Carlo error, and its units."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from reproflow.learning.networks.base import Denoiser


@dataclass(frozen=True)
class Bound:
    """An upper bound of -log p per image, `nats` (B,) float64, and its Monte-Carlo standard error `se` (B,).

    `se` is over the repeats (NaN for one repeat); over images use the images' own spread.
    """

    nats: Tensor
    se: Tensor


def bits_per_dim(nats: Tensor | float, dim: int) -> Any:
    """nats / (D ln 2)."""
    return nats / (dim * math.log(2))


def categorical_nll(logits: Tensor, levels: Tensor) -> Tensor:
    """-log softmax(logits)[levels], float64: (B, D, V), (B, D) -> (B, D)."""
    logits = logits.double()
    return logits.logsumexp(-1) - logits.gather(-1, levels.unsqueeze(-1)).squeeze(-1)


def over_repeats(draws: list[Tensor]) -> Bound:
    stacked = torch.stack(draws)
    n = len(draws)
    spread = stacked.std(0) if n > 1 else torch.full_like(draws[0], math.nan)
    return Bound(stacked.mean(0), spread / math.sqrt(n))


def to_device(y: Tensor | None, denoiser: Denoiser) -> Tensor | None:
    return None if y is None else y.to(denoiser.device)
