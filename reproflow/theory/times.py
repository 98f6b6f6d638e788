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
from reproflow.numerics import derivatives
from reproflow.numerics.bisection import bisect
from reproflow.numerics.derivatives import Mode
from reproflow.theory.components import Component, resolve
from reproflow.theory.processes.base import registered

GAP = 1e-9
LOGITS = (-700.0, 37.0)
"""The logits between which a fine law looks for u: from 1e-304 to the last number below 1."""


def time_law(name: str, *, cite: str, **meta: Any) -> Callable[..., Any]:
    """Decorator: registers the quantile map `u -> t`; `density`, `cdf` may give closed forms in t (same parameters).

    A time law serves every process.
    """
    return registry.register("time", name, process=registered(), cite=cite, **meta)


@dataclass(frozen=True, eq=False)
class TimeLaw(Component):
    """A time law with its parameters bound.

    Where its quantile map has no closed inverse, it is inverted in u; a `fine` law inverts it in the logit of u, to
    relative precision at u = 0, and takes derivatives in the mode that `numerics.derivatives` chooses, not always in
    forward mode. The densities of the two differ in the last digit; trainings keep the first, to stay reproducible.
    `mode` sets the mode.
    """

    fine: bool = False
    mode: Mode | None = None

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
        reached, slope = self._slope(u)
        # One Newton step changes no digit, but makes u a differentiable function of t.
        density = 1 / self._slope(u - (reached - t) / slope)[1]
        # In a gap of the law no u gives t, and bisection ends at the gap's edge.
        return torch.where((reached - t).abs() <= GAP, density, 0.0)

    def _slope(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Q(u) and Q'(u)."""
        mode = self.mode or derivatives.mode_of(self.fine and self.is_registered, u)
        return derivatives.with_slope(self.function, u, mode)

    def draw(self, u: Tensor, t_range: tuple[float, float] = (0.0, 1.0)) -> Tensor:
        """t at the quantiles u of the law restricted to t_range (its density is pi/P(t_range) there)."""
        low, high = (float(self.cdf(torch.tensor(t, dtype=torch.float64))) for t in t_range)
        return self.quantile(low + (high - low) * u).clamp(*t_range)

    def _bisect(self, t: Tensor) -> Tensor:
        if self.fine:
            low, high = torch.full_like(t, LOGITS[0]), torch.full_like(t, LOGITS[1])
            return torch.sigmoid(bisect(lambda logit: self.function(torch.sigmoid(logit)) < t, low, high, 64))
        low, high = torch.zeros_like(t), torch.ones_like(t)
        return bisect(lambda u: self.function(u) < t, low, high, 60)


def get_time_law(spec: str | Spec, fine: bool = False, mode: Mode | None = None) -> TimeLaw:
    """The time law a spec names, as `TimeLaw` describes. Raises `UsageError` for an unknown name or parameter."""
    return TimeLaw(**vars(resolve("time", spec)), fine=fine, mode=mode)


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


@time_law(
    "u_squared",
    cite="003, 'Importance sampling': rand ** 2",
    density=lambda t: 0.5 * t.rsqrt(),
    cdf=lambda t: t.sqrt(),
)
def u_squared(u: Tensor) -> Tensor:
    """t = u², density 1/(2 sqrt t): crowds t = 0, which is the noise end here and the data end in 003's own time.

    Without division by the density this is a weighting, not importance sampling.
    """
    return u**2


@time_law(
    "one_minus_u_squared",
    cite="003, 'Importance sampling', in its own time",
    density=lambda t: 0.5 * (1 - t).rsqrt(),
    cdf=lambda t: 1 - (1 - t).sqrt(),
)
def one_minus_u_squared(u: Tensor) -> Tensor:
    """t = 1 - (1-u)², density 1/(2 sqrt(1-t)): crowds the data end, as 003's rand ** 2 does in 003's own time."""
    return 1 - (1 - u) ** 2


def _beta_density(t: Tensor, a: float, b: float) -> Tensor:
    log_norm = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return torch.exp((a - 1) * t.log() + (b - 1) * torch.log1p(-t) - log_norm)


def _beta_cdf(t: Tensor, a: float, b: float) -> Tensor:
    if a == 1:
        return -torch.expm1(b * torch.log1p(-t))
    from scipy.special import betainc

    return torch.as_tensor(betainc(a, b, t.double().numpy())).to(t)


@time_law(
    "beta",
    cite="Black et al. 2024 (a = 1, b = 1.5 in this time)",
    ranges={"a": (0, math.inf), "b": (0, math.inf)},
    density=_beta_density,
    cdf=_beta_cdf,
)
def beta(u: Tensor, a: float = 1.0, b: float = 1.5) -> Tensor:
    """t ~ Beta(a, b), by scipy's inverse of the regularised incomplete beta function."""
    from scipy.special import betaincinv

    return torch.as_tensor(betaincinv(a, b, u.double().numpy())).to(u)


@time_law("mode", cite="Esser et al. 2024, mode sampling with heavy tails", ranges={"s": (-1, 2 / (math.pi - 2))})
def mode(u: Tensor, s: float = 1.29) -> Tensor:
    """t = u + s (cos²(pi u/2) - 1 + u): middle times for s > 0, both ends for s < 0, and no time without mass."""
    return u + s * (torch.cos(0.5 * math.pi * u) ** 2 - 1 + u)


def _sigma_density(t: Tensor, mean: float, std: float) -> Tensor:
    return _logit_normal_density(t, -mean, std)


def _sigma_cdf(t: Tensor, mean: float, std: float) -> Tensor:
    return _logit_normal_cdf(t, -mean, std)


@time_law(
    "lognormal_sigma",
    cite="Karras et al. 2022, table 1; on the linear path, Esser et al. 2024",
    ranges={"std": (0, math.inf)},
    density=_sigma_density,
    cdf=_sigma_cdf,
)
def lognormal_sigma(u: Tensor, mean: float = -1.2, std: float = 1.2) -> Tensor:
    """log(sigma/alpha) ~ N(mean, std²) on the linear path, EDM's law of noise levels: logit t ~ N(-mean, std²)."""
    return torch.sigmoid(-mean + std * torch.special.ndtri(u))


@time_law(
    "cosine_map",
    cite="Esser et al. 2024, CosMap",
    density=lambda t: (2 / math.pi) / (t**2 + (1 - t) ** 2),
    cdf=lambda t: (2 / math.pi) * torch.atan2(t, 1 - t),
)
def cosine_map(u: Tensor) -> Tensor:
    """t = sin/(sin + cos) at pi u/2: gives the linear path the log-SNRs that uniform time gives the cosine path."""
    sine, cosine = torch.sin(0.5 * math.pi * u), torch.cos(0.5 * math.pi * u)
    return sine / (sine + cosine)


def _laplace_density(t: Tensor, mean: float, scale: float) -> Tensor:
    distance = (2 * torch.logit(t) - mean).abs() / scale
    return torch.exp(-distance) / (scale * t * (1 - t))


def _laplace_cdf(t: Tensor, mean: float, scale: float) -> Tensor:
    z = (2 * torch.logit(t) - mean) / scale
    return torch.where(z < 0, 0.5 * torch.exp(z.clamp(max=0)), 1 - 0.5 * torch.exp(-z.clamp(min=0)))


@time_law(
    "laplace",
    cite="Hang et al. 2024, Laplace noise schedule",
    ranges={"scale": (0, math.inf)},
    density=_laplace_density,
    cdf=_laplace_cdf,
)
def laplace(u: Tensor, mean: float = 0.0, scale: float = 0.5) -> Tensor:
    """lam ~ Laplace(mean, scale) on the linear path, where lam = 2 logit t: middle noise levels, with heavy tails."""
    low = torch.log(2 * u.clamp(max=0.5))
    high = -torch.log(2 * (1 - u).clamp(max=0.5))
    return torch.sigmoid(0.5 * (mean + scale * (low + high)))


def _u_density(t: Tensor, a: float) -> Tensor:
    return 0.5 * a * torch.cosh(a * (t - 0.5)) / math.sinh(0.5 * a)


def _u_cdf(t: Tensor, a: float) -> Tensor:
    return 0.5 + 0.5 * torch.sinh(a * (t - 0.5)) / math.sinh(0.5 * a)


@time_law(
    "u_shaped",
    cite="Lee et al. 2024, U-shaped timestep distribution",
    ranges={"a": (0, 500)},
    density=_u_density,
    cdf=_u_cdf,
)
def u_shaped(u: Tensor, a: float = 4.0) -> Tensor:
    """density proportional to exp(a t) + exp(a (1-t)): both ends, for flows on pairs that are nearly straight."""
    return 0.5 + torch.asinh((2 * u - 1) * math.sinh(0.5 * a)) / a
