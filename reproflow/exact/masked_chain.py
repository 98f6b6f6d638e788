r"""Masked diffusion of three tokens as a finite chain: 64 states, a denoiser that is off, and the one that is not.

Level i shows each token with probability alpha(t_i). A step back leaves shown tokens as they are (carry-over), keeps a
hidden one hidden with probability (1 - alpha_{j-1})/(1 - alpha_j), and else draws it from mu_n(. | z_j), independently
of the others (001, 2406.04329). As hidden tokens that appear in one step do so independently, even the exact denoiser
is not the exact reversal.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable

import torch
from torch import Tensor

from reproflow.exact.chain import Chain
from reproflow.exact.discrete import Logits, TableDenoiser
from reproflow.foundation import seeds
from reproflow.theory.log_snr import invert_lam
from reproflow.theory.paths import Path, forward_path

VOCABULARY = 3
TOKENS = 3


LAST_LAM = -3.0
"""log(alpha/(1 - alpha)) of the last level: a token in twenty is still shown, so that the prior matters."""


@functools.cache
def example(path_name: str) -> Chain:
    """The chain of six steps of a registered schedule."""
    path = forward_path(path_name, "masked")
    return masked_chain(path, levels(path, 6))


def levels(path: Path, steps: int) -> Tensor:
    """Falling times t_0 = 1 > ... > t_T, equally spaced down to the level of `LAST_LAM`, (steps + 1,)."""
    last = invert_lam(path, torch.tensor([LAST_LAM], dtype=torch.float64))
    return 1 + (last - 1) * torch.linspace(0, 1, steps + 1, dtype=torch.float64)


@functools.cache
def table() -> Tensor:
    """The law q of the data, (V, V, V): no zero, no symmetry."""
    noise = torch.randn(VOCABULARY**TOKENS, generator=seeds.generator("masked chain"), dtype=torch.float64)
    return (1.2 * noise).softmax(0).reshape([VOCABULARY] * TOKENS)


def words(vocabulary: int) -> Tensor:
    """All words of three tokens in 0..vocabulary-1, (vocabulary³, 3), in the order of the chain's states."""
    return torch.cartesian_prod(*[torch.arange(vocabulary)] * TOKENS)


def exact_logits(tokens: Tensor) -> Tensor:
    """log P(x_n = v | shown tokens), (B, 3, V)."""
    return TableDenoiser(table()).logits(tokens)


def off_logits(tokens: Tensor) -> Tensor:
    """The exact ones with a fixed error for every state, token and value, standard deviation 0.6, (B, 3, V)."""
    size = (VOCABULARY + 1) ** TOKENS
    error = torch.randn(size, TOKENS, VOCABULARY, generator=seeds.generator("masked error"), dtype=torch.float64)
    place = (VOCABULARY + 1) ** torch.arange(TOKENS - 1, -1, -1)
    return exact_logits(tokens) + 0.6 * error[(tokens * place).sum(1)]


def cross_entropies(logits: Logits = off_logits) -> Tensor:
    """CE_k = the sum over sets of k hidden tokens of E sum -log mu_n(x_n | shown), nats, (4,) for k = 0..3.

    In m = 1 - alpha the expected cross-entropy of the hidden tokens is sum_k m^k (1-m)^(3-k) CE_k, and the negative
    ELBO in continuous time is the integral of that over m, divided by m: no schedule is left in it (001).
    """
    return _by_hidden(lambda x, z: -logits(z).log_softmax(-1).gather(-1, x[..., None]).squeeze(-1))


def excesses(logits: Logits = off_logits) -> Tensor:
    """The same with KL(P(x_n | shown) || mu_n(. | shown)) in place of the cross-entropy, (4,)."""

    def kl(x: Tensor, z: Tensor) -> Tensor:
        exact = exact_logits(z).log_softmax(-1)
        # Where x shows token n it is known, so P has zeros; there KL is not looked at.
        return (exact.exp() * (exact.clamp(min=-1e3) - logits(z).log_softmax(-1).clamp(min=-1e3))).sum(-1)

    return _by_hidden(kl)


def by_time(sums: Tensor, m: Tensor) -> Tensor:
    """sum_k m^k (1-m)^(3-k) sums_k of m (B,), (B,)."""
    k = torch.arange(TOKENS + 1)
    return (m[:, None] ** k * (1 - m[:, None]) ** (TOKENS - k)) @ sums


def _by_hidden(each: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The sum over sets of k hidden tokens of E of what `each(x, z)`, (27, 3), says of them."""
    x, totals = words(VOCABULARY), torch.zeros(TOKENS + 1, dtype=torch.float64)
    for hidden in itertools.product([False, True], repeat=TOKENS):
        selected = torch.tensor(hidden)
        value = each(x, torch.where(selected, VOCABULARY, x))
        totals[sum(hidden)] += table().flatten() @ torch.where(selected, value, 0.0).sum(1)
    return totals


def masked_chain(path: Path, times: Tensor, logits: Logits = off_logits) -> Chain:
    """The chain over the falling times (T+1,) of a masked path, with the reverse steps of a denoiser.

    Its prior hides tokens as often as q(z_T) does and draws the rest uniformly: right where alpha(t_T) = 0, else not.
    """
    alpha = path(times)[0]
    denoised = logits(words(VOCABULARY + 1)).softmax(-1)
    first = _all_tokens(_hide(alpha[0]))[clean()]
    steps = tuple(_all_tokens(_hide(far / near)).log() for near, far in itertools.pairwise(alpha))
    reverse = tuple(_reverse(denoised, near, far).log() for near, far in itertools.pairwise(alpha))
    shown = torch.full((VOCABULARY,), float(alpha[-1]) / VOCABULARY, dtype=torch.float64)
    prior = functools.reduce(torch.kron, [torch.cat([shown, (1 - alpha[-1])[None]])] * TOKENS)
    return Chain(table().flatten().log(), first.log(), steps, reverse, prior.log())


def _hide(keep: Tensor) -> Tensor:
    """One token's kernel (V+1, V+1): a shown token stays with probability `keep`, the mask (the last) stays."""
    kernel = keep * torch.eye(VOCABULARY + 1, dtype=torch.float64)
    kernel[:, -1] += 1 - keep
    return kernel


def _all_tokens(kernel: Tensor) -> Tensor:
    """The kernel of three independent tokens, (64, 64)."""
    return functools.reduce(torch.kron, [kernel] * TOKENS)


def clean() -> Tensor:
    """Which states have no mask, (64,), in the order of `words(V)`."""
    return (words(VOCABULARY + 1) < VOCABULARY).all(1)


def _reverse(denoised: Tensor, near: Tensor, far: Tensor) -> Tensor:
    """p(z_{j-1}|z_j), (64, 64), from the denoiser's probabilities (64, 3, V) and alpha at both levels."""
    states = words(VOCABULARY + 1)
    shown = torch.nn.functional.one_hot(states, VOCABULARY + 1).double()
    stay = ((1 - near) / (1 - far)).expand(*states.shape, 1)
    hidden = torch.cat([(1 - stay) * denoised, stay], -1)
    rows = torch.where(states[..., None] == VOCABULARY, hidden, shown)
    return torch.einsum("sa,sb,sc->sabc", *rows.unbind(1)).flatten(1)
