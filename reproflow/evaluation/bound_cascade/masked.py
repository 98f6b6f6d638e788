r"""The cascade of a masked network: the number n of hidden tokens is all that time is (ST-7).

With K_n = E over masks of n tokens of the KL between the posterior and the network, summed over hidden tokens,

.. math:: PKL(m) = \sum_{n=1}^D K_n \int_m^1 \binom{D}{n} m'^{n-1} (1-m')^{D-n} dm'
                 = \sum_n \frac{K_n}{n} [1 - I_m(n, D-n+1)].

In T steps at once tokens that appear together do so independently: along a path from x to all hidden, PKL_i is the
network's -log mu of what appears above level i, less the log of how many points agree with z_i (path by path).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from scipy.special import betainc
from torch import Generator, Tensor

from reproflow.evaluation.bound_cascade.profile import Profile
from reproflow.exact import empirical
from reproflow.exact.posterior import agreeing
from reproflow.learning.data import ImageData
from reproflow.learning.networks.denoiser import MaskedDenoiser
from reproflow.numerics.statistics import Measured
from reproflow.theory.paths import Path

POINTS = 201
"""Levels that are even in m, and as many that are even in its log-odds."""
NONE = Measured(0.0, 0.0)
"""KL_T: at the noise end every token is hidden, in data and model alike."""


class Masked:
    """A masked network beside its training set; levels are shares m of hidden tokens."""

    counted: ClassVar[tuple[float, ...]] = (0.5, 0.75, 0.875, 0.9375)

    @staticmethod
    def noise_levels(path: Path, t_range: tuple[float, float]) -> Tensor:
        """Shares of hidden tokens, dense at both ends, (J,)."""
        even = torch.linspace(0, 1, POINTS, dtype=torch.float64)
        return torch.cat([even, torch.linspace(-14, 14, POINTS, dtype=torch.float64).sigmoid()]).unique()

    @staticmethod
    def log_snr_at(levels: Tensor) -> Tensor:
        """lam = logit(1 - m), of the levels' shape."""
        return torch.logit(1 - levels, eps=1e-12)

    @staticmethod
    def place(level: Tensor) -> str:
        """The share of hidden tokens in words."""
        return f"m={float(level):.6g}"

    def __init__(self, denoiser: MaskedDenoiser, data: ImageData) -> None:
        self.denoiser, self.data = denoiser, data
        self.tokens, self.labels, self.vocabulary = data.tokens(), data.labels(), data.levels

    def profile(self, levels: Tensor, images: int, generator: Generator) -> Profile:
        """PKL at `levels` (J,) up to the last of them, from `images` masks of each size."""
        dim = self.data.dim
        means, errors = (torch.empty(dim, dtype=torch.float64) for _ in range(2))
        for n in range(1, dim + 1):
            x, y = self._drawn(images, generator)
            z = self._hide(x, torch.full((images,), n), generator)
            log_mu, posterior = self._both(z, y)
            divergence = (torch.special.xlogy(posterior, posterior) - posterior * log_mu).sum((1, 2))
            means[n - 1], errors[n - 1] = divergence.mean(), divergence.std() / images**0.5
        hidden = torch.arange(1, dim + 1, dtype=torch.float64)
        below = torch.as_tensor(betainc(hidden.numpy(), (dim - hidden + 1).numpy(), levels.numpy()[:, None]))
        return Profile(levels, (below[-1] - below) / hidden, means, errors, NONE)

    def excess(self, levels: Tensor, generator: Generator) -> Tensor:
        """(1/m) times the cross-entropy of the hidden tokens less the posterior's, one image a level: (L,), nats."""
        x, y = self._drawn(len(levels), generator)
        z = torch.where(
            torch.rand(x.shape, generator=generator, dtype=torch.float64) < levels[:, None], self.vocabulary, x
        )
        log_mu, posterior = self._both(z, y)
        chosen = x[..., None]
        gap = posterior.gather(-1, chosen).log() - log_mu.gather(-1, chosen)
        return torch.where(z == self.vocabulary, gap[..., 0], 0.0).sum(1) / levels

    def paths(
        self,
        steps: int,
        images: int,
        kept: Tensor,
        generator: Generator,
        ends: tuple[float, float] = (0.0, 1.0),
    ) -> Tensor:
        """log q(path above level i) - log p(path above level i) on paths of the chain of so many steps, in nats.

        Levels are m = i/steps; `kept` (I,) are the i that are told: (I, images). Its mean is PKL_i. `ends` are 0 and 1.
        """
        x, y = self._drawn(images, generator)
        first_hidden = (torch.rand(x.shape, generator=generator, dtype=torch.float64) * steps).floor().long() + 1
        told = torch.zeros(len(kept), images, dtype=torch.float64)
        points = torch.stack([(self.labels == label).sum() for label in y]).double().log()
        # A token is hidden at level j from first_hidden on: going back from j it appears at first_hidden - 1.
        for j in range(steps, 0, -1):
            z = torch.where(first_hidden <= j, self.vocabulary, x)
            log_mu = self._log_mu(z, y).gather(-1, x[..., None])[..., 0]
            appears = torch.where(first_hidden == j, log_mu, 0.0).sum(1)
            told -= torch.where((kept < j)[:, None], appears, 0.0)
        for row, level in enumerate(kept.tolist()):
            z = torch.where(first_hidden <= level, self.vocabulary, x)
            told[row] += (agreeing(z, self.tokens, self.vocabulary) & (y[:, None] == self.labels)).sum(
                1
            ).double().log() - points
        return told

    def occupation(
        self, steps: int, y: Tensor, kept: Tensor, generator: Generator, ends: tuple[float, float] = (0.0, 1.0)
    ) -> Tensor:
        """p^(i)(z_n) sample by sample: the optimal decoder at level i of samples of classes y (S,): (I, S, N).

        A sample whose shown tokens no point has is in no data set's support; it counts for none (its row is zero).
        """
        dim, vocabulary = self.data.dim, self.vocabulary
        z = torch.full((len(y), dim), vocabulary)
        found = torch.zeros(len(kept), len(y), len(self.tokens))
        for j in range(steps, 0, -1):
            drawn = torch.multinomial(self._log_mu(z, y).exp().flatten(0, 1), 1, generator=generator).reshape(z.shape)
            shown = (z == vocabulary) & (torch.rand(z.shape, generator=generator) < 1 / j)
            z = torch.where(shown, drawn, z)
            for row in (kept == j - 1).nonzero().flatten().tolist():
                agree = agreeing(z, self.tokens, vocabulary) & (y[:, None] == self.labels)
                found[row] = agree / agree.sum(1, keepdim=True).clamp(min=1)
        return found

    # -- parts -----------------------------------------------------------------------------------------------------

    def _drawn(self, count: int, generator: Generator) -> tuple[Tensor, Tensor]:
        index = torch.randint(len(self.tokens), (count,), generator=generator)
        return self.tokens[index], self.labels[index]

    def _hide(self, x: Tensor, n: Tensor, generator: Generator) -> Tensor:
        ranks = torch.rand(x.shape, generator=generator).argsort(-1).argsort(-1)
        return torch.where(ranks < n[:, None], self.vocabulary, x)

    @torch.no_grad()
    def _log_mu(self, z: Tensor, y: Tensor) -> Tensor:
        device = self.denoiser.device
        return self.denoiser.logits(z.to(device), y.to(device)).cpu().double().log_softmax(-1)

    def _both(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """log mu and the posterior, (B, D, V); at shown tokens both are certain, so that they add nothing."""
        posterior = torch.empty(*z.shape, self.vocabulary, dtype=torch.float64)
        for label in y.unique():
            rows = y == label
            posterior[rows] = empirical.masked_posterior(z[rows], self.tokens[self.labels == label], self.vocabulary)
        hidden = (z == self.vocabulary)[..., None]
        certain = torch.nn.functional.one_hot(z.clamp(max=self.vocabulary - 1), self.vocabulary).double()
        return torch.where(hidden, self._log_mu(z, y), 0.0), torch.where(hidden, posterior, certain)
