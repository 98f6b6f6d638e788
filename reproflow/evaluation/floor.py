r"""The irreducible loss of a cell: what its objective leaves when the network is the exact posterior, with its error.

For a Gaussian mixture, and for a finite data set, the posterior is known; elsewhere the floor is NaN. It is in the
units of the training loss (the objective's scale, per dimension), so that a learning curve can be drawn over it. Over
a finite training set it is the loss of a network that has memorised the set. With m(t) the posterior's error,

.. math:: F = \int \frac{\pi(t) c(t)}{P(t_{range})} m(t)\, dt

is an integral over time, so it needs no draws from the law pi: where the weight c is large and the law rarely goes (the
ELBO's under the logit-normal law), those see nothing of it for a long time. Times are drawn in proportion to what they
contribute: the integrand with m from a pilot, on bins of equal log-SNR. Each draw of x_t contributes the posterior's
own variance (its entropy, when masked) rather than the squared error of one x1, which has the same mean (both but for
Gaussian images). The standard error is over independent replicates of stratified draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from reproflow.exact import empirical
from reproflow.exact.mixture import Mixture
from reproflow.foundation import pairing, seeds
from reproflow.foundation.config import Experiment
from reproflow.foundation.grid import Cell
from reproflow.learning.data import ImageData, ToyData
from reproflow.learning.training.draws import Objective, objective
from reproflow.theory.canonical import canonical, coefficient, elbo_coefficient, invert_lam, log_snr
from reproflow.theory.paths import Coefficients
from reproflow.theory.processes import masked
from reproflow.theory.times import stratify

REPLICATES = 16
STRATA = {"gaussian": 1024, "masked": 256}
"""Draws a replicate: the masked posterior is dearer."""
BINS, GROUPS, PILOT = 1024, 32, 16
ROUGH, EVEN = 0.05, 0.05
"""Shares of the draws that follow a rough guess of m, and that go anywhere: no time is drawn too rarely."""
ATOMS = 0.05

Errors = Callable[[Coefficients, Generator], Tensor]


@dataclass(frozen=True)
class Floor:
    """The irreducible loss and its standard error; NaN where the posterior is not known."""

    value: float
    se: float


def floor(cell: Cell, experiment: Experiment, data: ToyData | ImageData) -> Floor:
    """The irreducible loss by Monte Carlo with fixed draws, equal for all cells of a data set and process.

    NaN for data without a known posterior, for noise that is not independent of the data, and for other losses than
    squared errors and cross-entropies.
    """
    errors = _errors(cell, data)
    if errors is None or cell.coupling != pairing.INDEPENDENT or str(cell.divergence) != "squared":
        return Floor(math.nan, math.nan)
    aim = objective(cell, experiment, data.levels if isinstance(data, ImageData) else 0)
    generator = seeds.generator("floor", cell.process, cell.dataset)
    u = torch.rand(STRATA[cell.process], REPLICATES, generator=generator, dtype=torch.float64)
    t, weight = _times(aim, errors, stratify(u).flatten(), generator)
    values = weight * errors(aim.path.at(t), generator) / (aim.scale * data.dim)
    means = values.view(u.shape).mean(0)
    return Floor(float(means.mean()), float(means.std() / math.sqrt(REPLICATES)))


def _times(aim: Objective, errors: Errors, u: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Times at quantiles u of the proposal, and the integrand's weight over the proposal's density there.

    A law with atoms has no density; then the proposal is the law itself.
    """
    edges = _edges(aim)
    middles, widths = (edges[1:] + edges[:-1]) / 2, edges.diff()
    inside = (aim.law.density(middles) * widths).sum() / _probability(aim)
    if not abs(float(inside) - 1) < ATOMS:
        t = aim.law.draw(u, aim.t_range)
        return t, coefficient(aim.path, aim.law, aim.weighting, t)
    shares = _shares(aim, errors, middles, widths, generator)
    cumulative = torch.cat([torch.zeros(1, dtype=torch.float64), shares.cumsum(0)])
    piece = torch.searchsorted(cumulative[1:-1].contiguous(), u, right=True)
    t = edges[piece] + ((u - cumulative[piece]) / shares[piece]).clamp(0, 1) * widths[piece]
    return t, _intensity(aim, t) * (widths / shares)[piece]


