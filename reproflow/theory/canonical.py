r"""The canonical form: every objective as one function of the log-SNR.

A Gaussian loss that draws t from pi and puts the coefficient c_eps(t) on the eps error is

.. math:: \int \pi(t) c_\epsilon(t) E|\epsilon - \hat\epsilon|^2 dt
          = \int w(\lambda) \tfrac12 E|\epsilon - \hat\epsilon|^2 d\lambda,
          \qquad w = 2 \pi c_\epsilon / |\dot\lambda|,

the ELBO integrand times w (Kingma & Gao 2023; 001 Theorem 2 uses its monotonicity). For a masked process the ELBO
integrand is alpha'/(1-alpha) CE, so w = pi c_CE (1-alpha)/|alpha'|. Two objectives of one process with proportional w
share their ideal minimiser *and* their ideal gradient; only the variance of training differs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from reproflow.theory.paths import Coefficients, Path
from reproflow.theory.targets import get_target
from reproflow.theory.times import TimeLaw
from reproflow.theory.weightings import Weighting


def coefficient(path: Path, law: TimeLaw, weighting: Weighting, t: Tensor) -> Tensor:
    """The loss's coefficient at t on the error in eps (Gaussian) or on the cross-entropy (masked), of t's shape.

    A canonical weighting is divided by the time law's density, so that the law changes the variance and nothing else.
    """
    c = path.at(t)
    value = weighting.at(c)
    if weighting.on == "canonical":
        return value * elbo_coefficient(c) / law.density(t)
    return value * (get_target(weighting.on).error_factor(c) if path.process == "gaussian" else 1.0)


def canonical(path: Path, law: TimeLaw, weighting: Weighting, t: Tensor) -> Tensor:
    """w at t, the weight relative to the ELBO integrand, of t's shape; not normalised."""
    return law.density(t) * coefficient(path, law, weighting, t) / elbo_coefficient(path.at(t))


def canonical_at(path: Path, law: TimeLaw, weighting: Weighting, lam: Tensor) -> Tensor:
    """w at the log-SNRs lam, by inverting lam(t); NaN where no t in (0, 1) reaches it."""
    t = invert_lam(path, lam)
    return canonical(path, law, weighting, t)


def invert_lam(path: Path, lam: Tensor) -> Tensor:
    """t with lam(t) = lam by bisection in float64; NaN out of the path's reach."""
    lam = lam.double()
    low, high = torch.full_like(lam, 1e-12), torch.full_like(lam, 1 - 1e-12)
    reachable = (path.at(low).lam <= lam) & (lam <= path.at(high).lam)
    for _ in range(80):
        middle = 0.5 * (low + high)
        below = path.at(middle).lam < lam
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return torch.where(reachable, 0.5 * (low + high), torch.nan)


def elbo_coefficient(c: Coefficients) -> Tensor:
    """The ELBO integrand's coefficient: |lam'|/2 on the eps error, |alpha'|/(1 - alpha) on the cross-entropy."""
    return c.dalpha.abs() / c.sigma if c.process == "masked" else 0.5 * c.dlam.abs()
