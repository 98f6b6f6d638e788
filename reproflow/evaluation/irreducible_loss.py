r"""The irreducible loss of a cell: what its objective leaves when the network is the exact posterior, with its error.

For a Gaussian mixture, and for a finite data set, the posterior is known; elsewhere the floor is NaN. It is in the
units of the training loss (the objective's scale, per dimension), so that a learning curve can be drawn over it. Over
a finite training set it is the loss of a network that has memorised the set. With m the posterior's error,

.. math:: F = \int \frac{\pi(t) c(t)}{P(t_{range})} m(t)\, dt = \sum_{n=1}^D W_n m_n, \qquad
          W_n = \int \frac{\pi(t) c(t)}{P(t_{range})} \binom{D}{n} \sigma^n \alpha^{D-n} dt

is an integral over time (masked: a sum over the number n of hidden tokens, as the posterior knows no time, with W_n by
quadrature). So it needs no draws from the law pi: where the weight c is large and the law rarely goes (the ELBO's under
the logit-normal law), those see nothing of it for a long time. Strata, bins of equal log-SNR or numbers n, are drawn in
proportion to what they contribute, by a pilot. Each x_t contributes the posterior's own variance or entropy rather than
the squared error or -log p of one x1, which has the same mean (for images the plain squared error: see `exact`). The
standard error is over independent replicates of stratified draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from reproflow.exact import empirical
from reproflow.exact.mixture import Mixture
from reproflow.foundation import coupled_pairs_file, seeds
from reproflow.foundation.config import Experiment
from reproflow.foundation.grid import Cell
from reproflow.learning.data import ImageData, ToyData
from reproflow.learning.training.batches import TrainingLoss, training_loss
from reproflow.numerics.statistics import Measured
from reproflow.theory.admission import midpoints
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.log_snr import elbo_coefficient, invert_lam, log_snr
from reproflow.theory.time_sampling import stratify

REPLICATES = 16
DRAWS = {"gaussian": 1024, "masked": 256}
"""Batches a replicate: the masked posterior is dearer."""
BINS, GROUPS, PILOT = 1024, 32, 16
"""Bins of log-SNR; groups of neighbouring strata whose errors a pilot finds, and its draws in each."""
ROUGH, EVEN = 0.05, 0.05
"""Shares of the draws that follow a rough guess, and that go anywhere: no stratum is drawn too rarely."""
ATOMS = 0.05

Errors = Callable[[Coefficients, Generator], Tensor]


@dataclass(frozen=True)
class Strata:
    """What is summed: `term(stratum, u, generator)` (n,) has, over u uniform in (0, 1), the stratum's part as its mean.

    `rough` (M,) is a guess of the parts, positive wherever they are.
    """

    rough: Tensor
    term: Callable[[Tensor, Tensor, Generator], Tensor]


def floor(cell: Cell, experiment: Experiment, data: ToyData | ImageData) -> Measured:
    """The irreducible loss by Monte Carlo with fixed draws, equal for all cells of a data set and process.

    NaN for data without a known posterior, for noise that is not independent of the data, and for other losses than
    squared errors and cross-entropies.
    """
    known = isinstance(data, ImageData) or data.mixture is not None
    if not known or cell.coupling != coupled_pairs_file.INDEPENDENT or str(cell.divergence) != "squared":
        return Measured(math.nan, math.nan)
    aim = training_loss(cell, experiment, data.levels if isinstance(data, ImageData) else 0)
    generator = seeds.generator("floor", cell.process, cell.dataset)
    strata = _masked_strata(aim, data) if cell.process == "masked" else _time_strata(aim, data)
    shares = _shares(strata, generator)
    u = torch.rand(DRAWS[cell.process], REPLICATES, generator=generator, dtype=torch.float64)
    chosen, within = _choose(shares, stratify(u).flatten())
    values = strata.term(chosen, within, generator) / (shares[chosen] * aim.scale * data.dim)
    means = values.view(u.shape).mean(0)
    return Measured(float(means.mean()), float(means.std() / math.sqrt(REPLICATES)))


def _shares(strata: Strata, generator: Generator) -> Tensor:
    """The probability of each stratum, (M,): mostly its rough part times what a pilot finds in its group."""
    m = len(strata.rough)
    groups = min(GROUPS, m)
    group, draws = torch.arange(m) * groups // m, torch.arange(groups * PILOT, dtype=torch.float64)
    pilot = ((draws + 0.5) * m / len(draws)).long()
    found = strata.term(pilot, torch.full_like(draws, 0.5), generator)
    ratio = torch.where(found > 0, found / strata.rough[pilot], 0.0).square()
    mean = torch.zeros(groups, dtype=torch.float64).index_add(0, group[pilot], ratio / PILOT).sqrt()
    guesses = (strata.rough * mean[group], strata.rough, torch.ones_like(strata.rough))
    parts = zip((1 - ROUGH - EVEN, ROUGH, EVEN), guesses, strict=True)
    shares = sum((share * guess / guess.sum().clamp(min=1e-300) for share, guess in parts), torch.zeros(m))
    return shares / shares.sum()


def _choose(shares: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """The stratum at each quantile u of the shares, and where in it u lies, in [0, 1]."""
    cumulative = torch.cat([torch.zeros(1, dtype=torch.float64), shares.cumsum(0)])
    chosen = torch.searchsorted(cumulative[1:-1].contiguous(), u, right=True)
    return chosen, ((u - cumulative[chosen]) / shares[chosen]).clamp(0, 1)


# -- times -------------------------------------------------------------------------------------------------------------


def _time_strata(aim: TrainingLoss, data: ToyData | ImageData) -> Strata:
    """Bins of time; a law with atoms has no density, and is one stratum that is drawn from."""
    errors = _image_errors(data) if isinstance(data, ImageData) else _mixture_errors(data)
    edges = _edges(aim)
    if edges is None:

        def drawn(chosen: Tensor, u: Tensor, generator: Generator) -> Tensor:
            t = aim.objective.time.draw(u, aim.t_range)
            return aim.objective.coefficient(t) * errors(aim.objective.path.at(t), generator)

        return Strata(torch.ones(1, dtype=torch.float64), drawn)

    def term(chosen: Tensor, u: Tensor, generator: Generator) -> Tensor:
        t = edges[chosen] + u * edges.diff()[chosen]
        return _intensity(aim, t) * edges.diff()[chosen] * errors(aim.objective.path.at(t), generator)

    t = (edges[1:] + edges[:-1]) / 2
    alpha, sigma = aim.objective.path(t)
    return Strata(_intensity(aim, t) * edges.diff() * alpha**2 / (alpha**2 + sigma**2), term)


def _edges(aim: TrainingLoss) -> Tensor | None:
    """The times that cut t_range into bins of equal log-SNR, (BINS + 1,), or None where the law has no density."""
    ends = torch.tensor(aim.t_range, dtype=torch.float64)
    low, high = log_snr(aim.objective.path, ends).tolist()
    inner = invert_lam(aim.objective.path, torch.linspace(low, high, BINS + 1, dtype=torch.float64)[1:-1])
    edges = torch.cat([ends[:1], inner.clamp(*aim.t_range), ends[1:]])
    mass = (aim.objective.time.density((edges[1:] + edges[:-1]) / 2) * edges.diff()).sum() / _probability(aim)
    return edges if abs(float(mass) - 1) < ATOMS else None


def _intensity(aim: TrainingLoss, t: Tensor) -> Tensor:
    """pi(t) c(t) / P(t_range), of t's shape: no division by a density that underflows where a weight is canonical."""
    weight = aim.objective.weight(t) * elbo_coefficient(aim.objective.path.at(t))
    return weight / _probability(aim)


