r"""Toy laws in the plane whose density is known, each of about unit variance per coordinate.

=================  ===============================================================================================
eight_gaussians    mean of N(r e_k, s² I), e_k at the angles k pi/4; r² / 2 + s² = 1
checkerboard       uniform on the 8 dark cells of a 4 x 4 board over [-a, a]²; a² / 3 = 1
two_moons          N(arc(theta), s² I) with theta uniform on two half circles; each axis scaled to unit variance
pinwheel           five arms N((m, 0), diag(s_r², s_t²)), turned by 2 pi k/5 + |x|; (m² + s_r² + s_t²) / 2 = 1
=================  ===============================================================================================

A turn x -> R(phi(|x|)) x whose angle depends on the radius only keeps areas (its Jacobian determinant is 1), hence the
pinwheel has a density; the usual one, turned by an angle of the unrotated first coordinate, has none in closed form.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from reproflow.exact.mixture import Mixture
from reproflow.foundation import seeds
from reproflow.learning.data.base import dataset
from reproflow.learning.data.points import ToyData
from reproflow.numerics import gauss_rules

TEST_POINTS = 4096
DOUBLE = torch.float64
SIZES = {"held_out": TEST_POINTS, "dim": 2, "classes": 0}


@dataset("eight_gaussians", cite="Grathwohl et al. 2019", sizes=SIZES)
def eight_gaussians() -> ToyData:
    """Eight round modes on a circle, 5 standard deviations apart."""
    std = 0.2
    radius = math.sqrt(2 * (1 - std**2))
    angles = torch.arange(8, dtype=DOUBLE) * (math.pi / 4)
    means = radius * torch.stack([angles.cos(), angles.sin()], -1)
    law = Mixture(torch.full((8,), 1 / 8, dtype=DOUBLE), means, torch.full((8,), std, dtype=DOUBLE))

    def draw(n: int, generator: Generator) -> Tensor:
        return means[torch.randint(8, (n,), generator=generator)] + std * _normal(n, generator)

    def log_density(x: Tensor) -> Tensor:
        return _mean_of_gaussians(x, means, std)

    return _toy("eight_gaussians", draw, log_density, mixture=law)


@dataset("checkerboard", cite="Grathwohl et al. 2019", sizes=SIZES)
def checkerboard() -> ToyData:
    """Uniform on every second cell of a 4 x 4 board: a density with jumps, zero outside (log density -inf)."""
    half = math.sqrt(3.0)
    cell = half / 2
    entropy = math.log(8 * cell**2)

    def draw(n: int, generator: Generator) -> Tensor:
        column = torch.randint(4, (n,), generator=generator)
        row = 2 * torch.randint(2, (n,), generator=generator) + column % 2
        inside = torch.rand(n, 2, generator=generator, dtype=DOUBLE)
        return (torch.stack([column, row], -1) + inside) * cell - half

    def log_density(x: Tensor) -> Tensor:
        index = ((x + half) / cell).floor()
        dark = (index.sum(-1) % 2 == 0) & ((index >= 0) & (index < 4)).all(-1)
        return torch.where(dark, torch.tensor(-entropy, dtype=x.dtype), -math.inf)

    return _toy("checkerboard", draw, log_density, entropy=entropy)


@dataset("two_moons", cite="Pedregosa et al. 2011", sizes=SIZES)
def two_moons() -> ToyData:
    """Two interleaved half circles, blurred by N(0, 0.1² I) before each axis is scaled to unit variance.

    The density is the arc average of a Gaussian, by Gauss-Legendre quadrature: its log is right to 1e-9 where |x| < 8.
    """
    std = 0.1
    centre = torch.tensor([0.5, 0.25], dtype=DOUBLE)
    # Var of (cos, 1 - cos) and of (sin, 1/2 - sin) over both arcs, from E sin = 2/pi and E sin² = E cos² = 1/2.
    scale = torch.tensor([0.75 + std**2, 0.5625 - 1 / math.pi + std**2], dtype=DOUBLE).sqrt()
    nodes, weights = gauss_rules.legendre_on(0, math.pi, 160)
    centres = torch.cat([_moon(nodes, torch.zeros(1)), _moon(nodes, torch.ones(1))])
    log_weights = (torch.cat([weights, weights]) / (2 * math.pi)).log()

    def draw(n: int, generator: Generator) -> Tensor:
        which = torch.randint(2, (n,), generator=generator)
        angle = math.pi * torch.rand(n, generator=generator, dtype=DOUBLE)
        return (_moon(angle, which) + std * _normal(n, generator) - centre) / scale

    def log_density(x: Tensor) -> Tensor:
        unscaled = (x.double() * scale + centre).reshape(-1, 2)
        parts = [_log_mixture(part, centres, std, log_weights) for part in unscaled.split(1024)]
        return (torch.cat(parts) + scale.log().sum()).reshape(x.shape[:-1]).to(x.dtype)

    return _toy("two_moons", draw, log_density)


@dataset("pinwheel", cite="Johnson et al. 2016, with the twist depending on the radius", sizes=SIZES)
def pinwheel() -> ToyData:
    """Five arms that wind by one radian per unit of radius."""
    radial, tangential, arms = 0.4, 0.13, 5
    mean = torch.tensor([math.sqrt(2 - radial**2 - tangential**2), 0.0], dtype=DOUBLE)
    std = torch.tensor([radial, tangential], dtype=DOUBLE)
    angles = torch.arange(arms, dtype=DOUBLE) * (2 * math.pi / arms)

    def draw(n: int, generator: Generator) -> Tensor:
        angle = angles[torch.randint(arms, (n,), generator=generator)]
        arm = mean + std * _normal(n, generator)
        return _rotate(arm, angle + arm.norm(dim=-1))

    def log_density(x: Tensor) -> Tensor:
        x64 = x.double().unsqueeze(-2)
        arm = (_rotate(x64, -(angles + x64.norm(dim=-1))) - mean) / std
        per_arm = -0.5 * arm.square().sum(-1) - (2 * math.pi * std.prod() * arms).log()
        return per_arm.logsumexp(-1).to(x.dtype)

    return _toy("pinwheel", draw, log_density)


def quadrature_entropy(log_density: Callable[[Tensor], Tensor], half: float = 5.0, n: int = 200) -> float:
    """-int p log p in nats, by the trapezoid rule on [-half, half]² (to 1e-8 for the blurred laws here)."""
    axis = torch.linspace(-half, half, n, dtype=DOUBLE)
    cell = float(axis[1] - axis[0]) ** 2
    rows = (log_density(torch.stack([x.expand(n), axis], -1)) for x in axis)
    return cell * sum(float(-(row.exp() * row).sum()) for row in rows)


def _toy(
    name: str,
    draw: Callable[[int, Generator], Tensor],
    log_density: Callable[[Tensor], Tensor],
    entropy: float | None = None,
    mixture: Mixture | None = None,
) -> ToyData:
    test = draw(TEST_POINTS, seeds.generator("held-out points", name))
    entropy = quadrature_entropy(log_density) if entropy is None else entropy
    return ToyData(name, draw, log_density, entropy, test, mixture)


def _normal(n: int, generator: Generator) -> Tensor:
    return torch.randn(n, 2, generator=generator, dtype=DOUBLE)


def _moon(angle: Tensor, which: Tensor) -> Tensor:
    """Points (n, 2) of the upper (`which` 0) or lower (1) half circle at these angles (n,)."""
    upper = torch.stack([angle.cos(), angle.sin()], -1)
    lower = torch.stack([1 - angle.cos(), 0.5 - angle.sin()], -1)
    return torch.where(which.bool().unsqueeze(-1), lower, upper)


def _rotate(x: Tensor, angle: Tensor) -> Tensor:
    """x (..., 2) turned by angle (...)."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([cos * x[..., 0] - sin * x[..., 1], sin * x[..., 0] + cos * x[..., 1]], -1)


def _mean_of_gaussians(x: Tensor, means: Tensor, std: float) -> Tensor:
    log_weights = torch.full((len(means),), -math.log(len(means)), dtype=DOUBLE)
    return _log_mixture(x.double(), means, std, log_weights).to(x.dtype)


def _log_mixture(x: Tensor, means: Tensor, std: float, log_weights: Tensor) -> Tensor:
    """log of sum_k w_k N(x; means_k, std² I): x (..., 2), means (K, 2) -> (...)."""
    square = (x.unsqueeze(-2) - means).square().sum(-1)
    return (log_weights - 0.5 * square / std**2 - math.log(2 * math.pi * std**2)).logsumexp(-1)
