r"""The cascade of a Gaussian network (ST-6): lam is all that time is.

.. math:: PKL(\lambda) = KL_T + \tfrac12 \int_{\lambda_{min}}^{\lambda} e^{\lambda'}
                          E|\hat x_\theta - E[x|x_t]|^2 d\lambda'

by strata of lam. KL_T is KL(q(z_T) || N(0, s² I)), what data and base of the sampler still differ by at t_min, found
in the same way. A chain
of T ancestral steps puts x-hat into q(z_s|z_t, x); along a path from x the log ratio of the data's law of
(z_i, .., z_T) to the chain's is known, as the data's marginals are mixtures.
"""

from __future__ import annotations

import itertools
import math
from typing import ClassVar

import torch
from torch import Generator, Tensor

from reproflow.evaluation.bound_cascade.profile import Profile, over_rows
from reproflow.exact import empirical
from reproflow.exact.posterior import log_kernel, log_marginal, of_class
from reproflow.learning.data import ImageData
from reproflow.learning.networks.denoiser import GaussianDenoiser
from reproflow.learning.sampling.ode import base_scale
from reproflow.numerics.statistics import Measured
from reproflow.theory.log_snr import invert_lam, log_snr
from reproflow.theory.paths import Path

LARGEST_LAM = 10.0
"""Levels end here towards the data: a level of grey is told from the next long before."""
POINTS = 97


