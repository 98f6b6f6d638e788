r"""Flow matching on the sphere S² and on the flat torus, with a finite data set: exact posteriors, tangent vectors.

A point x_0 of the base law goes to the data point x_1 along their geodesic, at a constant speed of its own,

.. math:: x_t = \exp_{x_1}\big((1-t) \log_{x_1} x_0\big), \qquad u_t(x|x_1) = \frac{\log_x x_1}{1-t} \in T_xM.

In polar coordinates about x_1 that is r = (1 - t) r_0 at a fixed angle, so a base density f gives in closed form

.. math:: p_t(x|x_1) = \frac{f(x_0)}{1-t} \frac{\sin r_0}{\sin r} \;\text{ (sphere, } r_0 = r/(1-t) < \pi), \qquad
          p_t(x|x_1) = \frac{f(x_0)}{(1-t)^2} \;\text{ (torus, each } |\log_x x_1|_i < (1-t)\pi),

and the posterior of the data points follows by Bayes' rule (Chen & Lipman 2024). Points of the sphere are unit vectors
(B, 3), its tangent vectors in the same coordinates; points of the torus are pairs of angles (B, 2). float64.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from reproflow.exact.matching import Problem
from reproflow.numerics import gauss_rules

CONCENTRATION = 20.0
"""Of the sphere's base law, von Mises-Fisher about the north pole: the data's antipodes, where geodesics stop being
unique and p_t has a kink, have a density below 1e-14."""

REACH = 2.2
"""Where the sphere's quadrature stops, in radians from the north pole: the base has less than 1e-13 beyond."""

RIPPLE = 0.6
"""Of the torus's base law, the product of (1 + RIPPLE cos x_i)/(2 pi)."""


