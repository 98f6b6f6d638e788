r"""Masked models of a few tokens, enumerated: exact likelihood, exact bound, and the exact denoiser of a table.

A masked denoiser without time input gives mu_i(. | x_S), the law of token i when the tokens of S are shown. The process
in continuous time shows one token after another in uniformly random order, so the model is a mixture over orders:

.. math:: p(x) = \frac{1}{D!} \sum_\pi \prod_k \mu_{\pi_k}(x_{\pi_k} | x_{\pi_{<k}}), \qquad
   -\log p(x) \le \frac{1}{D!} \sum_\pi \sum_k -\log \mu_{\pi_k}(x_{\pi_k} | x_{\pi_{<k}})

The right-hand side is the negative ELBO (Jensen; ST-7, after 001). Both cost 2^D or D! and are for D <= 8.
Tokens are int64 (B, D) in 0..V-1; V stands for the mask. Logits map tokens (B, D) to (B, D, V). Bounds in nats.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from reproflow.foundation.errors import UsageError

Logits = Callable[[Tensor], Tensor]

LARGEST = 8


@dataclass(frozen=True)
class TableDenoiser:
    """The exact denoiser of a joint law `table` (V, ..., V) over D tokens: mu_i(v | x_S) = P(x_i = v | x_S).

    For it every order gives the same product, so likelihood and bound both equal the table's own. Where x_S has
    probability zero the law of token i is uniform.
    """

    table: Tensor

    @property
    def device(self) -> torch.device:
        return self.table.device

    def logits(self, tokens: Tensor, y: Tensor | None = None) -> Tensor:
        """Log probabilities (B, D, V), float64; -inf where the table says impossible."""
        vocabulary, length = self.table.shape[0], self.table.dim()
        states = torch.cartesian_prod(*[torch.arange(vocabulary)] * length).reshape(-1, length)
        shown = tokens.unsqueeze(1)
        agrees = ((shown == states) | (shown == vocabulary)).all(-1)
        weights = agrees * self.table.double().reshape(-1)
        counts = torch.einsum("bs,sdv->bdv", weights, torch.nn.functional.one_hot(states, vocabulary).double())
        total = counts.sum(-1, keepdim=True)
        return torch.where(total > 0, counts / total, 1 / vocabulary).log()


def random_order_nll(logits: Logits, x: Tensor, vocabulary: int) -> Tensor:
    """-log p(x) in nats (B,) of the mixture over orders, by dynamic programming over the 2^D sets of shown tokens.

    P(S) = sum over i in S of P(S without i) mu_i(x_i | x_{S without i}) / (D - |S| + 1), and p(x) = P(all).
    Raises `UsageError` for more than 8 tokens.
    """
    log_mu = _log_conditionals(logits, x, vocabulary)
    length = x.shape[1]
    log_p = [torch.zeros(len(x), dtype=torch.float64)]
    for shown in range(1, 2**length):
        before = [(i, shown ^ 1 << i) for i in range(length) if shown >> i & 1]
        terms = torch.stack([log_p[rest] + log_mu[rest][:, i] for i, rest in before])
        log_p.append(terms.logsumexp(0) - math.log(length - len(before) + 1))
    return -log_p[-1]


def random_order_bound(logits: Logits, x: Tensor, vocabulary: int) -> Tensor:
    """The mean over all D! orders of -sum_k log mu (the negative ELBO) in nats (B,).

    Raises `UsageError` for more than 8 tokens.
    """
    log_mu = _log_conditionals(logits, x, vocabulary)
    length = x.shape[1]
    total = torch.zeros(len(x), dtype=torch.float64)
    for order in itertools.permutations(range(length)):
        shown = 0
        for i in order:
            total -= log_mu[shown][:, i]
            shown |= 1 << i
    return total / math.factorial(length)


def _log_conditionals(logits: Logits, x: Tensor, vocabulary: int) -> list[Tensor]:
    """log mu_i(x_i | x_S) (B, D), float64, for every set S of shown tokens; the index is S as a bit set."""
    length = x.shape[1]
    if length > LARGEST:
        raise UsageError(f"enumeration is for at most {LARGEST} tokens, got {length}; use the sampled bound.")
    sets = torch.arange(2**length).unsqueeze(1) >> torch.arange(length) & 1
    inputs = (torch.where(shown.bool(), x, vocabulary) for shown in sets)
    log_mu = (logits(tokens).double().log_softmax(-1) for tokens in inputs)
    return [each.gather(-1, x.unsqueeze(-1)).squeeze(-1) for each in log_mu]
