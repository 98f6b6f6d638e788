"""How Gaussian networks are measured: the irreducible loss and the cascade of bounds."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from reproflow.evaluation.bound_cascade.gaussian import Gaussian
from reproflow.evaluation.bound_cascade.subject import SUBJECTS
from reproflow.evaluation.irreducible_loss import STRATA, Strata, edges_of, intensity
from reproflow.exact import empirical
from reproflow.exact.mixture import Mixture
from reproflow.learning.data import ImageData, ToyData
from reproflow.learning.training.batches import TrainingLoss
from reproflow.theory.coefficients import Coefficients

DRAWS = 1024
"""Draws a replicate of the irreducible loss."""

Errors = Callable[[Coefficients, Generator], Tensor]


@SUBJECTS.register("gaussian")
def cascade() -> type[Gaussian]:
    """A network compared with its training set."""
    return Gaussian


@STRATA.register("gaussian")
def strata(aim: TrainingLoss, data: ToyData | ImageData) -> Strata:
    """Bins of time; a law with atoms has no density, and is one stratum that is drawn from."""
    errors = _image_errors(data) if isinstance(data, ImageData) else _mixture_errors(data)
    edges = edges_of(aim)
    if edges is None:

        def drawn(chosen: Tensor, u: Tensor, generator: Generator) -> Tensor:
            t = aim.objective.time.draw(u, aim.t_range)
            return aim.objective.coefficient(t) * errors(aim.objective.path.at(t), generator)

        return Strata(torch.ones(1, dtype=torch.float64), drawn, DRAWS)

    def term(chosen: Tensor, u: Tensor, generator: Generator) -> Tensor:
        t = edges[chosen] + u * edges.diff()[chosen]
        return intensity(aim, t) * edges.diff()[chosen] * errors(aim.objective.path.at(t), generator)

    t = (edges[1:] + edges[:-1]) / 2
    alpha, sigma = aim.objective.path(t)
    return Strata(intensity(aim, t) * edges.diff() * alpha**2 / (alpha**2 + sigma**2), term, DRAWS)


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
