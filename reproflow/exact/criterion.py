r"""Is a loss a Bregman divergence? Its gradient in the prediction must be affine in the target, and vanish there.

For a loss l(a, b; t, x) with a continuous gradient in b, the gradients of conditional and marginal loss agree for every
law of targets exactly when

.. math:: \nabla_b l(s a + (1-s) a', b) = s \nabla_b l(a, b) + (1-s) \nabla_b l(a', b),

and if b = a is moreover its unique minimiser, then l is a Bregman divergence plus a function of a (Banerjee et al.
2005). Each test draws targets and predictions at distances from 0.01 to 6 (positive ones: ratios), since a loss may be
quadratic near by only (Huber) or differ from an affine one only across b (L1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from reproflow.exact.matching import Loss
from reproflow.foundation import seeds

SAMPLES = 2000
DIMENSION = 3

AFFINE = 1e-9
"""Residuals of affine gradients stay below, rounding included; of others, found by `affine_in_target`, far above."""


@dataclass(frozen=True)
class Finding:
    """The largest relative residual of a test and the point where it is: targets, prediction, time and state."""

    residual: float
    a: tuple[float, ...]
    other: tuple[float, ...]
    b: tuple[float, ...]
    t: float
    x: tuple[float, ...]


def affine_in_target(loss: Loss, domain: str = "real", dim: int = DIMENSION, seed: int = 0) -> Finding:
    """How far grad_b l(a, b; t, x) is from affine in a: the largest relative residual of the equation above.

    At most `AFFINE` exactly for losses whose conditional and marginal gradients agree; Bregman divergences are those of
    them that also pass the two tests below. `domain` is `real` or `positive`. A gradient that is not finite counts as
    an infinite residual.
    """
    a, other, b, t, x, s = _draw(domain, dim, seed)
    middle = _gradient(loss, s * a + (1 - s) * other, b, t, x)
    parts = s * _gradient(loss, a, b, t, x), (1 - s) * _gradient(loss, other, b, t, x)
    size = middle.norm(dim=1) + parts[0].norm(dim=1) + parts[1].norm(dim=1)
    return _worst((middle - parts[0] - parts[1]).norm(dim=1), size, a, other, b, t, x)


def stationary_at_target(loss: Loss, domain: str = "real", dim: int = DIMENSION, seed: int = 0) -> Finding:
    """How far grad_b l(a, b; t, x) is from zero at b = a, relative to its size at another prediction.

    Affine alone is not enough: a loss that is not stationary at the truth has gradients that agree, at a wrong minimum.
    """
    a, _, b, t, x, _ = _draw(domain, dim, seed)
    here, there = _gradient(loss, a, a, t, x).norm(dim=1), _gradient(loss, a, b, t, x).norm(dim=1)
    return _worst(here, here + there, a, a, b, t, x)


def least_curvature(loss: Loss, domain: str = "real", dim: int = DIMENSION, seed: int = 0) -> float:
    """The least eigenvalue of the Hessian of l in b at b = a over the largest size of one, the least over the draws.

    Positive where the truth is an isolated minimum; 0 where predictions next to it do as well; negative where it is not
    a minimum: minus a Bregman divergence is affine and stationary, too. -inf where the Hessian is not finite.
    """
    _, _, b, t, x, _ = _draw(domain, dim, seed)
    a, b = b, b.clone().requires_grad_()
    gradient = torch.autograd.grad(loss(a, b, t, x).sum(), b, create_graph=True)[0]
    rows = torch.eye(dim, dtype=b.dtype)[:, None, :].expand(dim, *b.shape)
    flat = not gradient.requires_grad
    hessian = (
        rows * 0 if flat else torch.autograd.grad(gradient, b, rows, is_grads_batched=True, materialize_grads=True)[0]
    )
    if not bool(hessian.isfinite().all()):
        return -math.inf
    values = torch.linalg.eigvalsh(hessian.transpose(0, 1))
    return float((values[:, 0] / values.abs().amax(1).clamp(min=1e-300)).min())


def _gradient(loss: Loss, a: Tensor, b: Tensor, t: Tensor, x: Tensor) -> Tensor:
    b = b.detach().requires_grad_()
    return torch.autograd.grad(loss(a, b, t, x).sum(), b)[0]


def _worst(gap: Tensor, size: Tensor, a: Tensor, other: Tensor, b: Tensor, t: Tensor, x: Tensor) -> Finding:
    residual = torch.where(gap == 0, 0.0, gap / size).nan_to_num(nan=torch.inf)
    i = int(residual.argmax())
    first, second, prediction, state = (tuple(each[i].tolist()) for each in (a, other, b, x))
    return Finding(float(residual[i]), first, second, prediction, float(t[i]), state)


def _draw(domain: str, dim: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Targets a, a' and predictions b (B, D), times (B,), states (B, D), fractions s (B, 1)."""
    generator = seeds.generator("affine in the target", domain, seed)

    def normal() -> Tensor:
        return torch.randn(SAMPLES, dim, generator=generator, dtype=torch.float64)

    t, s, size, size_other = torch.rand(4, SAMPLES, generator=generator, dtype=torch.float64)
    reach, reach_other = (0.01 * 300 ** each[:, None] for each in (size, size_other))
    b, x = normal(), normal()
    a, other = b + reach * normal().clamp(-2, 2), b + reach_other * normal().clamp(-2, 2)
    if domain == "positive":
        a, other, b = a.exp(), other.exp(), b.exp()
    return a, other, b, 0.01 + 0.98 * t, x, s[:, None]
