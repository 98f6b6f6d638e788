r"""A loss asked for in every stretch of a, b and t: what holds elsewhere may fail in a window.

`exact.criterion` draws at random, at ordinary numbers and in the middle of (0, 1). Here every coordinate of a target, a
prediction and the time has its own strata (a Latin hypercube): t in equal steps, and in equal steps of its logarithm
towards both ends; a and b in equal steps of their logarithm, of both signs where they are real, near each other in half
of the rows. So a window is hit that is wider than two strata (`RESOLUTION`).

A residual counts only where it is more than rounding: where the gradient, at numbers moved by three units of the last
digit, moves by less than a thousandth of it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from reproflow.exact.criterion import Finding
from reproflow.judge.divergences import scaled_loss
from reproflow.judge.divergences.scaled_loss import Scaled

ROWS = 16384
ENDS = (1e-6, 1e-4, 1e-2)
"""How near to t = 0 and 1 a loss is asked for: the nearest at which it is finite, and does not underflow."""
SMALLEST = 1e-3
ORDINARY = 50.0
UNDERFLOW = 1e-150
LADDER = 64
MORE = 1e3
RESOLUTION = "2.5e-4 of t, 1 % of the distance from an end and 0.5 % of a or b"


def times(loss: Scaled, domain: str) -> tuple[float, float]:
    """The range of t to be looked at. Raises `UsageError` where the loss is NaN."""
    low, high = (next(end for end in ENDS if end == ENDS[-1] or _good(loss, domain, end, right)) for right in (0, 1))
    return low, 1 - high


def _good(loss: Scaled, domain: str, end: float, right: int) -> bool:
    """Whether loss and gradient are finite from an end inwards, and vanish nowhere by underflow alone."""
    a, b, x = (each.repeat(LADDER, 1) for each in scaled_loss.arguments(domain) if each.ndim == 2)
    ladder = torch.logspace(math.log10(end), math.log10(0.5), LADDER, dtype=torch.float64)
    t = (1 - ladder if right else ladder).repeat_interleave(len(a) // LADDER)
    value, gradient = _with_gradient(loss, a, b, t, x)
    if not bool(value.isfinite().all() and gradient.isfinite().all()):
        return False
    size = gradient.abs().view(LADDER, -1).amax(1)
    some = size[size > 0]
    # By the largest entry: squares of a tiny one would underflow by themselves.
    return bool(size[0] > 0) or not len(some) or float(some.min()) > UNDERFLOW * float(some.max())


def rows(
    domain: str, span: tuple[float, float], largest: float = math.inf
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Targets a, a' and predictions b (ROWS, 3), times (ROWS,), states (ROWS, 3), fractions s (ROWS, 1).

    Numbers reach those of `scaled_loss`, or `largest` where that is less.
    """
    generator = torch.Generator().manual_seed(0)
    shape = (ROWS, scaled_loss.DIMENSION)

    def strata(*columns: int) -> Tensor:
        """Uniform on (0, 1), one in each of ROWS strata, in an order of its own for each column."""
        order = torch.stack([torch.randperm(ROWS, generator=generator) for _ in range(math.prod(columns))], 1)
        within = torch.rand(order.shape, generator=generator, dtype=torch.float64)
        return ((order + within) / ROWS).view(ROWS, *columns)

    largest = min(largest, scaled_loss.LARGEST[domain])
    far, other, b = (_numbers(strata(shape[1]), domain, largest) for _ in range(3))
    reach = 0.01 * 300 ** strata(shape[1])
    sign = torch.where(torch.rand(shape, generator=generator) < 0.5, -1.0, 1.0)
    near = (b * torch.exp(sign * reach)).clamp(1 / largest, largest) if domain == "positive" else b + sign * reach
    near = near.clamp(max=largest)
    half = (torch.arange(ROWS) % 2 == 0)[:, None]
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    return torch.where(half, near, far), other, b, _times(strata(1)[:, 0], span), x, strata(1)


def _numbers(u: Tensor, domain: str, largest: float) -> Tensor:
    if domain == "positive":
        return torch.exp((2 * u - 1) * math.log(largest))
    size = SMALLEST * (largest / SMALLEST) ** (2 * u - 1).abs()
    return torch.where(u < 0.5, -size, size)


def _times(u: Tensor, span: tuple[float, float]) -> Tensor:
    """Half of the times uniform, a quarter by the logarithm of the distance from each end."""
    low, high = span
    first, last = low * (0.5 / low) ** (4 * u), 1 - (1 - high) * (0.5 / (1 - high)) ** (4 * u - 3)
    return torch.where(u < 0.25, first, torch.where(u > 0.75, last, low + (high - low) * (2 * u - 0.5)))


def finite(loss: Scaled, domain: str, span: tuple[float, float]) -> bool:
    """Whether the loss is, at all of these rows."""
    a, _, b, t, x, _ = rows(domain, span)
    return bool(loss(a, b, t, x).isfinite().all())


def affine_in_target(loss: Scaled, domain: str, span: tuple[float, float]) -> Finding:
    """As `criterion.affine_in_target`, over these rows."""
    a, other, b, t, x, s = rows(domain, span)
    middle, noise = _gradient_and_noise(loss, s * a + (1 - s) * other, b, t, x)
    (first, noise_first), (second, noise_second) = (_gradient_and_noise(loss, each, b, t, x) for each in (a, other))
    parts = s * first, (1 - s) * second
    size = middle.norm(dim=1) + parts[0].norm(dim=1) + parts[1].norm(dim=1)
    gap = (middle - parts[0] - parts[1]).norm(dim=1)
    return _worst(gap, size, noise + noise_first + noise_second, a, other, b, t, x)


def stationary_at_target(loss: Scaled, domain: str, span: tuple[float, float]) -> Finding:
    """As `criterion.stationary_at_target`, over rows of ordinary numbers, where log(b + 1e-8) is nearly log(b)."""
    a, other, _, t, x, _ = rows(domain, span, ORDINARY)
    (here, noise), (there, _) = _gradient_and_noise(loss, a, a, t, x), _gradient_and_noise(loss, a, other, t, x)
    return _worst(here.norm(dim=1), here.norm(dim=1) + there.norm(dim=1), noise, a, a, other, t, x)


def _gradient_and_noise(loss: Scaled, a: Tensor, b: Tensor, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """grad_b l (B, D), and how far it moves (B,) where a and b do by three units of the last digit."""
    step = 3 * scaled_loss.EPSILON
    gradient = _with_gradient(loss, a, b, t, x)[1]
    return gradient, (gradient - _with_gradient(loss, a * (1 + step), b * (1 - step), t, x)[1]).norm(dim=1)


def _with_gradient(loss: Scaled, a: Tensor, b: Tensor, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    b = b.detach().clone().requires_grad_()
    value = loss(a, b, t, x)
    return value.detach(), torch.autograd.grad(value.sum(), b)[0]


def _worst(
    gap: Tensor, size: Tensor, noise: Tensor, a: Tensor, other: Tensor, b: Tensor, t: Tensor, x: Tensor
) -> Finding:
    residual = torch.where(gap <= MORE * noise, 0.0, gap / size).nan_to_num(nan=0.0)
    i = int(residual.argmax())
    first, second, prediction, state = (tuple(each[i].tolist()) for each in (a, other, b, x))
    return Finding(float(residual[i]), first, second, prediction, float(t[i]), state)