def _probability(aim: TrainingLoss) -> float:
    """P(t_range) under the law."""
    low, high = (float(aim.objective.time.cdf(torch.tensor(t, dtype=torch.float64))) for t in aim.t_range)
    return high - low


def _mixture_errors(data: ToyData) -> Errors:
    """tr Cov(eps | x_t) at draws of x_t, (n,)."""
    assert data.mixture is not None
    law = Mixture(data.mixture.weights, data.mixture.means, data.mixture.stds)

    def errors(c: Coefficients, generator: Generator) -> Tensor:
        x1 = data.sample(len(c.t), generator, torch.float64)
        eps = torch.randn(x1.shape, generator=generator, dtype=torch.float64)
        x = c.alpha[:, None] * x1 + c.sigma[:, None] * eps
        return law.target_variance(x, c, torch.zeros_like(c.t), torch.ones_like(c.t))

    return errors


def _image_errors(data: ImageData) -> Errors:
    """|eps - E[eps|x_t]|² at draws of x_t, (n,), against the posterior over the training images of the same class."""
    points, labels = data.points(dtype=torch.float64), data.labels()

    def errors(c: Coefficients, generator: Generator) -> Tensor:
        index = torch.randint(len(points), (len(c.t),), generator=generator)
        eps = torch.randn(len(index), data.dim, generator=generator, dtype=torch.float64)
        x1, alpha, sigma = points[index], c.alpha[:, None], c.sigma[:, None]
        mean = empirical.posterior_mean(alpha * x1 + sigma * eps, points, c, labels[index], labels)
        return (alpha / sigma * (x1 - mean)).square().sum(1)

    return errors


