r"""Mean and covariance of one sample's gradient, on the toy problem, by two quadratures.

With J = du_theta(x, t)/dtheta, one sample of conditional and of marginal flow matching has the gradients

.. math:: g_c = 2 J (u_\theta(x, t) - u_t(x|z)), \qquad g_m = 2 J (u_\theta(x, t) - u_t(x)),

t uniform on `three_gaussians.T_RANGE`. Moments of the first are taken over (component, z, eps), where no posterior
occurs, those of the second over x with the mixture's closed marginal velocity. Shapes: (P,) and (P, P); float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from reproflow.exact import three_gaussians
from reproflow.numerics import gauss_rules
from reproflow.theory.paths import Path

TIMES = 8
NODES = 40
"""In each of z and eps: more of them move the moments by rounding only."""
LINE = 401
LEAST = 1e-22


@dataclass(frozen=True)
class Moments:
    """Mean (P,) and covariance (P, P) of a random vector."""

    mean: Tensor
    covariance: Tensor


@dataclass(frozen=True)
class Draws:
    """Places with probabilities p (N,): x, t, the target's mean there, and its variance given the place, (N,) each."""

    p: Tensor
    x: Tensor
    t: Tensor
    target: Tensor
    variance: Tensor


def conditional(path: Path) -> Draws:
    """Draws of (t, component, z, eps): the target is the conditional velocity, without variance."""
    t, lengths = _times()
    nodes, weights = gauss_rules.tensors(gauss_rules.hermite(NODES))
    mixture, c = three_gaussians.MIXTURE, path.at(t)
    z = mixture.means + mixture.stds[:, None] * nodes
    chance = lengths[:, None, None, None] * mixture.weights[:, None, None] * weights[:, None] * weights
    parts = [value[:, None, None, None] for value in (c.alpha, c.sigma, c.dalpha, c.dsigma, t)]
    alpha, sigma, dalpha, dsigma, at = parts
    z, eps = z[:, :, None], nodes
    columns = [value.expand_as(chance) for value in (alpha * z + sigma * eps, at, dalpha * z + dsigma * eps)]
    kept = chance > LEAST
    x, time, target = (column[kept] for column in columns)
    return Draws(chance[kept], x, time, target, torch.zeros_like(x))


def marginal(path: Path) -> Draws:
    """Draws of (t, x): the target is the marginal velocity, its variance that of the conditional one given (t, x)."""
    t, lengths = _times()
    line, spacing = three_gaussians.line(LINE)
    c, x = path.at(t.repeat_interleave(LINE)), line.repeat(TIMES, 1)
    mixture = three_gaussians.MIXTURE
    p = lengths.repeat_interleave(LINE) * spacing * mixture.log_density(x, c).exp()
    return Draws(p, x[:, 0], c.t, mixture.marginal_velocity(x, c)[:, 0], mixture.velocity_variance(x, c))


def moments(draws: Draws, theta: Tensor) -> Moments:
    """Of one draw's gradient 2 J (u_theta - target), at parameters theta (P,)."""
    jacobian = three_gaussians.jacobian(theta, draws.x, draws.t)
    gradients = 2 * jacobian * (three_gaussians.network(theta, draws.x, draws.t) - draws.target)[:, None]
    mean = draws.p @ gradients
    return Moments(mean, (draws.p[:, None] * gradients).T @ gradients - torch.outer(mean, mean))


def conditioning(draws: Draws, theta: Tensor) -> Tensor:
    """4 E[J Var(target | t, x) J'], (P, P)."""
    jacobian = three_gaussians.jacobian(theta, draws.x, draws.t)
    return 4 * (draws.p[:, None] * draws.variance[:, None] * jacobian).T @ jacobian


def _times() -> tuple[Tensor, Tensor]:
    """Times and their probabilities, (T,) each."""
    low, high = three_gaussians.T_RANGE
    t, lengths = gauss_rules.legendre_on(low, high, TIMES)
    return t, lengths / (high - low)
