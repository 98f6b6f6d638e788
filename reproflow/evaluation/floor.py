"""The irreducible loss of a cell: what its objective leaves when the network is the exact posterior.

For a Gaussian mixture, and for a finite data set, the posterior is known; elsewhere the floor is NaN. It is in the
units of the training loss (the objective's scale, per dimension), so that a learning curve can be drawn over it. Over
a finite training set it is the loss of a network that has memorised the set.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from reproflow.exact import empirical
from reproflow.exact.mixture import Mixture
from reproflow.foundation import seeds
from reproflow.foundation.config import Experiment
from reproflow.foundation.grid import Cell
from reproflow.learning.data import ImageData, ToyData
from reproflow.learning.training.draws import objective
from reproflow.theory.canonical import coefficient
from reproflow.theory.paths import Coefficients
from reproflow.theory.processes import masked
from reproflow.theory.times import stratify

DRAWS = 4096


def floor(cell: Cell, experiment: Experiment, data: ToyData | ImageData) -> float:
    """The irreducible loss by Monte Carlo with fixed draws, equal for all cells of a data set and process; or NaN."""
    aim = objective(cell, experiment, data.levels if isinstance(data, ImageData) else 0)
    u = stratify(torch.rand(DRAWS, generator=seeds.generator("floor time"), dtype=torch.float64))
    t = aim.law.draw(u, experiment.training.t_range)
    weight = coefficient(aim.path, aim.law, aim.weighting, t) / (aim.scale * data.dim)
    noise = seeds.generator("floor noise", cell.process, cell.dataset)
    if isinstance(data, ImageData):
        return _image_floor(data, aim.path.at(t), weight, cell.process, noise)
    if data.mixture is None:
        return math.nan
    x1 = data.sample(DRAWS, noise, torch.float64)
    eps = torch.randn(x1.shape, generator=noise, dtype=torch.float64)
    law = Mixture(data.mixture.weights, data.mixture.means, data.mixture.stds)
    return float(empirical.gaussian_floor(law.posterior_mean, x1, eps, aim.path.at(t), weight))


def _image_floor(data: ImageData, c: Coefficients, weight: Tensor, process: str, noise: torch.Generator) -> float:
    """Against the posterior over the training images of the same class."""
    index = torch.randint(len(data.train), (DRAWS,), generator=noise)
    labels, y = data.labels(), data.labels()[index]
    if process == "masked":
        tokens, x1 = data.tokens(), data.tokens()[index]
        z = masked.mask(x1, c.alpha, torch.rand(x1.shape, generator=noise, dtype=torch.float64), data.levels)

        def posterior(z: Tensor) -> Tensor:
            return empirical.masked_posterior(z, tokens, data.levels, y, labels)

        return float(empirical.masked_floor(posterior, x1, z, weight))
    points = data.points(dtype=torch.float64)
    eps = torch.randn(DRAWS, data.dim, generator=noise, dtype=torch.float64)

    def mean(x: Tensor, c: Coefficients) -> Tensor:
        return empirical.posterior_mean(x, points, c, y, labels)

    return float(empirical.gaussian_floor(mean, points[index], eps, c, weight))