# -- numbers of hidden tokens ------------------------------------------------------------------------------------------


def _masked_strata(aim: TrainingLoss, data: ToyData | ImageData) -> Strata:
    """n = 1 .. D tokens hidden."""
    assert isinstance(data, ImageData)
    weights, tokens, labels = _count_weights(aim, data.dim), data.tokens(), data.labels()

    def term(chosen: Tensor, u: Tensor, generator: Generator) -> Tensor:
        index = torch.randint(len(tokens), chosen.shape, generator=generator)
        ranks = torch.rand(len(index), data.dim, generator=generator).argsort(-1).argsort(-1)
        z = torch.where(ranks <= chosen[:, None], data.levels, tokens[index])
        return weights[chosen] * _entropies(z, labels[index], tokens, labels, data.levels)

    return Strata(weights * torch.arange(1, data.dim + 1), term)


def _count_weights(aim: TrainingLoss, dim: int) -> Tensor:
    """W_n for n = 1 .. D, (D,), by the midpoint rule."""
    edges = _edges(aim)
    if edges is None:
        t = midpoints(aim.objective.time, aim.t_range)
        weight = aim.objective.coefficient(t) / len(t)
    else:
        t = (edges[1:] + edges[:-1]) / 2
        weight = _intensity(aim, t) * edges.diff()
    alpha, sigma = (each[:, None] for each in aim.objective.path(t))
    n = torch.arange(1, dim + 1, dtype=torch.float64)
    log_choose = math.lgamma(dim + 1) - torch.lgamma(n + 1) - torch.lgamma(dim - n + 1)
    return weight @ (log_choose + n * sigma.log() + torch.xlogy(dim - n, alpha)).exp()


def _entropies(z: Tensor, y: Tensor, tokens: Tensor, labels: Tensor, vocabulary: int) -> Tensor:
    """The entropies of the hidden tokens of z (n, D) of class y (n,), summed: (n,), in nats; shown ones have none."""
    found = torch.zeros(len(z), dtype=torch.float64)
    for label in labels.unique():
        posterior = empirical.masked_posterior(z[y == label], tokens[labels == label], vocabulary)
        found[y == label] = torch.special.entr(posterior).sum((1, 2))
    return found
