r"""Flow matching and diffusion on five points of the plane, as matching problems on quadrature nodes.

At time t the point x_t = alpha z + sigma eps is near one of the data z_k with probability q_k, and a target a z + b eps
(a velocity, the data, the noise, a score) is, given x and z, a z + b (x - alpha z)/sigma. Nodes x_j with weights W_j
are those of Gauss and Hermite for the Gaussian g with the mean and the mean variance of x_t, hence the joint weights

.. math:: J_{jk} = W_j\, q_k\, N(x_j; \alpha z_k, \sigma^2 I) / g(x_j),

which sum to q_k over j as their number grows. The identities of matching hold for any nodes at all. float64.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from reproflow.exact.matching import Problem
from reproflow.numerics import gauss_rules
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.paths import forward_path
from reproflow.theory.targets import get_target

POINTS = ((-1.4, 0.3), (-0.2, 1.1), (0.5, -0.9), (1.2, 0.8), (0.1, -0.1))
PRIOR = (0.3, 0.15, 0.25, 0.2, 0.1)
TIMES = (0.05, 0.7)
"""Where times lie by default: a score is 1/sigma large, and exponential losses of it need sigma not too small."""


def problem(target: str = "velocity", path: str = "linear", t: Tensor | None = None, nodes: int = 7) -> Problem:
    """The matching problem of a registered Gaussian target and path at times (T,), with nodes² points x at each.

    By default eight times from 0.05 to 0.7. Raises `UsageError` for an unknown target or path.
    """
    t = torch.linspace(*TIMES, 8, dtype=torch.float64) if t is None else t
    z, prior = points(), torch.tensor(PRIOR, dtype=torch.float64)
    c = forward_path(path).at(t)
    x, weight = _nodes(z, prior, c, nodes)
    eps = (x[:, :, None] - _over(c.alpha) * z) / _over(c.sigma)
    log_density = -0.5 * eps.square().sum(-1) - 2 * c.sigma.log()[:, None, None] - math.log(2 * math.pi)
    joint = weight[..., None] * prior * log_density.exp()
    a, b = get_target(target).coefficients(c)
    value = _over(a) * z + _over(b) * eps
    process = "flow" if target == "velocity" else "diffusion"
    return Problem(process, "real", t.repeat_interleave(nodes**2), *(each.flatten(0, 1) for each in (x, joint, value)))


def points() -> Tensor:
    """The data, (5, 2)."""
    return torch.tensor(POINTS, dtype=torch.float64)


def _nodes(z: Tensor, prior: Tensor, c: Coefficients, n: int) -> tuple[Tensor, Tensor]:
    """Nodes (T, n², 2) and their weights W/g (T, n²)."""
    roots, weights = gauss_rules.tensors(gauss_rules.hermite(n))
    grid, mass = torch.cartesian_prod(roots, roots), torch.cartesian_prod(weights, weights).prod(1)
    mean = prior @ z
    spread = (prior @ (z - mean).square()).mean()
    scale = (c.alpha**2 * spread + c.sigma**2).sqrt()[:, None]
    density = torch.exp(-0.5 * grid.square().sum(1)) / (2 * math.pi * scale**2)
    return c.alpha[:, None, None] * mean + scale[..., None] * grid, mass / density


def _over(coefficient: Tensor) -> Tensor:
    """(T,) as (T, 1, 1, 1)."""
    return coefficient[:, None, None, None]
