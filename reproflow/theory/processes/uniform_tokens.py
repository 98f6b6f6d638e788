r"""Tokens under uniform noise: a token is kept with probability alpha_t, else drawn uniformly from the vocabulary.

.. math:: p_t(z|x_1) = \prod_n \Big( \alpha_t 1[z_n = x_{1n}] + \frac{1 - \alpha_t}{V} \Big)

More than one chain has this law given x_1. On the **mixture path** (Gat et al. 2024; Campbell et al. 2024) every token
jumps to its clean value with hazard :math:`h = \alpha' / (1 - \alpha)`; a network that guesses :math:`\mu_n(y|z)` jumps
with rates :math:`v = h \mu`. The path measure of the first relative to the second bounds the likelihood, as that of any
chain that ends in x_1 does, and is an integral of Poisson divergences u log(u/v) - u + v over the single jumps:

.. math:: -\log p(x_1) \le \int_0^1 h(t)\, E\, \ell \, dt, \qquad
          \ell = \sum_n 1[z_n \ne x_{1n}] (-\log \mu_n(z)[x_{1n}] - 1) + 1 - \mu_n(z)[z_n]

(Shaul et al. 2024; both chains start from uniform tokens, so t = 0 adds nothing). So the ELBO of this process is one
coefficient, |alpha'|/(1 - alpha), on a loss of its own, the divergence of rates per hazard. That loss is **not a
cross-entropy**, and no weighting makes it of one: nothing tells which tokens are noise, so the mass that a network puts
on the present value counts as well.

The **reversed noise** (Austin et al. 2021; Lou et al. 2024) has the rates
:math:`\alpha'/(\alpha V) \cdot p_t(y|x_1) / p_t(z|x_1)` instead, which differ by jumps in detailed balance. With the
exact network its bound is the entropy of the data, the other's is above. But alpha stands within its logarithms: it is
no coefficient in t on a loss without t, and not what a weighting weighs here. `exact.processes.uniform_tokens` has
both.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from reproflow.foundation.processes import Facts
from reproflow.theory.paths import path
from reproflow.theory.processes.base import Process, process

FACTS = Facts(
    prediction="posterior",
    predictions=("posterior",),
    solvers=(),
    path_values=("alpha",),
    loss="generalised KL of jump rates",
    usual_weighting="elbo",
    other_targets=False,
    other_divergences=False,
    coupling=False,
    flow=False,
    timed=True,
)


@process("uniform_tokens", FACTS)
def uniform_tokens() -> Process:
    """Tokens that are replaced by uniform ones with probability 1 - alpha, and the generalised KL of jump rates."""
    return Process(
        "uniform_tokens",
        prediction="posterior",
        converts=False,
        log_snr_power=1,
        elbo_coefficient=elbo_coefficient,
        reference="the loss on uniform tokens of a large vocabulary",
        reference_error=lambda kept: kept * (1 - kept),
    )


def elbo_coefficient(alpha: Tensor, sigma: Tensor, dalpha: Tensor, dsigma: Tensor) -> Tensor:
    """|alpha'|/(1 - alpha) on the generalised KL, of the coefficients' shape."""
    return dalpha.abs() / sigma


def replace(x1: Tensor, alpha: Tensor, u: Tensor, drawn: Tensor) -> Tensor:
    """z_t: a token of x1 (..., B, D) is the uniformly drawn one where its uniform u is not below alpha (..., B)."""
    return torch.where(u < alpha[..., None], x1, drawn)


def generalised_kl(x1: Tensor, z: Tensor, logits: Tensor) -> Tensor:
    """l, summed over the tokens: (..., B, D), (..., B, D), (..., B, D, V) -> (..., B), in nats; zero at the truth."""
    log_mu = logits.log_softmax(-1)
    clean, present = (log_mu.gather(-1, tokens[..., None]).squeeze(-1) for tokens in (x1, z))
    return (torch.where(z == x1, 0.0, -clean - 1) - torch.expm1(present)).sum(-1)


def linear_error(alpha: Tensor, sigma: Tensor, vocabulary: int) -> Tensor:
    """E l per token of the best guess on uniform data, sigma (1 - 1/V) log(V / sigma), of alpha's shape.

    Its guess is x_t's own law with the places of z and x1 exchanged; `reference_error` is this for V to infinity.
    """
    return sigma * (1 - 1 / vocabulary) * (math.log(vocabulary) - sigma.log())


@path("linear", process="uniform_tokens", cite="Gat et al. 2024; Lou et al. 2024")
def uniform_tokens_linear(t: Tensor) -> tuple[Tensor, Tensor]:
    """alpha = t: every token is replaced at a uniform time."""
    return t, 1 - t


@path("cosine", process="uniform_tokens", cite="Austin et al. 2021; Hoogeboom et al. 2021")
def uniform_tokens_cosine(t: Tensor) -> tuple[Tensor, Tensor]:
    """alpha = 1 - cos(pi t/2), as for masked tokens; 2 sin²(pi t/4) keeps digits near t = 0."""
    return 2 * torch.sin(0.25 * math.pi * t) ** 2, torch.cos(0.5 * math.pi * t)
