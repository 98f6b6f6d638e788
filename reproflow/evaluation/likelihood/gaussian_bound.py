r"""The likelihood bound of Gaussian image models in nats, with its Monte-Carlo error; the flow's is in `flow`.

Gaussian, continuous time (Kingma et al. 2021, sec. 3-4; 001, Fig. 1). With z_t = alpha x1 + sigma eps and the model's
base N(0, s² I) at t_min, s² = alpha² + sigma² there (what samplers start from; 1 at a noise end that is reached),

.. math:: -\log p(x) \le KL(q(z_{t_{min}}|x) \| N(0, s^2 I))
          + \frac{1}{2} \int_{\lambda_{min}}^{\lambda_{max}} E |\epsilon - \hat\epsilon|^2 d\lambda
          + E[-\log p(x | z_{t_{max}})]

for the ancestral (SDE) sampler in continuous time (ST-14); |eps - eps_hat|² = exp(lam) |x1 - x1_hat|². At the
optimum its mean over the data is the entropy plus KL(q(z_tmin) || N(0, s² I)), whatever the range. So a path that keeps
some data at t_min is charged for it, and stopping before the data costs nothing: what the noise at t_max hides, the
decoder p(x|z) must tell.

B is one batch: every call sees all of it at once, so that a caller with large images passes slices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from reproflow.evaluation.likelihood.bound import Bound, over_repeats, to_device
from reproflow.evaluation.likelihood.flow import read_off
from reproflow.learning.networks.base import ContinuousDenoiser
from reproflow.learning.networks.denoiser import GaussianDenoiser
from reproflow.learning.sampling.ode import base_scale
from reproflow.numerics.bisection import bisect
from reproflow.theory.log_snr import log_snr
from reproflow.theory.paths import Path

RANGE = (1e-3, 1 - 1e-3)


def gaussian_bound(
    denoiser: GaussianDenoiser,
    levels: Tensor,
    y: Tensor | None,
    generator: Generator,
    values: Tensor,
    t_range: tuple[float, float] = RANGE,
    strata: int = 32,
    repeats: int = 2,
) -> Bound:
    """The continuous-time variational bound of discrete data under any x1_hat, per image, in nats.

    levels int64 (B, D), y (B,) or None, values (V,): what each level stands for, evenly spaced, in the network's dtype.
    lam is stratified over [lam(t_min), lam(t_max)] by the quantiles of `Proposal`: each repeat calls the network once
    in each of `strata` equal parts, at a point of its own for every image, and once at t_max for the decoder (its
    posterior over levels, or that of a uniform prior where it has none: then choose t_max by `read_off_time`, as
    nearer the data the x1_hat of such a network is never exact enough, and the bound explodes).
    The draws depend on the generator and the path only, so that equal generators pair the cells of one path.
    """
    x1 = values[levels]
    path = denoiser.path
    proposal = Proposal.over(path, t_range, float(values[1] - values[0]))

    def one() -> Tensor:
        loss = torch.zeros(len(x1), dtype=torch.float64)
        for stratum in range(strata):
            u = torch.rand(len(x1), generator=generator, dtype=torch.float64)
            lam, per_density = proposal.quantile((stratum + u) / strata)
            t = time_of(path, lam, t_range)
            loss += 0.5 * per_density / strata * _eps_error(denoiser, x1, y, t, generator)
        z, _, _ = _noised(denoiser, x1, torch.full((len(x1),), t_range[1], dtype=torch.float64), generator)
        return loss + read_off(denoiser, levels, z, y, t_range[1], values)

    bound = over_repeats([one() for _ in range(repeats)])
    return Bound(bound.nats + _prior_kl(path, x1, t_range[0]), bound.se)


@dataclass(frozen=True)
class Proposal:
    """A piecewise constant density of lam: `shares` (n,) of the mass between `knots` (n + 1,), float64.

    For unit-variance images on a grid of spacing h the integrand grows from exp(lam) towards the point where the levels
    are told apart, sigma/alpha about h/4.6, and vanishes beyond: hence few points at either end. Any density with these
    ends is unbiased; on a digits network this one needs 24 network calls for the precision of 64 uniform ones.
    """

    knots: Tensor
    shares: Tensor

    @classmethod
    def over(cls, path: Path, t_range: tuple[float, float], spacing: float) -> Proposal:
        low, high = (float(log_snr(path, torch.tensor(t, dtype=torch.float64))) for t in t_range)
        told_apart = 2 * math.log(4.6 / spacing) + 1.5
        knots = torch.tensor([low, -3.0, 1.0, told_apart, high], dtype=torch.float64).clamp(low, high)
        kept = knots.diff() > 0
        shares = torch.tensor([0.04, 0.16, 0.78, 0.02], dtype=torch.float64)[kept]
        return cls(torch.cat([knots[:1], knots[1:][kept]]), shares / shares.sum())

    def quantile(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """lam at quantile u in [0, 1), and one over the density there."""
        cumulative = torch.cat([torch.zeros(1, dtype=torch.float64), self.shares.cumsum(0)])
        piece = torch.searchsorted(cumulative[1:-1].contiguous(), u, right=True)
        per_density = (self.knots.diff() / self.shares)[piece]
        return self.knots[piece] + (u - cumulative[piece]) * per_density, per_density


def time_of(path: Path, lam: Tensor, t_range: tuple[float, float]) -> Tensor:
    """The t in t_range at which the path has log-SNR `lam`, by bisection to rounding: lam's shape, float64."""
    low, high = (torch.full_like(lam, end) for end in t_range)
    return bisect(lambda t: log_snr(path, t) < lam, low, high, 52)


def _noised(denoiser: ContinuousDenoiser, x1: Tensor, t: Tensor, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """z_t and t in the network's dtype and on its device, and lam at that (rounded) t, float64."""
    t = t.to(x1.dtype).double()
    alpha, sigma = denoiser.path(t)
    eps = torch.randn(x1.shape, generator=generator, dtype=torch.float64)
    z = (alpha.unsqueeze(-1) * x1 + sigma.unsqueeze(-1) * eps).to(x1.dtype)
    return z.to(denoiser.device), t.to(x1.dtype).to(denoiser.device), log_snr(denoiser.path, t)


@torch.no_grad()
def _eps_error(denoiser: ContinuousDenoiser, x1: Tensor, y: Tensor | None, t: Tensor, generator: Generator) -> Tensor:
    """|eps - eps_hat|² = exp(lam) |x1 - x1_hat|² at one draw of eps: (B,), float64 on the CPU."""
    z, t, lam = _noised(denoiser, x1, t, generator)
    x1_hat = denoiser.x1(z, t, to_device(y, denoiser)).cpu()
    return lam.exp() * (x1 - x1_hat).double().square().sum(-1)


def _prior_kl(path: Path, x1: Tensor, t_min: float) -> Tensor:
    """KL(N(alpha x1, sigma² I) || N(0, s² I)) at t_min: (B,), float64."""
    scale = base_scale(path, t_min)
    alpha, sigma = (each / scale for each in path(torch.tensor(t_min, dtype=torch.float64)))
    square = (alpha * x1.double()).square().sum(-1)
    return 0.5 * (square + x1.shape[1] * (sigma**2 - 1 - 2 * sigma.log()))


# -- shared ------------------------------------------------------------------------------------------------------------
