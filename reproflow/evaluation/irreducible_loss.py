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

from reproflow.foundation import coupled_pairs_file, seeds
from reproflow.foundation.by_process import ByProcess
from reproflow.foundation.config import Experiment
from reproflow.foundation.grid import Cell
from reproflow.learning.data import ImageData, ToyData
from reproflow.learning.training.batches import TrainingLoss, training_loss
from reproflow.numerics.statistics import Measured
from reproflow.theory.log_snr import elbo_coefficient, invert_lam, log_snr
from reproflow.theory.time_sampling import stratify

REPLICATES = 16
BINS = 1024
GROUPS = 32
PILOT = 16
"""Bins of log-SNR; groups of neighbouring strata whose errors a pilot finds, and its draws in each."""
ROUGH = 0.05
EVEN = 0.05
"""Shares of the draws that follow a rough guess, and that go anywhere: no stratum is drawn too rarely."""
ATOMS = 0.05


@dataclass(frozen=True)
class Strata:
    """What is summed: `term(stratum, u, generator)` (n,) has, over u uniform in (0, 1), the stratum's part as its mean.

    `rough` (M,) is a guess of the parts, positive wherever they are; `draws` are taken in each replicate.
    """

    rough: Tensor
    term: Callable[[Tensor, Tensor, Generator], Tensor]
    draws: int


STRATA: ByProcess[Callable[[TrainingLoss, ToyData | ImageData], Strata]] = ByProcess("irreducible loss", __name__)
"""By process: the strata of a training loss on these data, whose exact posterior is known."""


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
    strata = STRATA[cell.process](aim, data)
    shares = _shares(strata, generator)
    u = torch.rand(strata.draws, REPLICATES, generator=generator, dtype=torch.float64)
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


def edges_of(aim: TrainingLoss) -> Tensor | None:
    """The times that cut t_range into bins of equal log-SNR, (BINS + 1,), or None where the law has no density."""
    ends = torch.tensor(aim.t_range, dtype=torch.float64)
    low, high = log_snr(aim.objective.path, ends).tolist()
    inner = invert_lam(aim.objective.path, torch.linspace(low, high, BINS + 1, dtype=torch.float64)[1:-1])
    edges = torch.cat([ends[:1], inner.clamp(*aim.t_range), ends[1:]])
    mass = (aim.objective.time.density((edges[1:] + edges[:-1]) / 2) * edges.diff()).sum() / _probability(aim)
    return edges if abs(float(mass) - 1) < ATOMS else None


def intensity(aim: TrainingLoss, t: Tensor) -> Tensor:
    """pi(t) c(t) / P(t_range), of t's shape: no division by a density that underflows where a weight is canonical."""
    weight = aim.objective.weight(t) * elbo_coefficient(aim.objective.path.at(t))
    return weight / _probability(aim)


def _probability(aim: TrainingLoss) -> float:
    """P(t_range) under the law."""
    low, high = (float(aim.objective.time.cdf(torch.tensor(t, dtype=torch.float64))) for t in aim.t_range)
    return high - low