def _edges(aim: Objective) -> Tensor:
    """The times that cut t_range into bins of equal log-SNR, (BINS + 1,)."""
    ends = torch.tensor(aim.t_range, dtype=torch.float64)
    low, high = log_snr(aim.path, ends).tolist()
    inner = invert_lam(aim.path, torch.linspace(low, high, BINS + 1, dtype=torch.float64)[1:-1])
    return torch.cat([ends[:1], inner.clamp(*aim.t_range), ends[1:]])


def _shares(aim: Objective, errors: Errors, middles: Tensor, widths: Tensor, generator: Generator) -> Tensor:
    """The probability of each bin, (BINS,): mostly the integrand with m from a pilot of a few draws a group of bins."""
    pilot = middles.view(GROUPS, -1)[:, :: BINS // GROUPS // PILOT]
    found = errors(aim.path.at(pilot.flatten()), generator).view(pilot.shape).square().mean(1).sqrt()
    mass = _intensity(aim, middles) * widths
    c = aim.path.at(middles)
    rough = c.sigma if c.process == "masked" else c.alpha**2 / (c.alpha**2 + c.sigma**2)
    guesses = (mass * found.repeat_interleave(BINS // GROUPS), mass * rough, torch.ones_like(mass))
    parts = zip((1 - ROUGH - EVEN, ROUGH, EVEN), guesses, strict=True)
    shares = sum((share * guess / guess.sum().clamp(min=1e-300) for share, guess in parts), torch.zeros_like(mass))
    return shares / shares.sum()


def _intensity(aim: Objective, t: Tensor) -> Tensor:
    """pi(t) c(t) / P(t_range), of t's shape: no division by a density that underflows where a weight is canonical."""
    weight = canonical(aim.path, aim.law, aim.weighting, t) * elbo_coefficient(aim.path.at(t))
    return weight / _probability(aim)


def _probability(aim: Objective) -> float:
    """P(t_range) under the law."""
    low, high = (float(aim.law.cdf(torch.tensor(t, dtype=torch.float64))) for t in aim.t_range)
    return high - low


def _errors(cell: Cell, data: ToyData | ImageData) -> Errors | None:
    """What draws x_t at the times given and says the posterior's error of each, (n,): squared in eps, or nats."""
    if isinstance(data, ToyData):
        return None if data.mixture is None else _mixture_errors(data, data.mixture)
    return _masked_errors(data) if cell.process == "masked" else _image_errors(data)


def _mixture_errors(data: ToyData, law: Mixture) -> Errors:
    def errors(c: Coefficients, generator: Generator) -> Tensor:
        x1 = data.sample(len(c.t), generator, torch.float64)
        eps = torch.randn(x1.shape, generator=generator, dtype=torch.float64)
        x = c.alpha[:, None] * x1 + c.sigma[:, None] * eps
        return law.target_variance(x, c, torch.zeros_like(c.t), torch.ones_like(c.t))

    return errors


def _image_errors(data: ImageData) -> Errors:
    """Against the posterior over the training images of the same class."""
    points, labels = data.points(dtype=torch.float64), data.labels()

    def errors(c: Coefficients, generator: Generator) -> Tensor:
        index = torch.randint(len(points), (len(c.t),), generator=generator)
        eps = torch.randn(len(index), data.dim, generator=generator, dtype=torch.float64)
        x1, alpha, sigma = points[index], c.alpha[:, None], c.sigma[:, None]
        mean = empirical.posterior_mean(alpha * x1 + sigma * eps, points, c, labels[index], labels)
        return (alpha / sigma * (x1 - mean)).square().sum(1)

    return errors


def _masked_errors(data: ImageData) -> Errors:
    tokens, labels = data.tokens(), data.labels()

    def errors(c: Coefficients, generator: Generator) -> Tensor:
        index = torch.randint(len(tokens), (len(c.t),), generator=generator)
        u = torch.rand(len(index), data.dim, generator=generator, dtype=torch.float64)
        z, found = masked.mask(tokens[index], c.alpha, u, data.levels), torch.zeros_like(c.t)
        for label in labels.unique():
            rows = labels[index] == label
            posterior = empirical.masked_posterior(z[rows], tokens[labels == label], data.levels)
            # Shown tokens have no entropy.
            found[rows] = torch.special.entr(posterior).sum((1, 2))
        return found

    return errors
