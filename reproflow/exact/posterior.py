r"""Which point of a finite data set is behind what is seen: the posterior over the points themselves.

For N points z_n, equally likely, of which only those of the right class count,

.. math:: q(z_n|x) \propto \exp(-|x - \alpha z_n|^2/2\sigma^2)  \quad\text{(Gaussian)}, \qquad
          q(z_n|z) \propto 1[z_n \text{ agrees with every token that is shown}]  \quad\text{(masked)}.

It is the optimal decoder of 001 (ST-1) and gives the density of x_t, a mixture, as well. `empirical` has the means of
this posterior without an array of (B, N); here that array is what is asked for.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def log_kernel(x: Tensor, points: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """log N(x; alpha z_n, sigma² I) in nats, (B, N) float64: x (B, D), points (N, D), alpha and sigma (B,) or (1,)."""
    x, points = x.double(), points.double()
    centre = points.mean(0)
    # |x - alpha z|² does not change when the data move by m and x by alpha m; centred, fewer digits cancel.
    moved, near = x - alpha.reshape(-1, 1) * centre, points - centre
    square = moved.square().sum(1, keepdim=True) - 2 * alpha.reshape(-1, 1) * (moved @ near.T)
    square = (square + alpha.reshape(-1, 1) ** 2 * near.square().sum(1)).clamp(min=0)
    sigma = sigma.reshape(-1, 1)
    return -0.5 * square / sigma**2 - x.shape[1] * (sigma.log() + 0.5 * math.log(2 * math.pi))


def of_class(values: Tensor, y: Tensor, labels: Tensor) -> Tensor:
    """(B, N) values with those of other classes at -inf: y (B,), labels (N,)."""
    return values.masked_fill(y[:, None] != labels, -torch.inf)


def log_marginal(kernel: Tensor) -> Tensor:
    """log of the mean over the points that count (those above -inf) of exp(kernel): (B, N) -> (B,), in nats."""
    return kernel.logsumexp(1) - (kernel > -torch.inf).sum(1).double().log()


def agreeing(tokens: Tensor, points: Tensor, vocabulary: int) -> Tensor:
    """Whether point n agrees with every token that is shown, (B, N) bool: tokens (B, D) in 0..V, points in 0..V-1."""
    shown = F.one_hot(tokens, vocabulary + 1)[..., :vocabulary].flatten(1).float()
    hits = shown @ F.one_hot(points, vocabulary).flatten(1).float().T
    return hits == (tokens != vocabulary).sum(1, keepdim=True)
