r"""The canonical form: every objective as one function of the log-SNR.

A Gaussian loss that draws t from pi and puts the coefficient c_eps(t) on the eps error is

.. math:: \int \pi(t) c_\epsilon(t) E|\epsilon - \hat\epsilon|^2 dt
          = \int w(\lambda) \tfrac12 E|\epsilon - \hat\epsilon|^2 d\lambda,
          \qquad w = 2 \pi c_\epsilon / |\dot\lambda|,

the ELBO integrand times w (Kingma & Gao 2023; 001 Theorem 2 uses its monotonicity). For a masked process the ELBO
integrand is alpha'/(1-alpha) CE, so w = pi c_CE (1-alpha)/|alpha'|. Two objectives of one process with proportional w
share their ideal minimiser *and* their ideal gradient; only the variance of training differs. Where a time law never
goes, w is zero, whatever the weighting says there.
"""

from __future__ import annotations

import torch
from torch import Tensor

from reproflow.numerics.intervals import inside
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.paths import Path
from reproflow.theory.targets import get_target
from reproflow.theory.time_law_gaps import gaps
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
    return value * error_factor(weighting, c)


def canonical(path: Path, law: TimeLaw, weighting: Weighting, t: Tensor) -> Tensor:
    """w at t, the weight relative to the ELBO integrand, of t's shape; not normalised; zero where pi is."""
    c = path.at(t)
    if weighting.on == "canonical":
        return torch.where(inside(gaps(law), t), 0.0, weighting.at(c))
    density = law.density(t)
    w = density * weighting.at(c) * error_factor(weighting, c) / elbo_coefficient(c)
    return torch.where(density == 0, 0.0, w)  # an infinite weight where no t is drawn, too


def slope(path: Path, law: TimeLaw, weighting: Weighting, t: Tensor) -> Tensor:
    """dw/dlam = (dw/dt) / (dlam/dt) at t, of t's shape, by forward-mode differentiation; one-sided at a kink."""

    def w(t: Tensor) -> Tensor:
        return canonical(path, law, weighting, t)

    return torch.func.jvp(w, (t.contiguous(),), (torch.ones_like(t),))[1] / path.at(t).dlam


def canonical_at(path: Path, law: TimeLaw, weighting: Weighting, lam: Tensor) -> Tensor:
    """w at the log-SNRs lam, by inverting lam(t); NaN where no t in (0, 1) reaches it."""
    t = invert_lam(path, lam)
    reached = t.isfinite()
    return torch.where(reached, canonical(path, law, weighting, torch.where(reached, t, 0.5)), torch.nan)


def invert_lam(path: Path, lam: Tensor) -> Tensor:
    """t with lam(t) = lam by bisection in float64; NaN out of the path's reach."""
    lam = lam.double()
    low, high = torch.full_like(lam, 1e-12), torch.full_like(lam, 1 - 1e-12)
    reachable = (log_snr(path, low) <= lam) & (lam <= log_snr(path, high))
    for _ in range(80):
        middle = 0.5 * (low + high)
        below = log_snr(path, middle) < lam
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return torch.where(reachable, 0.5 * (low + high), torch.nan)


def log_snr(path: Path, t: Tensor) -> Tensor:
    """lam at t, of t's shape, without derivatives."""
    alpha, sigma = path(t)
    return Coefficients(t, alpha, sigma, alpha, sigma, path.process).lam


def error_factor(weighting: Weighting, c: Coefficients) -> Tensor:
    """What an eps error (masked: a cross-entropy) is in units of what the weighting multiplies, of t's shape."""
    return torch.ones_like(c.t) if c.process == "masked" else get_target(weighting.on).error_factor(c)


def elbo_coefficient(c: Coefficients) -> Tensor:
    """The ELBO integrand's coefficient: |lam'|/2 on the eps error, |alpha'|/(1 - alpha) on the cross-entropy."""
    return c.dalpha.abs() / c.sigma if c.process == "masked" else 0.5 * c.dlam.abs()
