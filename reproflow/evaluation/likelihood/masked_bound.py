r"""The likelihood bound of masked image models in nats, with its Monte-Carlo error.

Masked, continuous time (001, Fig. 1; ST-7; Ou et al. 2024). With m = 1 - alpha the negative ELBO is
:math:`\int_0^1 \frac{1}{m} E \sum_{i: z_i = mask} CE_i \, dm`, where the number n of masked tokens is binomial(D, m).
As :math:`\int_0^1 \frac{1}{m} \binom{D}{n} m^n (1-m)^{D-n} dm = \frac{1}{n}`, the schedule drops out:

.. math:: -\log p(x) \le \sum_{n=1}^D \frac{1}{n} E_{|M|=n} \sum_{i \in M} CE_i
          = \frac{1}{D} \sum_{n=1}^D \frac{D}{n} E_{|M|=n} \sum_{i \in M} CE_i

B is one batch: every call sees all of it at once, so that a caller with large images passes slices.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Generator, Tensor

from reproflow.evaluation.likelihood.bound import Bound, categorical_nll, over_repeats, to_device
from reproflow.foundation.errors import UsageError
from reproflow.learning.networks.base import TokenDenoiser

ENUMERABLE = 12


def masked_bound(
    denoiser: TokenDenoiser,
    tokens: Tensor,
    y: Tensor | None,
    generator: Generator,
    repeats: int = 2,
    strata: int | None = None,
) -> Bound:
    """The negative ELBO of a time-agnostic masked model, per image, in nats.

    tokens int64 (B, D), y (B,) or None. Each repeat calls the network `strata` times (default D: every n = 1..D once,
    with fresh masks); fewer strata draw n within each of them, without bias.
    """
    vocabulary = _vocabulary(denoiser, tokens, y)
    strata = tokens.shape[1] if strata is None else strata

    def one() -> Tensor:
        terms = [_masked_term(denoiser, tokens, y, generator, vocabulary, s, strata) for s in range(strata)]
        return torch.stack(terms).mean(0)

    return over_repeats([one() for _ in range(repeats)])


def masked_bound_exact(denoiser: TokenDenoiser, tokens: Tensor, y: Tensor | None = None) -> Tensor:
    """The same bound with all 2^D - 1 masks enumerated: tokens (B, D) -> nats (B,), float64.

    Raises `UsageError` for more than 12 tokens.
    """
    length = tokens.shape[1]
    if length > ENUMERABLE:
        raise UsageError(f"at most {ENUMERABLE} tokens can be enumerated, got {length}; use masked_bound.")
    vocabulary = _vocabulary(denoiser, tokens, y)
    total = torch.zeros(len(tokens), dtype=torch.float64)
    for n in range(1, length + 1):
        for chosen in itertools.combinations(range(length), n):
            hidden = torch.zeros_like(tokens, dtype=torch.bool)
            hidden[:, chosen] = True
            total += _masked_ce(denoiser, tokens, y, hidden, vocabulary) / (n * math.comb(length, n))
    return total


def _masked_term(
    denoiser: TokenDenoiser,
    tokens: Tensor,
    y: Tensor | None,
    generator: Generator,
    vocabulary: int,
    stratum: int,
    strata: int,
) -> Tensor:
    """(D/n) CE summed over n random positions, n uniform on the stratum-th of `strata` equal parts of 1..D: (B,)."""
    batch, length = tokens.shape
    u = torch.rand(batch, generator=generator, dtype=torch.float64)
    n = (length * (stratum + u) / strata).floor().clamp(max=length - 1) + 1
    ranks = torch.rand(batch, length, generator=generator).argsort(-1).argsort(-1)
    return _masked_ce(denoiser, tokens, y, ranks < n.unsqueeze(-1), vocabulary) * length / n


@torch.no_grad()
def _masked_ce(denoiser: TokenDenoiser, tokens: Tensor, y: Tensor | None, hidden: Tensor, vocabulary: int) -> Tensor:
    """-log mu[x] summed over hidden positions (B, D): (B,), float64 on the CPU."""
    tokens, hidden = tokens.to(denoiser.device), hidden.to(denoiser.device)
    logits = denoiser.logits(torch.where(hidden, vocabulary, tokens), to_device(y, denoiser))
    return torch.where(hidden, categorical_nll(logits, tokens), 0.0).sum(-1).double().cpu()


@torch.no_grad()
def _vocabulary(denoiser: TokenDenoiser, tokens: Tensor, y: Tensor | None) -> int:
    """V, which is also the mask token, from the logits of one image."""
    first = None if y is None else y[:1]
    return denoiser.logits(tokens[:1].to(denoiser.device), to_device(first, denoiser)).shape[-1]
