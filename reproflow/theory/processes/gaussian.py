r"""The Gaussian process: data blended with noise, and a squared error on what the network puts out.

.. math:: x_t = \alpha_t x_1 + \sigma_t \epsilon, \quad y_t = a_t x_1 + b_t \epsilon, \quad
          \ell = c(t) |y_t - \hat y(x_t, t)|^2 / s

c is the loss's coefficient on this output: a weighting fixes the loss on the prediction it names (or canonically), and
the conversion factors of LOSS-5 carry it to the output, so the output changes the network and not the objective. The
scale s is the expected loss of the best linear denoiser of standardised Gaussian data, which makes learning curves of
different weightings comparable and is the only normalisation (a constant factor, invisible to Adam but not to gradient
clipping).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from reproflow.foundation.errors import UsageError
from reproflow.theory.canonical import coefficient
from reproflow.theory.paths import Path
from reproflow.theory.targets import Target
from reproflow.theory.times import TimeLaw
from reproflow.theory.weightings import Weighting

QUADRATURE = 8192


@dataclass(frozen=True)
class Objective:
    """What a Gaussian cell minimises."""

    path: Path
    law: TimeLaw
    weighting: Weighting
    target: Target
    t_range: tuple[float, float]

    @functools.cached_property
    def scale(self) -> float:
        """s: the loss per dimension of the linear denoiser of N(0, I) data, by a midpoint rule in the law's quantiles.

        Its eps error is alpha² / (alpha² + sigma²).
        """
        t = midpoints(self.law, self.t_range)
        c = self.path.at(t)
        error = c.alpha**2 / (c.alpha**2 + c.sigma**2)
        return float((coefficient(self.path, self.law, self.weighting, t) * error).mean())

    def at(self, u: Tensor) -> dict[str, Tensor]:
        """t, alpha, sigma, a, b and the output's coefficient (over the scale), float32 of u's shape, at quantiles u."""
        t = self.law.draw(u.double().flatten(), self.t_range)
        c = self.path.at(t)
        a, b = self.target.coefficients(c)
        factor = coefficient(self.path, self.law, self.weighting, t) / self.target.error_factor(c) / self.scale
        columns = {"t": t, "alpha": c.alpha, "sigma": c.sigma, "a": a, "b": b, "coefficient": factor}
        return {name: column.float().view(u.shape) for name, column in columns.items()}


def check_coefficient(path: Path, law: TimeLaw, weighting: Weighting, t_range: tuple[float, float]) -> None:
    """Refuses a weighting that cannot weigh a loss: `UsageError` naming it and the first bad t."""
    t = midpoints(law, t_range).unique()
    value = coefficient(path, law, weighting, t)
    bad = ~torch.isfinite(value) | (value < 0)
    if value.shape != t.shape or bad.any():
        first = int(bad.nonzero()[0]) if value.shape == t.shape else 0
        raise UsageError(
            f"weighting {weighting.name!r} with path {path.name!r} and time {law.name!r} gives the loss "
            f"the coefficient {float(value.flatten()[first]):g} at t = {float(t[first]):.6g}; it must be >= 0."
        )
    if not value.any():
        raise UsageError(f"weighting {weighting.name!r} is zero everywhere: there is nothing to train.")


def midpoints(law: TimeLaw, t_range: tuple[float, float]) -> Tensor:
    """Times at the midpoints of equal quantile steps of the restricted law: a quadrature of expectations under it."""
    u = (torch.arange(QUADRATURE, dtype=torch.float64) + 0.5) / QUADRATURE
    return law.draw(u, t_range)


def blend(p: Tensor, x1: Tensor, q: Tensor, eps: Tensor) -> Tensor:
    """p x1 + q eps for coefficients (..., B) and data (..., B, D): x_t with (alpha, sigma), the target with (a, b)."""
    return p[..., None] * x1 + q[..., None] * eps


def loss(coefficient: Tensor, y: Tensor, prediction: Tensor) -> Tensor:
    """The mean over the batch of c |y - y_hat|² per dimension: (..., B), (..., B, D), (..., B, D) -> (...)."""
    return (coefficient * (y - prediction).square().mean(-1)).mean(-1)


def level_logits(x: Tensor, alpha: Tensor, sigma: Tensor, levels: Tensor) -> Tensor:
    """log N(x; alpha v_k, sigma²) up to a constant in k: (..., B, D), (..., B), (..., B), (V,) -> (..., B, D, V).

    Added to a network's logits this turns them into a posterior over the levels v_k (Kingma et al. 2021, eq. 8-10),
    which carries the information that x itself has about a discrete x1.
    """
    residual = x[..., None] - alpha[..., None, None] * levels
    return -0.5 * (residual / sigma[..., None, None]) ** 2
