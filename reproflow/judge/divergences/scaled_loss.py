"""A divergence under judgement: a loss whose targets are scaled to where it is finite, NaN refused with its place.

A user's divergence promises no more than a, b > 0, and one with exponentials overflows at large numbers. So it is asked
over many decades of a and b first, and judged in the widest unit in which loss and gradient are finite and the gradient
is not lost in rounding: l(k a, k b) has a gradient that is affine in the target, and its minimum there, where l has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from reproflow.foundation.errors import UsageError
from reproflow.theory import pointwise
from reproflow.theory.divergences import Divergence

UNITS = {"positive": (1.0, 1 / 40, 1 / 200, 1 / 1000), "real": (1.0, 0.1, 0.01)}
LARGEST = {"positive": math.exp(9.5), "real": 10.0}
"""What targets reach, in units: those of `exact.criterion` and of the enumerated problems stay below."""

PAIRS = {"positive": "a, b > 0", "real": "real a, b"}
SIDE = 24
DIMENSION = 3
TINY = 1e-100
ROUNDING = 1e-6
EPSILON = torch.finfo(torch.float64).eps


@dataclass(frozen=True)
class Scaled:
    """factor l(unit a, unit b; t, x), with a graph in b even where the loss does not depend on it."""

    divergence: Divergence
    domain: str
    unit: float = 1.0
    factor: float = 1.0

    def __call__(self, a: Tensor, b: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """(B, D), (B, D), (B,), (B, D) -> (B,). Raises `UsageError` where it is NaN, naming a and b."""
        try:
            value = self.divergence(self.unit * a, self.unit * b, t, x)
        except UsageError as error:
            if "is NaN" not in str(error):
                raise
            value = torch.full_like(t, math.nan) if len(t) == 1 else self._halves(a, b, t, x)
        if bool(value.isnan().any()):
            i = int(value.isnan().nonzero()[0])
            first, second = (", ".join(f"{v:.4g}" for v in (self.unit * each[i]).tolist()) for each in (a, b))
            raise NotANumber(
                f"divergence {self.divergence.name!r} is NaN at a = ({first}), b = ({second}), t = {float(t[i]):.4g}; "
                f"it must be a number for all {PAIRS[self.domain]}."
            )
        return self.factor * value + 0.0 * b.sum(1)

    def _halves(self, *arguments: Tensor) -> Tensor:
        """Half by half, until the row that is NaN stands alone and is named."""
        middle = len(arguments[2]) // 2
        return torch.cat(
            [self(*(each[part] for each in arguments)) for part in (slice(0, middle), slice(middle, None))]
        )


class NotANumber(UsageError):
    """A loss is NaN for numbers of its domain."""


def scaled(divergence: Divergence, domain: str) -> Scaled:
    """The divergence in the widest unit in which its gradient is known to some digits, else in the narrowest.

    Raises `UsageError` where the loss is NaN in every unit, or a row of its answer depends on other rows.
    """
    given = arguments(domain)
    refused: list[NotANumber] = []
    loss: Scaled | None = None
    for unit in UNITS[domain]:
        try:
            good = _sound(Scaled(divergence, domain, unit), *given)
        except NotANumber as error:
            refused.append(error)
            continue
        loss = Scaled(divergence, domain, unit)
        if good:
            break
    if loss is None:
        raise refused[0]
    pointwise.check_divergence(divergence, *given, unit=loss.unit)
    return _lifted(loss, *given)


def _lifted(loss: Scaled, a: Tensor, b: Tensor, t: Tensor, x: Tensor) -> Scaled:
    """The same loss; a tiny one times a constant, so that squares of its gradients do not underflow."""
    b = b.clone().requires_grad_()
    largest = float(torch.autograd.grad(loss(a, b, t, x).sum(), b)[0].abs().max())
    return replace(loss, factor=1 / largest) if 0 < largest < TINY else loss


def arguments(domain: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Targets and predictions over the whole domain, each with each: a, b (B, 3), times (B,), states (B, 3)."""
    if domain == "positive":
        side = torch.logspace(-math.log10(LARGEST[domain]), math.log10(LARGEST[domain]), SIDE, dtype=torch.float64)
    else:
        side = torch.linspace(-LARGEST[domain], LARGEST[domain], SIDE, dtype=torch.float64)
    a, b = torch.cartesian_prod(side, side).unbind(1)
    # Coordinates that differ, in an order of their own, and never a = b, where a loss may have a kink.
    spread = 1 + 0.05 * torch.arange(DIMENSION, dtype=torch.float64)
    n = len(a)
    t = 0.01 + 0.98 * (torch.arange(n, dtype=torch.float64) * 0.6180339887498949).frac()
    x = torch.sin(torch.arange(n * DIMENSION, dtype=torch.float64)).view(n, DIMENSION)
    return a[:, None] * spread, b[:, None] * spread.flip(0) * 0.97, t, x


def _sound(loss: Scaled, a: Tensor, b: Tensor, t: Tensor, x: Tensor) -> bool:
    """Whether loss and gradient are finite, and the gradient moves little when a and b do by a few last digits."""
    gradients = []
    for ulps in (0, 3):
        moved = (b * (1 - ulps * EPSILON)).requires_grad_()
        value = loss(a * (1 + ulps * EPSILON), moved, t, x)
        gradients.append(torch.autograd.grad(value.sum(), moved)[0])
        if not bool(value.isfinite().all() and gradients[-1].isfinite().all()):
            return False
    first, second = gradients
    return bool(((first - second).norm(dim=1) <= ROUNDING * first.norm(dim=1)).all())


def scaled_where_sound(divergence: Divergence, domain: str) -> Scaled | None:
    """As `scaled`, or nothing where in no unit the loss is finite and its gradient known, or it cannot be called."""
    try:
        loss = scaled(divergence, domain)
        return loss if _sound(loss, *arguments(domain)) else None
    except UsageError:
        return None
