r"""The Gaussian process: data blended with noise, and a squared error on what the network puts out.

.. math:: x_t = \alpha_t x_1 + \sigma_t \epsilon, \quad y_t = a_t x_1 + b_t \epsilon, \quad
          \ell = c(t) |y_t - \hat y(x_t, t)|^2 / s

c is the loss's coefficient on this output: a weighting fixes the loss on the prediction it names (or canonically), and
the conversion factors of LOSS-5 carry it to the output, so the output changes the network and not the objective. The
scale s is the expected loss of the best linear denoiser of standardised Gaussian data, which makes learning curves of
different weightings comparable and is the only normalisation (a constant factor, invisible to Adam but not to gradient
clipping). Another divergence takes the squared error's place on the output itself, where c is the weighting's own.
"""

from __future__ import annotations

import torch
from torch import Tensor

from reproflow.foundation.processes import Facts
from reproflow.theory.divergences import Divergence
from reproflow.theory.processes.base import Process, process

FACTS = Facts(
    prediction="velocity",
    predictions=("velocity", "x1", "eps", "score", "v"),
    solvers=("euler", "heun", "rk4", "sde"),
    path_values=("alpha", "sigma"),
    loss="squared error",
    usual_weighting="uniform",
    other_targets=True,
    other_divergences=True,
    coupling=True,
    flow=True,
    timed=True,
)


@process("gaussian", FACTS)
def gaussian() -> Process:
    """x_t = alpha x1 + sigma eps, and the squared error of eps or of what is equivalent to it."""
    return Process(
        "gaussian",
        prediction="velocity",
        converts=True,
        log_snr_power=2,
        elbo_coefficient=elbo_coefficient,
        reference="the loss on unit Gaussian data",
        reference_error=lambda told: told,
    )


def elbo_coefficient(alpha: Tensor, sigma: Tensor, dalpha: Tensor, dsigma: Tensor) -> Tensor:
    """|lam'|/2 on the eps error, of the coefficients' shape."""
    return 0.5 * (2 * (dalpha / alpha - dsigma / sigma)).abs()


def linear_error(alpha: Tensor, sigma: Tensor) -> Tensor:
    """The eps error per dimension of the best linear denoiser of N(0, I): alpha² / (alpha² + sigma²)."""
    return alpha**2 / (alpha**2 + sigma**2)


def blend(p: Tensor, x1: Tensor, q: Tensor, eps: Tensor) -> Tensor:
    """p x1 + q eps for coefficients (..., B) and data (..., B, D): x_t with (alpha, sigma), the target with (a, b)."""
    return p[..., None] * x1 + q[..., None] * eps


def loss(coefficient: Tensor, y: Tensor, prediction: Tensor) -> Tensor:
    """The mean over the batch of c |y - y_hat|² per dimension: (..., B), (..., B, D), (..., B, D) -> (...)."""
    return (coefficient * (y - prediction).square().mean(-1)).mean(-1)


def divergence_loss(
    coefficient: Tensor, y: Tensor, prediction: Tensor, t: Tensor, x: Tensor, divergence: Divergence
) -> Tensor:
    """The mean over the batch of c l(y, y_hat) per dimension, shapes as `loss`, with t (..., B) and x (..., B, D).

    Here c is the weighting's factor on this very output (over the scale s of the squared error, a constant): nothing is
    converted. It is found in float64, as users' functions are promised. A prediction that is not finite is not shown to
    them; its loss is NaN.
    """
    finite = prediction.isfinite().all(-1)
    shown = torch.where(finite[..., None], prediction, y)
    value = divergence(*(each.double() for each in (_rows(y), _rows(shown), t.flatten(), _rows(x))))
    value = torch.where(finite, value.to(y).view(t.shape), torch.nan)
    return (coefficient * value / y.shape[-1]).mean(-1)


def _rows(values: Tensor) -> Tensor:
    """(..., B, D) -> (all rows, D)."""
    return values.flatten(0, -2)


def level_logits(x: Tensor, alpha: Tensor, sigma: Tensor, levels: Tensor) -> Tensor:
    """log N(x; alpha v_k, sigma²) up to a constant in k: (..., B, D), (..., B), (..., B), (V,) -> (..., B, D, V).

    Added to a network's logits this turns them into a posterior over the levels v_k (Kingma et al. 2021, eq. 8-10),
    which carries the information that x itself has about a discrete x1.
    """
    residual = x[..., None] - alpha[..., None, None] * levels
    return -0.5 * (residual / sigma[..., None, None]) ** 2