class Gaussian:
    """A Gaussian network beside its training set; levels are -lam."""

    counted: ClassVar[tuple[float, ...]] = (0.125, 0.25, 0.5, 0.75)

    @staticmethod
    def noise_levels(path: Path, t_range: tuple[float, float]) -> Tensor:
        """-lam, evenly, (J,)."""
        low, high = log_snr(path, torch.tensor(t_range, dtype=torch.float64)).tolist()
        return torch.linspace(-min(high, LARGEST_LAM), -low, POINTS, dtype=torch.float64)

    @staticmethod
    def log_snr_at(levels: Tensor) -> Tensor:
        """lam, of the levels' shape."""
        return -levels

    @staticmethod
    def place(level: Tensor) -> str:
        """lam in words."""
        return f"lam={-float(level):.6g}"

    def __init__(self, denoiser: GaussianDenoiser, data: ImageData) -> None:
        self.denoiser, self.data, self.path = denoiser, data, denoiser.path
        self.points, self.labels = data.points(dtype=torch.float64), data.labels()

    def profile(self, levels: Tensor, images: int, generator: Generator) -> Profile:
        """PKL at `levels` (J,), which end where the sampler's base is, from `images` draws of x_t in each stratum."""
        means, errors = (torch.empty(len(levels) - 1, dtype=torch.float64) for _ in range(2))
        for k, (low, high) in enumerate(itertools.pairwise(levels)):
            u = torch.rand(images, generator=generator, dtype=torch.float64)
            x, _, y, t, lam = self._noised(low + (high - low) * u, generator)
            far = (self._x1_hat(x, t, y) - self._mean(x, t, y)).square().sum(1)
            found = over_rows(0.5 * lam.exp() * far)
            means[k], errors[k] = found.value, found.se
        # Stratum k lies between levels k and k + 1: from level j on, those with k >= j are beyond.
        beyond = torch.ones(len(levels), len(levels) - 1, dtype=torch.float64).triu() * levels.diff()
        return Profile(levels, beyond, means, errors, self._prior(-float(levels[-1]), 4 * images, generator))

    def excess(self, levels: Tensor, generator: Generator) -> Tensor:
        """½ (|eps - eps-hat|² - |eps - E[eps|x]|²) per unit of lam, one image a level: (L,), nats."""
        x, x1, y, t, lam = self._noised(levels, generator)
        raw = (x1 - self._x1_hat(x, t, y)).square().sum(1) - (x1 - self._mean(x, t, y)).square().sum(1)
        return 0.5 * lam.exp() * raw

    def paths(self, steps: int, images: int, kept: Tensor, generator: Generator, ends: tuple[float, float]) -> Tensor:
        """log q(z_i, .., z_T) - log p(z_i, .., z_T) on paths of the chain of so many steps in lam, in nats.

        Levels i = 0..steps are equally spaced in lam between `ends` (data, noise; as -lam); `kept` (I,) are the i that
        are told: (I, images). Its mean is PKL_i.
        """
        t, alpha, sigma = self._levels(steps, ends)
        index = torch.randint(len(self.points), (images,), generator=generator)
        x1, y = self.points[index], self.labels[index]
        z = alpha[0] * x1 + sigma[0] * self._normal(images, generator)
        told = torch.zeros(len(kept), images, dtype=torch.float64)
        for j in range(steps + 1):
            for row in (kept == j).nonzero().flatten().tolist():
                own = log_kernel(z, self.points, alpha[j : j + 1], sigma[j : j + 1])
                told[row] += log_marginal(of_class(own, y, self.labels))
            if j == steps:
                break
            # Forward: z_{j+1} = r z_j + noise, which is the same for every point.
            r = alpha[j + 1] / alpha[j]
            spread = (sigma[j + 1] ** 2 - r**2 * sigma[j] ** 2).sqrt()
            step = self._normal(images, generator)
            after = r * z + spread * step
            mean, deviation = self._back(after, y, t, alpha, sigma, j)
            forward, back = _log_normal(step, spread), _log_normal((z - mean) / deviation, deviation)
            told += torch.where((kept <= j)[:, None], forward - back, 0.0)
            z = after
        return told - self._base(z, t[-1:])

    def occupation(
        self, steps: int, y: Tensor, kept: Tensor, generator: Generator, ends: tuple[float, float]
    ) -> Tensor:
        """p^(i)(z_n) sample by sample: the optimal decoder at level i of samples of classes y (S,): (I, S, N)."""
        t, alpha, sigma = self._levels(steps, ends)
        z = base_scale(self.path, float(t[-1])) * self._normal(len(y), generator)
        found = torch.zeros(len(kept), len(y), len(self.points))
        for j in range(steps, -1, -1):
            for row in (kept == j).nonzero().flatten().tolist():
                own = of_class(log_kernel(z, self.points, alpha[j : j + 1], sigma[j : j + 1]), y, self.labels)
                found[row] = own.softmax(1).float()
            if j:
                mean, deviation = self._back(z, y, t, alpha, sigma, j - 1)
                z = mean + deviation * self._normal(len(y), generator)
        return found

    # -- parts -----------------------------------------------------------------------------------------------------

    def _levels(self, steps: int, ends: tuple[float, float]) -> tuple[Tensor, Tensor, Tensor]:
        """t, alpha and sigma from data to noise, (steps + 1,)."""
        t = invert_lam(self.path, -torch.linspace(*ends, steps + 1, dtype=torch.float64))
        return t, *self.path(t)

    def _back(self, z: Tensor, y: Tensor, t: Tensor, alpha: Tensor, sigma: Tensor, j: int) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the chain's step from z at level j + 1 to level j: q(z_j|z, x-hat)."""
        share = (alpha[j + 1] * sigma[j] / (alpha[j] * sigma[j + 1])) ** 2
        x1_hat = self._x1_hat(z, t[j + 1].expand(len(z)), y)
        mean = alpha[j] * (1 - share) * x1_hat + share * alpha[j] / alpha[j + 1] * z
        return mean, sigma[j] * (1 - share).sqrt()

    def _prior(self, lam: float, count: int, generator: Generator) -> Measured:
        """KL_T as the excess, below `lam`, of the base's own denoiser: N(0, I) says E[x|z] = alpha z at unit variance.

        With u = exp(lam' - lam) uniform it is half exp(lam) times a mean of squares: no difference of large numbers.
        """
        u = torch.rand(count, generator=generator, dtype=torch.float64)
        below = lam + u.log()
        alpha, sigma = below.sigmoid().sqrt(), (-below).sigmoid().sqrt()
        index = torch.randint(len(self.points), (count,), generator=generator)
        x = alpha[:, None] * self.points[index] + sigma[:, None] * self._normal(count, generator)
        kernel = of_class(log_kernel(x, self.points, alpha, sigma), self.labels[index], self.labels)
        far = (alpha[:, None] * x - kernel.softmax(1) @ self.points).square().sum(1)
        return over_rows(0.5 * math.exp(lam) * far)

    def _noised(self, levels: Tensor, generator: Generator) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """x_t, x1, y, t and lam at levels -lam (B,)."""
        index = torch.randint(len(self.points), (len(levels),), generator=generator)
        t = invert_lam(self.path, -levels)
        alpha, sigma = self.path(t)
        x1 = self.points[index]
        x = alpha[:, None] * x1 + sigma[:, None] * self._normal(len(levels), generator)
        return x, x1, self.labels[index], t, -levels

    def _normal(self, rows: int, generator: Generator) -> Tensor:
        return torch.randn(rows, self.data.dim, generator=generator, dtype=torch.float64)

    @torch.no_grad()
    def _x1_hat(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        device = self.denoiser.device
        return self.denoiser.x1(x.float().to(device), t.float().to(device), y.to(device)).cpu().double()

    def _mean(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        return empirical.posterior_mean(x, self.points, self.path.at(t), y, self.labels)

    def _base(self, x: Tensor, t: Tensor) -> Tensor:
        """log N(x; 0, s² I) of the sampler's base at t (1,): (B,)."""
        scale = torch.tensor([base_scale(self.path, float(t[0]))], dtype=torch.float64)
        return _log_normal(x / scale, scale)


def _log_normal(step: Tensor, deviation: Tensor) -> Tensor:
    """log density of deviation * step, step standard normal (B, D): (B,)."""
    dim = step.shape[1]
    return -0.5 * step.square().sum(1) - dim * (deviation.log() + 0.5 * math.log(2 * math.pi))