class Manifold(Protocol):
    """What the claims need of a manifold; q (Z,) and data (Z, C) are the data law."""

    @property
    def q(self) -> Tensor: ...

    @property
    def data(self) -> Tensor: ...

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        """The tangent vector at x of the geodesic that is at y after time 1, (..., C)."""

    def exp(self, x: Tensor, v: Tensor) -> Tensor:
        """Where the geodesic from x with velocity v is after time 1, (..., C)."""

    def tangent(self, x: Tensor, v: Tensor) -> Tensor:
        """The orthogonal projection of v on the tangent space at x, (..., C)."""

    def density(self, x: Tensor, x1: Tensor, t: float) -> Tensor:
        """p_t(x|x1) per unit of area, for x (..., C) and x1 (..., C), (...)."""

    def base(self, x1: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """Nodes x0 (M, C) and weights (M,) for expectations over the base law; smooth pieces as seen from x1."""

    def grid(self, t: float, n: int) -> tuple[Tensor, Tensor]:
        """Nodes (M, C) and weights (M,) for integrals over the area of what p_t is a factor of."""

    def seen(self, x: Tensor) -> Tensor:
        """What losses see of a point: coordinates without a seam, (..., C)."""

    def chordal_mean(self, posterior: Tensor) -> Tensor:
        """The point that minimises the posterior mean of |x1 - y|² in the flat space around, (B, Z) -> (B, C)."""


@dataclass(frozen=True)
class Sphere:
    """The unit sphere; the base law has density c exp(k x_3) with c = k/(4 pi sinh k)."""

    q: Tensor
    data: Tensor

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        """angle times the unit direction of y - (x.y) x."""
        along = (x * y).sum(-1, keepdim=True)
        across = y - along * x
        angle = torch.atan2(across.norm(dim=-1, keepdim=True), along)
        return across / torch.sinc(angle / math.pi)

    def exp(self, x: Tensor, v: Tensor) -> Tensor:
        """cos|v| x + sin|v| v/|v|."""
        angle = v.norm(dim=-1, keepdim=True)
        return angle.cos() * x + torch.sinc(angle / math.pi) * v

    def tangent(self, x: Tensor, v: Tensor) -> Tensor:
        """v - (x.v) x."""
        return v - (x * v).sum(-1, keepdim=True) * x

    def density(self, x: Tensor, x1: Tensor, t: float) -> Tensor:
        """The closed form at the head of this file, sin r_0/sin r written so that r = 0 is no exception."""
        inward = self.log(x1, x)
        r = inward.norm(dim=-1)
        start = self.exp(x1, inward / (1 - t))
        stretch = torch.sinc(r / (1 - t) / math.pi) / torch.sinc(r / math.pi) / (1 - t) ** 2
        return torch.where(r < (1 - t) * math.pi, _fisher(start) * stretch, 0.0)

    def base(self, x1: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """The grid with the base's density as a factor, whatever x1."""
        x, area = self.grid(0.0, n)
        return x, area * _fisher(x)

    def grid(self, t: float, n: int) -> tuple[Tensor, Tensor]:
        """n Gauss-Legendre nodes in the angle from the north pole, 2n equal ones around it."""
        angle, weights = gauss_rules.legendre_on(0.0, REACH, n)
        around = torch.arange(2 * n, dtype=torch.float64) * (math.pi / n)
        angle, around = (each.flatten() for each in torch.meshgrid(angle, around, indexing="ij"))
        x = torch.stack([angle.sin() * around.cos(), angle.sin() * around.sin(), angle.cos()], -1)
        return x, angle.sin() * weights.repeat_interleave(2 * n) * (math.pi / n)

    def seen(self, x: Tensor) -> Tensor:
        """x itself."""
        return x

    def chordal_mean(self, posterior: Tensor) -> Tensor:
        """The mean in space, scaled to length 1."""
        return torch.nn.functional.normalize(posterior @ self.data, dim=-1)


@dataclass(frozen=True)
class Torus:
    """The flat torus, angles in [-pi, pi); the base law is uniform with a ripple."""

    q: Tensor
    data: Tensor

    def log(self, x: Tensor, y: Tensor) -> Tensor:
        """The differences of the angles, the short way round."""
        return wrap(y - x)

    def exp(self, x: Tensor, v: Tensor) -> Tensor:
        """x + v, wrapped."""
        return wrap(x + v)

    def tangent(self, x: Tensor, v: Tensor) -> Tensor:
        """v: the tangent space is the plane."""
        return v

    def density(self, x: Tensor, x1: Tensor, t: float) -> Tensor:
        """The closed form at the head of this file."""
        inward = self.log(x1, x)
        inside = (inward.abs() < (1 - t) * math.pi).all(-1)
        return torch.where(inside, _ripples(x1 + inward / (1 - t)) / (1 - t) ** 2, 0.0)

    def base(self, x1: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """n Gauss-Legendre nodes an axis, over the square about x1 beyond which the short way round is another."""
        nodes, weights = gauss_rules.legendre_on(-math.pi, math.pi, n)
        x, area = _product([(each + nodes, weights) for each in x1])
        return wrap(x), area * _ripples(x)

    def grid(self, t: float, n: int) -> tuple[Tensor, Tensor]:
        """n Gauss-Legendre nodes an axis between the places where p_t jumps: (1 - t) pi from each data point."""
        reach = (1 - t) * math.pi
        return _product([_pieces(wrap(torch.cat([each - reach, each + reach])), n) for each in self.data.T])

    def seen(self, x: Tensor) -> Tensor:
        """sin x_i, which takes no note of a turn more or less."""
        return x.sin()

    def chordal_mean(self, posterior: Tensor) -> Tensor:
        """The angles of the means of (cos x1_i, sin x1_i)."""
        return torch.atan2(posterior @ self.data.sin(), posterior @ self.data.cos())


@functools.cache
def get_manifold(name: str) -> Manifold:
    """`sphere` or `torus` with four data points. Raises `KeyError` for another name."""
    q = torch.tensor([0.3, 0.2, 0.35, 0.15], dtype=torch.float64)
    around = torch.tensor([[0.7, 0.2], [0.75, 2.0], [0.5, 3.9], [0.3, 5.3]], dtype=torch.float64).T
    on_sphere = torch.stack([around[0].sin() * around[1].cos(), around[0].sin() * around[1].sin(), around[0].cos()], -1)
    angles = torch.tensor([[2.9, -0.4], [-2.5, 1.0], [0.3, -2.8], [1.2, 2.4]], dtype=torch.float64)
    known: dict[str, Manifold] = {"sphere": Sphere(q, on_sphere), "torus": Torus(q, angles)}
    return known[name]


def posterior(manifold: Manifold, x: Tensor, t: float) -> tuple[Tensor, Tensor]:
    """P(x1 = data_z | x_t = x), (B, Z), and p_t(x), (B,); NaN where p_t(x) = 0."""
    joint = manifold.q * manifold.density(x[:, None], manifold.data, t)
    mass = joint.sum(1)
    return joint / mass[:, None], mass


def problem(name: str, times: tuple[float, ...] = (0.15, 0.4, 0.65), n: int = 8) -> Problem:
    """A manifold as a matching problem: z a data point, x as losses see it, target the velocity log_x(x1)/(1 - t).

    n is the `grid`'s at each time, every time with the same weight. Nodes where p_t is 0 are left out.
    """
    manifold = get_manifold(name)
    parts = []
    for time in times:
        x, area = manifold.grid(time, n)
        joint = area[:, None] / len(times) * manifold.q * manifold.density(x[:, None], manifold.data, time)
        kept = joint.sum(1) > 0
        target = manifold.log(x[:, None], manifold.data) / (1 - time)
        parts.append((torch.full_like(area[kept], time), manifold.seen(x[kept]), joint[kept], target[kept]))
    t, x, joint, target = (torch.cat(column) for column in zip(*parts, strict=True))
    return Problem(name, "real", t, x, joint, target)


def wrap(angle: Tensor) -> Tensor:
    """The angle in [-pi, pi)."""
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi


def _fisher(x: Tensor) -> Tensor:
    """The von Mises-Fisher density per unit of area, k exp(k (x_3 - 1)) / (2 pi (1 - exp(-2k)))."""
    k = CONCENTRATION
    return k / (-2 * math.pi * math.expm1(-2 * k)) * (k * (x[..., 2] - 1)).exp()


def _ripples(x: Tensor) -> Tensor:
    return ((1 + RIPPLE * x.cos()) / (2 * math.pi)).prod(-1)


def _pieces(breaks: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights over the circle, a rule between each two neighbouring breaks."""
    ends = breaks.sort().values.tolist()
    rules = [
        gauss_rules.legendre_on(low, high, n)
        for low, high in zip(ends, [*ends[1:], ends[0] + 2 * math.pi], strict=True)
    ]
    nodes, weights = (torch.cat(column) for column in zip(*rules, strict=True))
    return nodes, weights


def _product(axes: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Nodes (M, 2) and weights (M,) of the product of two rules."""
    (a, wa), (b, wb) = axes
    return torch.cartesian_prod(a, b), torch.outer(wa, wb).flatten()
