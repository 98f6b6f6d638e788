"""A flow with a closed density, and small networks of random weights, for the tests of likelihoods."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from reproflow.foundation import names
from reproflow.foundation.config import Model
from reproflow.learning import data
from reproflow.learning.networks.builders import initialise
from reproflow.learning.networks.denoiser import GaussianDenoiser
from reproflow.learning.networks.heads import head_for
from reproflow.theory.paths import get_path
from reproflow.theory.targets import get_target

DOUBLE = torch.float64
CPU = torch.device("cpu")
PATHS = [known.name for known in names.known() if (known.kind, known.process) == ("path", "gaussian")]
MEAN = torch.tensor([0.7, -0.4], dtype=DOUBLE)
STD = torch.tensor([0.3, 1.4], dtype=DOUBLE)
TURN = torch.linalg.qr(torch.tensor([[1.0, 0.6], [-0.3, 1.0]], dtype=DOUBLE)).Q


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class GaussianFlow:
    """The marginal velocity of data N(mean, Q diag(std²) Q'), from Gaussian regression."""

    device = CPU
    head = SimpleNamespace(kind="gaussian")

    def __init__(self, path: str = "linear") -> None:
        self.path = get_path(path)

    def velocity(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        c = self.path.at(t.double()).map(lambda value: value[:, None])
        z = (x - c.alpha * MEAN) @ TURN
        # E[u | x] = mean of u + Cov(u, x) Var(x)^-1 (x - mean of x), in the axes of the data.
        covariance = c.dalpha * c.alpha * STD**2 + c.dsigma * c.sigma
        return c.dalpha * MEAN + (covariance / self.spread(c.alpha, c.sigma) ** 2 * z) @ TURN.T

    @staticmethod
    def spread(alpha: Tensor, sigma: Tensor) -> Tensor:
        return (alpha**2 * STD**2 + sigma**2).sqrt()

    def nll(self, x: Tensor, t_range: tuple[float, float]) -> np.ndarray:
        """From N(0, s² I) the flow is affine: the distance to the mean, over the spread, stays what it was."""
        (a0, s0), (a1, s1) = (self.path(torch.tensor(t, dtype=DOUBLE)) for t in t_range)
        ratio = self.spread(a0, s0) / self.spread(a1, s1)
        start = a0 * MEAN @ TURN + ((x - a1 * MEAN) @ TURN) * ratio
        return -stats.norm.logpdf(start.numpy(), scale=math.hypot(a0, s0)).sum(1) - float(ratio.log().sum())


def network(target: str, scale: float, dataset: str = "digits8") -> GaussianDenoiser:
    """A small network of random weights, those of the last layer with this deviation (a fresh one is silent)."""
    head = head_for(data.get_dataset(dataset), "gaussian", target, Model(width=16, depth=1))
    made = initialise(head.architecture, [("test",)]).requires_grad_(False)
    made.weights[-1].data.normal_(0, scale, generator=generator(0))
    return GaussianDenoiser(made, head, get_path("cosine"), get_target(target))
