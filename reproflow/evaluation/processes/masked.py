"""How masked networks are measured: the irreducible loss and the cascade of bounds."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from reproflow.evaluation.bound_cascade.masked import Masked
from reproflow.evaluation.bound_cascade.subject import SUBJECTS
from reproflow.evaluation.irreducible_loss import STRATA, Strata, edges_of, intensity
from reproflow.exact import empirical
from reproflow.learning.data import ImageData, ToyData
from reproflow.learning.training.batches import TrainingLoss
from reproflow.theory.admission import midpoints

DRAWS = 256
"""Draws a replicate of the irreducible loss: the posterior over the training set is expensive."""


@SUBJECTS.register("masked")
def cascade() -> type[Masked]:
    """A network compared with its training set."""
    return Masked


@STRATA.register("masked")
def strata(aim: TrainingLoss, data: ToyData | ImageData) -> Strata:
    """n = 1 .. D tokens hidden."""
    assert isinstance(data, ImageData)
    weights, tokens, labels = _count_weights(aim, data.dim), data.tokens(), data.labels()

    def term(chosen: Tensor, u: Tensor, generator: Generator) -> Tensor:
        index = torch.randint(len(tokens), chosen.shape, generator=generator)
        ranks = torch.rand(len(index), data.dim, generator=generator).argsort(-1).argsort(-1)
        z = torch.where(ranks <= chosen[:, None], data.levels, tokens[index])
        return weights[chosen] * _entropies(z, labels[index], tokens, labels, data.levels)

    return Strata(weights * torch.arange(1, data.dim + 1), term, DRAWS)


def _count_weights(aim: TrainingLoss, dim: int) -> Tensor:
    """W_n for n = 1 .. D, (D,), by the midpoint rule."""
    edges = edges_of(aim)
    if edges is None:
        t = midpoints(aim.objective.time, aim.t_range)
        weight = aim.objective.coefficient(t) / len(t)
    else:
        t = (edges[1:] + edges[:-1]) / 2
        weight = intensity(aim, t) * edges.diff()
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
