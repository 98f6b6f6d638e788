r"""Time laws: which t a training step draws.

A time law is one function, the quantile map Q from u in (0, 1) to t; samples are Q(u), stratified samples are Q of
stratified u, and the density is

.. math:: \pi(t) = 1 / Q'(Q^{-1}(t)).

A map from u near 1 cannot hold more digits than u has, so a law whose density has far tails states its closed
form beside the map; a property test holds the two to each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from reproflow.foundation import registry
from reproflow.foundation.specs import Spec
from reproflow.theory.nouns import Noun, resolve


def time_law(name: str, *, cite: str, **meta: Any) -> Callable[..., Any]:
    """Decorator: registers the quantile map `u -> t`; `density`, `cdf` may give closed forms in t (same parameters)."""
    return registry.register("time", name, process=("gaussian", "masked"), cite=cite, **meta)


@dataclass(frozen=True, eq=False)
class TimeLaw(Noun):
    """A time law with its parameters bound."""

    def quantile(self, u: Tensor) -> Tensor:
        """t at the quantiles u in (0, 1), of u's shape."""
        return self.function(u)

    def cdf(self, t: Tensor) -> Tensor:
        """P(T <= t), by the closed form or by bisection of the quantile map (float64: to 1e-16 in u)."""
        closed = self.entry.meta.get("cdf")
        return closed(t, **self.params) if closed else self._bisect(t)

    def density(self, t: Tensor) -> Tensor:
        """pi(t), of t's shape."""
        closed = self.entry.meta.get("density")
        if closed:
            return closed(t, **self.params)
        u = self._bisect(t)
        return 1 / torch.func.jvp(self.function, (u,), (torch.ones_like(u),))[1]

    def draw(self, u: Tensor, t_range: tuple[float, float] = (0.0, 1.0)) -> Tensor:
        """t at the quantiles u of the law restricted to t_range (its density is pi/P(t_range) there)."""
        low, high = (float(self.cdf(torch.tensor(t, dtype=torch.float64))) for t in t_range)
        return self.quantile(low + (high - low) * u).clamp(*t_range)

    def _bisect(self, t: Tensor) -> Tensor:
        low, high = torch.zeros_like(t), torch.ones_like(t)
        for _ in range(60):
            middle = 0.5 * (low + high)
            below = self.function(middle) < t
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return 0.5 * (low + high)


def get_time_law(spec: str | Spec) -> TimeLaw:
    """The time law a spec names. Raises `UsageError` for an unknown name or parameter."""
    return TimeLaw(**vars(resolve("time", spec)))


def stratify(u: Tensor) -> Tensor:
    """Stratified quantiles: the i-th of n i.i.d. uniforms is moved into [i/n, (i+1)/n) (003, "Stratified").

    u has shape (n, ...); each stratum is hit once along the first dimension.
    """
    strata = torch.arange(len(u), dtype=u.dtype, device=u.device).view(-1, *[1] * (u.ndim - 1))
    return (strata + u) / len(u)


def _ones(t: Tensor) -> Tensor:
    return torch.ones_like(t)


def _identity(t: Tensor) -> Tensor:
    return t


@time_law("uniform", cite="Lipman et al. 2023", density=_ones, cdf=_identity)
def uniform(u: Tensor) -> Tensor:
    """t = u."""
    return u


def _logit_normal_density(t: Tensor, mean: float, std: float) -> Tensor:
    z = (torch.logit(t) - mean) / std
    return torch.exp(-0.5 * z**2) / (std * math.sqrt(2 * math.pi) * t * (1 - t))


def _logit_normal_cdf(t: Tensor, mean: float, std: float) -> Tensor:
    return torch.special.ndtr((torch.logit(t) - mean) / std)


@time_law(
    "logit_normal",
    cite="Esser et al. 2024",
    ranges={"std": (0, math.inf)},
    density=_logit_normal_density,
    cdf=_logit_normal_cdf,
)
def logit_normal(u: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """logit t ~ N(mean, std²): most of the mass at middle times."""
    return torch.sigmoid(mean + std * torch.special.ndtri(u))


@time_law("u_squared", cite="003, 'Importance sampling': rand ** 2")
def u_squared(u: Tensor) -> Tensor:
    """t = u², density 1/(2 sqrt t): crowds t = 0, which is the noise end here and the data end in 003's own time.

    Without division by the density this is a weighting, not importance sampling.
    """
    return u**2
