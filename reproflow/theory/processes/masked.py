r"""The masked process: tokens that are hidden, and the cross-entropy of guessing them.

.. math:: z_n = x_n \text{ with probability } \alpha_t, \text{ else the mask } V, \quad
          \ell = c(t) \sum_{n : z_n = V} -\log \mu_n(z)[x_n] / s

The posterior of x given the shown tokens does not depend on t (BIL-10), so the network needs no time input. The scale s
is the expected loss of guessing uniformly.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from reproflow.foundation.processes import Facts
from reproflow.theory.processes.base import Process, process

FACTS = Facts(
    prediction="ce",
    predictions=("ce",),
    solvers=("ancestral",),
    path_values=("alpha",),
    loss="cross-entropy",
    usual_weighting="simple",
    other_targets=False,
    other_divergences=False,
    coupling=False,
    flow=False,
    timed=False,
)


@process("masked", FACTS)
def masked() -> Process:
    """Tokens that are shown with probability alpha, and the cross-entropy of the hidden ones."""
    return Process(
        "masked",
        prediction="ce",
        converts=False,
        log_snr_power=1,
        elbo_coefficient=elbo_coefficient,
        reference="a uniform guess's loss",
        reference_error=lambda shown: shown * (1 - shown),
    )


def elbo_coefficient(alpha: Tensor, sigma: Tensor, dalpha: Tensor, dsigma: Tensor) -> Tensor:
    """|alpha'|/(1 - alpha) on the cross-entropy, of the coefficients' shape."""
    return dalpha.abs() / sigma


def mask(x1: Tensor, alpha: Tensor, u: Tensor, vocabulary: int) -> Tensor:
    """z_t: each token of x1 (..., B, D) is hidden where its uniform u exceeds alpha (..., B)."""
    return torch.where(u < alpha[..., None], x1, vocabulary)


def cross_entropy(x1: Tensor, z: Tensor, logits: Tensor, vocabulary: int) -> Tensor:
    """-log mu[x] summed over the hidden tokens: (..., B, D), (..., B, D), (..., B, D, V) -> (..., B), in nats."""
    flat = functional.cross_entropy(logits.flatten(0, -2), x1.flatten(), reduction="none")
    return (flat.view(x1.shape) * (z == vocabulary)).sum(-1)


def loss(coefficient: Tensor, x1: Tensor, z: Tensor, logits: Tensor, vocabulary: int) -> Tensor:
    """The mean over the batch of c CE per token: shapes as `cross_entropy`, coefficient (..., B) -> (...)."""
    return (coefficient * cross_entropy(x1, z, logits, vocabulary) / x1.shape[-1]).mean(-1)
