r"""Regressions on the toy problem: the conditional and the marginal loss of one target, by two quadratures.

A function f(x, t) is regressed on the target y = a_t z + b_t eps (velocity, score, ..), with a loss l and a weight,

.. math:: L_c = E[w\, l(f(x, t), y)], \qquad L_m = E[E[w|x]\, l(f(x, t), E[y|x])], \qquad C = E[w\, Var(y|x)],

the first by Gauss-Hermite over (component, z, eps), where no posterior occurs, the other two by the trapezoid rule over
x with the mixture's closed posterior moments. All are values at given times, (T,).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from reproflow.exact import three_gaussians
from reproflow.numerics import gauss_rules
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.paths import Path
from reproflow.theory.targets import Target, get_target

NODES = {"t": 8, "z": 64, "x": 401}
"""Quadrature nodes in t, in each of z and eps, and in x: doubling any of them moves the gaps by rounding only."""

LEAST = 1e-24
"""Pairs of nodes of less weight than this are left out: their sum is below rounding, and they are half of all."""

Function = Callable[[Tensor, Tensor], Tensor]
"""f(x, t), of the shape that x and t have together."""


def squared(prediction: Tensor, target: Tensor) -> Tensor:
    """(prediction - target)², elementwise."""
    return (prediction - target).square()


def absolute(prediction: Tensor, target: Tensor) -> Tensor:
    """|prediction - target|, elementwise."""
    return (prediction - target).abs()


@dataclass(frozen=True)
class Nodes:
    """Where the conditional loss is evaluated: t (T, 1, 1), component (M, 1), z and eps (M, P), (P,), x (T, M, P)."""

    t: Tensor
    component: Tensor
    eps: Tensor
    x: Tensor


@dataclass(frozen=True)
class Weight:
    """A weight at the nodes, and its posterior mean E[w|x] as a function of x (N, 1) and c at (N,), of shape (N,)."""

    at: Callable[[Nodes], Tensor]
    mean: Callable[[Tensor, Coefficients], Tensor]


ONE = Weight(lambda nodes: torch.ones_like(nodes.x), lambda x, c: torch.ones_like(c.t))


def of_state(w: Callable[[Tensor, Tensor], Tensor]) -> Weight:
    """A weight w(t, x) of time and state, which is its own posterior mean."""
    return Weight(lambda nodes: w(nodes.t, nodes.x), lambda x, c: w(c.t, x[:, 0]))


def of_component(values: tuple[float, ...] = (0.25, 1.0, 2.0)) -> Weight:
    """A weight of the component that z came from: not a function of (t, x)."""
    table = torch.tensor(values, dtype=torch.float64)
    return Weight(
        lambda nodes: table[nodes.component], lambda x, c: three_gaussians.MIXTURE.responsibilities(x, c) @ table
    )


def of_noise() -> Weight:
    """The weight eps²: not a function of (t, x)."""

    def mean(x: Tensor, c: Coefficients) -> Tensor:
        zero, one = torch.zeros_like(c.t), torch.ones_like(c.t)
        first = three_gaussians.MIXTURE.target_mean(x, c, zero, one)[:, 0]
        return first.square() + three_gaussians.MIXTURE.target_variance(x, c, zero, one)

    return Weight(lambda nodes: nodes.eps.square(), mean)


@dataclass(frozen=True)
class Regression:
    """Regression on a target. `mean(x, c)` stands for E[y|x], (N, 1); without it, the mixture's own posterior mean."""

    target: Target
    loss: Callable[[Tensor, Tensor], Tensor] = squared
    weight: Weight = ONE
    mean: Callable[[Tensor, Coefficients], Tensor] | None = None

    def conditional(self, f: Function, c: Coefficients) -> Tensor:
        """L_c at each time of c (T,)."""
        nodes, weights = gauss_rules.tensors(gauss_rules.hermite(NODES["z"]))
        pairs = weights[:, None] * weights
        first, second = (pairs > LEAST).nonzero(as_tuple=True)
        z = three_gaussians.MIXTURE.means + three_gaussians.MIXTURE.stds[:, None] * nodes[first]
        eps = nodes[second]
        x = _over(c.alpha) * z + _over(c.sigma) * eps
        y = self.target.of(z.expand_as(x), eps.expand_as(x), c)
        at = Nodes(_over(c.t), torch.arange(len(z))[:, None], eps, x)
        joint = three_gaussians.MIXTURE.weights[:, None] * pairs[first, second]
        return (joint * self.weight.at(at) * self.loss(f(x, at.t), y)).sum((1, 2))

    def marginal(self, f: Function, c: Coefficients) -> Tensor:
        """L_m at each time of c (T,)."""
        x, each, density = _line(c)
        mean = self.mean or (lambda x, c: three_gaussians.MIXTURE.target_mean(x, c, *self.target.coefficients(c)))
        loss = self.weight.mean(x, each) * self.loss(f(x[:, 0], each.t), mean(x, each)[:, 0])
        return (density * loss).view(len(c.t), -1).sum(1)

    def floor(self, c: Coefficients) -> Tensor:
        """C = E Var(y|x), what no f goes below, at each time of c (T,); for weights of (t, x)."""
        x, each, density = _line(c)
        variance = three_gaussians.MIXTURE.target_variance(x, each, *self.target.coefficients(each))
        return (density * self.weight.mean(x, each) * variance).view(len(c.t), -1).sum(1)


