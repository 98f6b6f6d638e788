r"""The small exact problem of the loss and path claims: three Gaussians on a line and a network of 31 parameters.

Everything about it has a closed form or a quadrature that converges to rounding: expectations over (component, z, eps)
by Gauss-Hermite, over x by the trapezoid rule (spectrally accurate for smooth, decaying integrands), over t by
Gauss-Legendre.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from reproflow.exact.mixture import Mixture
from reproflow.foundation import registry, seeds
from reproflow.numerics import trapezoid

MIXTURE = Mixture(
    torch.tensor([0.3, 0.45, 0.25], dtype=torch.float64),
    torch.tensor([[-1.5], [0.25], [1.75]], dtype=torch.float64),
    torch.tensor([0.375, 0.25, 0.5], dtype=torch.float64),
)

# Away from the ends: the claims hold at each t, and on the VP path Var(u|x) is not integrable up to t = 1.
T_RANGE = (1e-3, 1 - 1e-3)

HIDDEN = 6
PARAMETERS = 5 * HIDDEN + 1


def gaussian_paths() -> tuple[str, ...]:
    """The names of all registered Gaussian paths."""
    return tuple(entry.name for entry in registry.entries("path", "gaussian"))


def parameters(seed: int) -> Tensor:
    """A random network: theta (31,), standard deviation 1/2, float64."""
    return 0.5 * torch.randn(PARAMETERS, generator=seeds.generator("toy network", seed), dtype=torch.float64)


def network(theta: Tensor, x: Tensor, t: Tensor) -> Tensor:
    """u_theta(x, t) = c + v . tanh(W (x, t, t²) + b), of x's shape; theta = (W (6, 3), b (6), v (6), c)."""
    weight, bias, out, constant = theta.split([3 * HIDDEN, HIDDEN, HIDDEN, 1])
    by_x, by_t, by_square = weight.view(HIDDEN, 3).T
    shift = t[..., None] * by_t + (t**2)[..., None] * by_square + bias
    return torch.tanh(x[..., None] * by_x + shift) @ out + constant


def jacobian(theta: Tensor, x: Tensor, t: Tensor) -> Tensor:
    """d u_theta(x, t) / d theta at points x and times t (N,), (N, 31)."""
    weight, bias, out, _ = theta.split([3 * HIDDEN, HIDDEN, HIDDEN, 1])
    features = torch.stack([x, t, t**2], -1)
    hidden = torch.tanh(features @ weight.view(HIDDEN, 3).T + bias)
    slope = out * (1 - hidden.square())
    by_weight = (slope[..., None] * features[:, None]).flatten(1)
    return torch.cat([by_weight, slope, hidden, torch.ones_like(x)[:, None]], 1)


def difference(f: Callable[[float], Tensor], h: float) -> Tensor:
    """f'(0) by central differences, to order h⁴."""
    return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h)


def second_difference(f: Callable[[float], Tensor], h: float) -> Tensor:
    """f''(0) by central differences, to order h⁴."""
    return (16 * (f(h) + f(-h)) - (f(2 * h) + f(-2 * h)) - 30 * f(0.0)) / (12 * h**2)


def line(n: int, reach: float = 9.0) -> tuple[Tensor, float]:
    """n points of the trapezoid rule on [-reach, reach] as (n, 1), and their spacing."""
    points, spacing = trapezoid.line(n, reach)
    return points[:, None], spacing
