r"""Gaussian diffusion of three points on a line as a finite chain, with a denoiser that is off.

With z = alpha x + sigma eps and levels at falling times, q(z_j|z_{j-1}) = N(a z_{j-1}, v) with a = alpha_j/alpha_{j-1},
v = sigma_j² - a² sigma_{j-1}², and the model's reverse step is q(z_{j-1}|z_j, x) with x-hat(z_j) for x (001; VDM). On
the grid every row is divided by its sum. So the chain is an exact finite one, whatever the spacing. The continuous one
it is only where the grid resolves it: sums of smooth densities are those of continuous z to exp(-2 pi² (standard
deviation / spacing)²), as far as the grid reaches, but q(x|z) and the ratio of q and p change within a fraction of the
standard deviation, and what holds them is off by more. On the linear path with 81 points the path divergence of the
first level is off by 9e-4, KL(q(z_0) || p(z_0)) by 6e-3 and KL(q || p^(0)) by 5e-3; from the third level on by 1e-5.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable

import torch
from torch import Tensor

from reproflow.exact.chain import Chain
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.log_snr import invert_lam
from reproflow.theory.paths import Path, forward_path

POINTS = torch.tensor([-1.2, 0.3, 1.1], dtype=torch.float64)
WEIGHTS = torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64)

LAM_RANGE = (4.0, -4.5)
"""log-SNR of the first and the last level: within the reach of every registered path."""

RULE = 7.5, 121
"""Reach and points of the trapezoid rule over eps; up to the first log-SNR above, to 1e-10."""

Denoiser = Callable[[Tensor, Coefficients], Tensor]
"""x-hat(z, c), of the common shape of z and c.t."""


@functools.cache
def example(path_name: str) -> Chain:
    """The chain of ten steps of a registered path."""
    path = forward_path(path_name)
    return gaussian_chain(path, levels(path, 10))


def levels(path: Path, steps: int, lam_range: tuple[float, float] = LAM_RANGE) -> Tensor:
    """Falling times t_0 > ... > t_T, equally spaced between two log-SNRs, (steps + 1,)."""
    ends = invert_lam(path, torch.tensor(lam_range, dtype=torch.float64))
    return ends[0] + (ends[1] - ends[0]) * torch.linspace(0, 1, steps + 1, dtype=torch.float64)


def log_posterior(z: Tensor, c: Coefficients) -> Tensor:
    """log P(x | z), of the common shape of z and c.t with the three points appended."""
    return (WEIGHTS.log() + _log_normal(z[..., None], c.alpha[..., None] * POINTS, c.sigma[..., None])).log_softmax(-1)


def exact_denoiser(z: Tensor, c: Coefficients) -> Tensor:
    """E[x | z]."""
    return log_posterior(z, c).exp() @ POINTS


def off_denoiser(z: Tensor, c: Coefficients) -> Tensor:
    """E[x | z] with a smooth error of about a quarter, which turns over with time."""
    return exact_denoiser(z, c) + 0.3 * torch.sin(1.5 * z + 2 * c.alpha)


def losses(path: Path, t: Tensor, denoiser: Denoiser = off_denoiser) -> tuple[Tensor, Tensor, Tensor]:
    """E|x - x-hat|², E|x - E[x|z]|² and E|x-hat - E[x|z]|² at times t (B,), each (B,); not on the grid of a chain.

    By the trapezoid rule over eps for each point. The middle one is the posterior's variance.
    """
    c = path.at(t[:, None, None])
    z = c.alpha * POINTS[:, None] + c.sigma * grid(*RULE)
    posterior, guess = log_posterior(z, c).exp(), denoiser(z, c)
    mean = posterior @ POINTS
    variance = posterior @ POINTS.square() - mean.square()
    values = ((guess - POINTS[:, None]).square(), variance, (guess - mean).square())
    raw, least, excess = ((value @ normal(*RULE).exp()) @ WEIGHTS for value in values)
    return raw, least, excess


def information(path: Path, t: Tensor) -> Tensor:
    """I(x; z_t) = E[log P(x|z) - log P(x)] in nats at times t (B,), (B,), by the rule of `losses`."""
    c = path.at(t[:, None, None])
    log = log_posterior(c.alpha * POINTS[:, None] + c.sigma * grid(*RULE), c)
    own = torch.stack([log[:, k, :, k] for k in range(len(POINTS))], 1)
    return (own @ normal(*RULE).exp() - WEIGHTS.log()) @ WEIGHTS


def prior_kl(path: Path, t: Tensor) -> Tensor:
    """KL(q(z_t) || N(0, 1)) = E|z|²/2 - 1/2 - log sigma - I(x; z_t), a differential entropy less a mean, (B,)."""
    alpha, sigma = path(t)
    square = alpha**2 * (WEIGHTS @ POINTS.square()) + sigma**2
    return 0.5 * (square - 1) - sigma.log() - information(path, t)


def normal(reach: float, points: int) -> Tensor:
    """log of N(0, 1) on the grid, (points,): the prior."""
    return (-0.5 * grid(reach, points) ** 2).log_softmax(0)


def grid(reach: float, points: int) -> Tensor:
    """Equally spaced z in [-reach, reach]."""
    return torch.linspace(-reach, reach, points, dtype=torch.float64)


def gaussian_chain(
    path: Path, times: Tensor, denoiser: Denoiser = off_denoiser, reach: float = 6.0, points: int = 81
) -> Chain:
    """The chain over the falling times (T+1,) of a Gaussian path; its prior is N(0, 1), which q(z_T) nearly is."""
    z, c = grid(reach, points), path.at(times)
    first = _log_normal(z, c.alpha[0] * POINTS[:, None], c.sigma[0]).log_softmax(1)
    steps, reverse = [], []
    for near, far in itertools.pairwise(_each(c)):
        a, v = _step(near, far)
        steps.append(_log_normal(z, a * z[:, None], v.sqrt()).log_softmax(1))
        mean, std = _bridge(z, denoiser(z, far), near, far)
        reverse.append(_log_normal(z, mean[:, None], std).log_softmax(1))
    return Chain(WEIGHTS.log(), first, tuple(steps), tuple(reverse), normal(reach, points))


def _step(near: Coefficients, far: Coefficients) -> tuple[Tensor, Tensor]:
    """a, v of q(z_j|z_{j-1}) = N(a z_{j-1}, v)."""
    a = far.alpha / near.alpha
    return a, far.sigma**2 - (a * near.sigma) ** 2


def _bridge(z: Tensor, x: Tensor, near: Coefficients, far: Coefficients) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of q(z_{j-1}|z_j = z, x)."""
    a, v = _step(near, far)
    precision = near.sigma**-2 + a**2 / v
    return (near.alpha * x / near.sigma**2 + a * z / v) / precision, precision.rsqrt()


def _log_normal(z: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """log N(z; mean, std²) but for what does not depend on the mean."""
    return -0.5 * ((z - mean) / std) ** 2


def _each(c: Coefficients) -> list[Coefficients]:
    columns = torch.stack([c.t, c.alpha, c.sigma, c.dalpha, c.dsigma])
    return [Coefficients(t, a, s, da, ds, c.process) for t, a, s, da, ds in columns.unbind(1)]