def gaps(
    regression: Regression, path: Path, seed: int, in_time: Callable[[Coefficients], Tensor] | None = None
) -> tuple[float, float]:
    """Relative gaps of grad L_m from grad L_c, and of L_m + C from L_c, at a random network.

    Integrated over `toy.T_RANGE`, with the weight in_time(c), 1 without it.
    """
    t, weights = gauss_rules.legendre_on(*three_gaussians.T_RANGE, NODES["t"])
    theta, c = three_gaussians.parameters(seed).requires_grad_(), path.at(t)
    weights = weights * in_time(c) if in_time else weights
    f = partial(three_gaussians.network, theta)
    conditional, marginal = ((weights * loss(f, c)).sum() for loss in (regression.conditional, regression.marginal))
    g_conditional, g_marginal = (torch.autograd.grad(loss, theta)[0] for loss in (conditional, marginal))
    constant = (conditional - marginal - (weights * regression.floor(c)).sum()).abs() / conditional
    return float((g_marginal - g_conditional).norm() / g_conditional.norm()), float(constant.detach())


def gradients(regression: Regression, path: Path, seed: int) -> tuple[Coefficients, Tensor, Tensor]:
    """The quadrature times of `toy.T_RANGE`, and the gradients of L_c and L_m at each, times its weight, (T, P)."""
    times, weights = gauss_rules.legendre_on(*three_gaussians.T_RANGE, NODES["t"])
    theta = three_gaussians.parameters(seed).requires_grad_()
    f = partial(three_gaussians.network, theta)
    rows: tuple[list[Tensor], list[Tensor]] = ([], [])
    for t, weight in zip(times, weights, strict=True):
        for loss, row in zip((regression.conditional, regression.marginal), rows, strict=True):
            row.append(weight * torch.autograd.grad(loss(f, path.at(t[None])).sum(), theta)[0])
    return path.at(times), torch.stack(rows[0]), torch.stack(rows[1])


def prior_mean(name: str) -> Callable[[Tensor, Coefficients], Tensor]:
    """A wrong E[y|x]: the target at z = E z and the eps that this leaves of x, so the prior mean for the posterior."""

    def mean(x: Tensor, c: Coefficients) -> Tensor:
        z = (three_gaussians.MIXTURE.weights @ three_gaussians.MIXTURE.means).expand_as(x)
        return get_target(name).of(z, (x - c.alpha[:, None] * z) / c.sigma[:, None], c)

    return mean


def _line(c: Coefficients) -> tuple[Tensor, Coefficients, Tensor]:
    """Points of the trapezoid rule for every time, (T X, 1), the coefficients there and p_t(x) dx, (T X,)."""
    points, spacing = three_gaussians.line(NODES["x"])
    x, each = points.repeat(len(c.t), 1), c.map(lambda value: value.repeat_interleave(len(points)))
    return x, each, spacing * three_gaussians.MIXTURE.log_density(x, each).exp()


def _over(coefficient: Tensor) -> Tensor:
    return coefficient[:, None, None]
