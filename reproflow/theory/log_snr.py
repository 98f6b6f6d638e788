r"""The log-SNR of a path, its inverse, and the ELBO integrand in it.

lam is log(alpha²/sigma²), for a masked process log(alpha/(1-alpha)), and increases with t. The ELBO is

.. math:: \int \tfrac12 E|\epsilon - \hat\epsilon|^2 d\lambda
          \quad\text{or}\quad \int \frac{\alpha'}{1-\alpha} \mathrm{CE} \, dt

(Kingma et al. 2021; Shi et al. 2024). `theory.objective` states every other objective relative to it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from reproflow.numerics.bisection import bisect
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.paths import Path
from reproflow.theory.processes.base import get_process


def invert_lam(path: Path, lam: Tensor) -> Tensor:
    """t with lam(t) = lam by bisection in float64; NaN out of the path's reach."""
    lam = lam.double()
    low, high = torch.full_like(lam, 1e-12), torch.full_like(lam, 1 - 1e-12)
    reachable = (log_snr(path, low) <= lam) & (lam <= log_snr(path, high))
    t = bisect(lambda t: log_snr(path, t) < lam, low, high, 80)
    return torch.where(reachable, t, torch.nan)


def log_snr(path: Path, t: Tensor) -> Tensor:
    """lam at t, of t's shape, without derivatives."""
    alpha, sigma = path(t)
    return Coefficients(t, alpha, sigma, alpha, sigma, path.process).lam


def elbo_coefficient(c: Coefficients) -> Tensor:
    """The ELBO integrand's coefficient: |lam'|/2 on the eps error, |alpha'|/(1 - alpha) on the cross-entropy."""
    return get_process(c.process).elbo_coefficient(c.alpha, c.sigma, c.dalpha, c.dsigma)
