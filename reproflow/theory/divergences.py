r"""Divergences: the loss l(a, b) of a target a and a prediction b, possibly depending on t and x.

a, b, x have shape (B, D) and t shape (B,); the answer has shape (B,), in the units of the target squared, or in nats
for rates. `domain` says where a and b live: `real`, or `positive` (rates of jumps). A **Bregman** divergence of a
convex phi, which may depend on t and x,

.. math:: l(a, b) = \phi(a) - \phi(b) - \langle \nabla\phi(b), a - b \rangle,

has a gradient in b that is affine in a. So its conditional loss has the marginal loss's gradient and the posterior
*mean* as minimiser (000, Theorem 4.8; Banerjee et al. 2005 for the converse). The others serve as controls:
`functional` says what of the posterior they target instead, in each coordinate, whose generator is another one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from reproflow.foundation import registry
from reproflow.foundation.errors import UsageError
from reproflow.foundation.specs import Spec
from reproflow.theory.components import Component, resolve

POSITIVE = (0.0, math.inf)


def divergence(name: str, *, cite: str, **meta: Any) -> Callable[..., Any]:
    """Decorator: registers `l(a, b, t, x)`.

    `bregman` says that it is one (with `functional="mean"`), `domain` is `real` unless said otherwise.
    """
    return registry.register("divergence", name, cite=cite, **meta)


@dataclass(frozen=True, eq=False)
class Divergence(Component):
    """A divergence with its parameters bound."""

    def __call__(self, a: Tensor, b: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """l(a, b) at t and x: (B, D), (B, D), (B,), (B, D) -> (B,)."""
        return self.function(a, b, t, x)

    @property
    def bregman(self) -> bool | None:
        """Whether it is registered as a Bregman divergence; None where nobody says (a user's own)."""
        return self.entry.meta.get("bregman")

    @property
    def domain(self) -> str:
        """`real` or `positive`."""
        return self.entry.meta.get("domain", "real")

    @property
    def functional(self) -> str | None:
        """What of the target's law its minimiser is, where that is known."""
        return self.entry.meta.get("functional", "mean" if self.bregman else None)


def get_divergence(spec: str | Spec) -> Divergence:
    """The divergence a spec names. Raises `UsageError` for an unknown name or parameter."""
    return Divergence(**vars(resolve("divergence", spec)))


def admit_divergence(divergence: Divergence, weighting: str, on: str, target: str, dim: int) -> None:
    """Refuses what cannot be trained in place of a squared error on the output `target`, of `dim` dimensions.

    Raises `UsageError` for a divergence of positive numbers, a weighting of another prediction, since only squared
    errors convert (LOSS-5), and a value that is not finite at ordinary numbers.
    """
    if divergence.domain != "real":
        raise UsageError(f"divergence {divergence.name!r} is for positive rates; what a network predicts is real.")
    if on != target:
        raise UsageError(
            f"divergence {divergence.name!r} with weighting {weighting!r} on {on} and target {target}: only squared "
            "errors convert (LOSS-5); choose a weighting on the target."
        )
    a, b, x = torch.randn(3, 64, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    t = torch.linspace(0.01, 0.99, 64, dtype=torch.float64)
    if not bool(divergence(a, b, t, x).isfinite().all()):
        raise UsageError(f"divergence {divergence.name!r} is not finite at standard normal targets and predictions.")


@divergence("squared", cite="Lipman et al. 2023", bregman=True)
def squared(a: Tensor, b: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """|a - b|²: the Bregman divergence of the squared norm."""
    return (a - b).square().flatten(1).sum(1)


@divergence("mahalanobis", cite="000, Theorem 4.8", bregman=True, ranges={"scale": POSITIVE})
def mahalanobis(a: Tensor, b: Tensor, t: Tensor, x: Tensor, scale: float = 1.0) -> Tensor:
    """(a - b)' A (a - b) with A(t, x) = I + scale (t diag(1/D, .., D/D) + x x' / (1 + |x|²)): phi is a' A a.

    A is positive definite with eigenvalues in [1, 1 + 2 scale]; its axes turn with x and its shape changes with t.
    """
    d = a - b
    diagonal = torch.arange(1, d.shape[1] + 1, dtype=d.dtype, device=d.device) / d.shape[1]
    along = (d * x).sum(1).square() / (1 + x.square().sum(1))
    return d.square().sum(1) + scale * (t * (diagonal * d.square()).sum(1) + along)


@divergence("weighted_squared", cite="000, Theorem 4.8; LOSS-2", bregman=True, ranges={"rate": POSITIVE})
def weighted_squared(a: Tensor, b: Tensor, t: Tensor, x: Tensor, power: float = 3.0, rate: float = 0.25) -> Tensor:
    """c(t, x) |a - b|² with c = (1 + t)^power exp(-rate |x|² / D): a weight may depend on the state too."""
    return (1 + t) ** power * torch.exp(-rate * x.square().mean(1)) * (a - b).square().sum(1)


@divergence("exponential", cite="Banerjee et al. 2005", bregman=True)
def exponential(a: Tensor, b: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """sum e^a - e^b - e^b (a - b), of phi(a) = sum e^a: prices a prediction that is too high above one too low."""
    return (b.exp() * (torch.expm1(a - b) - (a - b))).sum(1)


@divergence("kl_rates", cite="Billera et al. 2025; Holderrieth et al. 2024", bregman=True, domain="positive")
def kl_rates(a: Tensor, b: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """sum a log(a/b) - a + b, 0 log 0 = 0, of phi(a) = sum a log a - a: the KL of Poisson rates in nats (BIL-9)."""
    return _poisson(a, b).sum(1)


@divergence("weighted_kl", cite="000, Theorem 4.8", bregman=True, domain="positive", ranges={"scale": POSITIVE})
def weighted_kl(a: Tensor, b: Tensor, t: Tensor, x: Tensor, scale: float = 1.0) -> Tensor:
    """sum over y of w_y(t, x) [a log(a/b) - a + b] with w_y = 1 + scale (t + x_y² / (1 + x_y²)): any w_y > 0 will do.

    So a known hazard in front of a rate may be replaced by another positive factor (BIL-9).
    """
    weight = 1 + scale * (t[:, None] + x.square() / (1 + x.square()))
    return (weight * _poisson(a, b)).sum(1)


@divergence("itakura_saito", cite="Itakura & Saito 1968", bregman=True, domain="positive")
def itakura_saito(a: Tensor, b: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """sum a/b - log(a/b) - 1, of phi(a) = -sum log a: the same for a and b in any common unit."""
    return (a / b - (a / b).log() - 1).sum(1)


@divergence("l1", cite="control of 000, Theorem 4.8", bregman=False, functional="median")
def l1(a: Tensor, b: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """sum |a - b|: targets the median."""
    return (a - b).abs().sum(1)


@divergence(
    "huber",
    cite="Huber 1964; control of 000, Theorem 4.8",
    bregman=False,
    functional="Huber's location, between mean and median",
    ranges={"delta": POSITIVE},
)
def huber(a: Tensor, b: Tensor, t: Tensor, x: Tensor, delta: float = 0.5) -> Tensor:
    """sum (a - b)²/2 where |a - b| <= delta, else delta (|a - b| - delta/2): squared only for errors within delta."""
    return torch.nn.functional.huber_loss(b, a, reduction="none", delta=delta).sum(1)


@divergence(
    "kl_swapped",
    cite="control of 000, Theorem 4.8",
    bregman=False,
    domain="positive",
    functional="geometric mean",
)
def kl_swapped(a: Tensor, b: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """sum b log(b/a) - b + a: `kl_rates` with its arguments swapped targets the geometric mean, exp E log a."""
    return _poisson(b, a).sum(1)


@divergence(
    "hellinger",
    cite="control of 000, Theorem 4.8",
    bregman=False,
    domain="positive",
    functional="squared mean of the root",
)
def hellinger(a: Tensor, b: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """sum (sqrt a - sqrt b)²: targets (E sqrt a)²."""
    return (a.sqrt() - b.sqrt()).square().sum(1)


@divergence(
    "log_squared",
    cite="control of 000, Theorem 4.8",
    bregman=False,
    domain="positive",
    functional="geometric mean",
)
def log_squared(a: Tensor, b: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """sum (log a - log b)²: the squared error of log-rates targets exp E log a; logarithms are not linear (BIL-7)."""
    return (a / b).log().square().sum(1)


@divergence(
    "pearson",
    cite="Pearson 1900; control of 000, Theorem 4.8",
    bregman=False,
    domain="positive",
    functional="root mean square",
)
def pearson(a: Tensor, b: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """sum (a - b)²/b, chi-square over the prediction: targets sqrt(E a²)."""
    return ((a - b).square() / b).sum(1)


@divergence(
    "neyman",
    cite="Neyman 1949; control of 000, Theorem 4.8",
    bregman=False,
    domain="positive",
    functional="harmonic mean",
)
def neyman(a: Tensor, b: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """sum (a - b)²/a, chi-square over the target: targets 1 / E(1/a)."""
    return ((a - b).square() / a).sum(1)


def _poisson(a: Tensor, b: Tensor) -> Tensor:
    """a log(a/b) - a + b in each coordinate, b where a = 0, without a NaN in the gradient there."""
    some = a != 0
    ratio = torch.where(some, a, 1.0) / torch.where(some, b, 1.0)
    return torch.where(some, a * ratio.log(), 0.0) - a + b
