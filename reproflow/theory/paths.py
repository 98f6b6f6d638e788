r"""Probability paths: how much of the data and how much of the noise is in x_t.

.. math:: x_t = \alpha_t x_1 + \sigma_t x_0, \qquad x_0 \sim N(0, I), \qquad \lambda_t = \log(\alpha_t^2 / \sigma_t^2)

Time runs from noise (t = 0) to data (t = 1). A masked process shows a token with probability alpha_t and masks it
otherwise, so sigma_t = 1 - alpha_t and lam = log(alpha / (1 - alpha)). A path is one function of t; its derivatives
come from `numerics.derivatives`, never from a second formula.
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
from reproflow.numerics.derivatives import Mode
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.components import Component, resolve


def path(name: str, *, process: str = "gaussian", cite: str, **meta: Any) -> Callable[..., Any]:
    """Decorator: registers `t -> (alpha, sigma)`.

    `expects` names the boundary conditions that the path misses by design; `ranges` gives open intervals of parameters.
    """
    return registry.register("path", name, process=process, cite=cite, **meta)


@dataclass(frozen=True, eq=False)
class Path(Component):
    """A path with its parameters bound; `mode` is how its derivatives are taken, where it is not chosen."""

    mode: Mode | None = None

    def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """alpha, sigma at t, each of t's shape."""
        return self.function(t)

    def at(self, t: Tensor) -> Coefficients:
        """alpha, sigma and their derivatives at t, of t's shape."""
        mode = self.mode or derivatives.mode_of(self.is_registered, t)
        (alpha, sigma), (dalpha, dsigma) = derivatives.with_slopes(self.function, t, mode)
        return Coefficients(t, alpha, sigma, dalpha, dsigma, self.process)


def get_path(spec: str | Spec, process: str = "gaussian", mode: Mode | None = None) -> Path:
    """The path a spec names, differentiated in a mode, or in the one that `numerics.derivatives` chooses.

    Raises `UsageError` for an unknown name or parameter.
    """
    return Path(**vars(resolve("path", spec, process)), mode=mode)


def forward_path(spec: str | Spec, process: str = "gaussian") -> Path:
    """`get_path` in forward mode whatever the spec: for oracles, which do not share the mode of what they check."""
    return get_path(spec, process, Mode.FORWARD)


@path("linear", cite="Lipman et al. 2023; Liu et al. 2023")
def linear(t: Tensor) -> tuple[Tensor, Tensor]:
    """alpha = t, sigma = 1 - t: straight lines of constant speed (002; 003 with its time reversed)."""
    return t, 1 - t


@path("cosine", cite="Nichol & Dhariwal 2021; Albergo & Vanden-Eijnden 2023")
def cosine(t: Tensor) -> tuple[Tensor, Tensor]:
    """alpha = sin(pi t/2), sigma = cos(pi t/2): variance preserving, constant angular speed."""
    return torch.sin(0.5 * math.pi * t), torch.cos(0.5 * math.pi * t)


@path(
    "vp",
    cite="Song et al. 2021",
    expects=("alpha(0) > 0",),
    ranges={"beta_min": (0, math.inf), "beta_max": (0, math.inf)},
)
def vp(t: Tensor, beta_min: float = 0.1, beta_max: float = 20.0) -> tuple[Tensor, Tensor]:
    """The variance-preserving SDE with linear beta: log alpha = -(beta_max - beta_min) s²/4 - beta_min s/2, s = 1 - t.

    At t = 0 a little data is left (alpha = 0.0066 at the defaults), so the path misses its noise end by design.
    """
    s = 1 - t
    log_alpha = -0.25 * (beta_max - beta_min) * s**2 - 0.5 * beta_min * s
    return log_alpha.exp(), (-torch.expm1(2 * log_alpha)).sqrt()


@path("vp_sigma_t", cite="003, 'Variance preserving path', sigma_t = t")
def vp_sigma_t(t: Tensor) -> tuple[Tensor, Tensor]:
    """alpha = sqrt(1 - s²), sigma = s with s = 1 - t, 003's own time; its CFM loss is infinite (LOSS-7, E26)."""
    return (t * (2 - t)).sqrt(), 1 - t


@path("polynomial", cite="Lipman et al. 2024, polynomial convex scheduler", ranges={"n": (0, math.inf)})
def polynomial(t: Tensor, n: float = 2.0) -> tuple[Tensor, Tensor]:
    """alpha = t^n, sigma = 1 - t^n: straight lines, walked slowly at first for n > 1."""
    alpha = t**n
    return alpha, 1 - alpha


def _unit_variance(ratio: Tensor) -> tuple[Tensor, Tensor]:
    """alpha, sigma with sigma/alpha as given and alpha² + sigma² = 1."""
    alpha = (1 + ratio**2).rsqrt()
    return alpha, ratio * alpha


_MISSES = ("alpha(0) > 0", "sigma(1) > 0")
_POSITIVE = (0, math.inf)


@path("ve", cite="Song et al. 2021", expects=_MISSES, ranges={"low": _POSITIVE, "high": _POSITIVE})
def ve(t: Tensor, low: float = 0.01, high: float = 50.0) -> tuple[Tensor, Tensor]:
    """sigma/alpha falls geometrically from `high` to `low`, so lam is linear in t.

    The variance-exploding SDE, rescaled to unit variance (x_t divided by sqrt(1 + ratio²)), which its networks do to
    their input anyway. It misses both ends by design.
    """
    return _unit_variance(high * torch.exp(t * math.log(low / high)))


@path("edm", cite="Karras et al. 2022, eq. 5", expects=_MISSES, ranges=dict.fromkeys(("low", "high", "rho"), _POSITIVE))
def edm(t: Tensor, low: float = 0.002, high: float = 80.0, rho: float = 7.0) -> tuple[Tensor, Tensor]:
    """sigma/alpha = (high^(1/rho) (1-t) + low^(1/rho) t)^rho, rescaled to unit variance; misses both ends by design."""
    return _unit_variance((high ** (1 / rho) * (1 - t) + low ** (1 / rho) * t) ** rho)


@path("linear", process="masked", cite="Sahoo et al. 2024; Shi et al. 2024")
def masked_linear(t: Tensor) -> tuple[Tensor, Tensor]:
    """alpha = t: every token is shown at a uniform time."""
    return t, 1 - t


@path("cosine", process="masked", cite="Shi et al. 2024; Chang et al. 2022")
def masked_cosine(t: Tensor) -> tuple[Tensor, Tensor]:
    """alpha = 1 - cos(pi t/2): 001's cosine schedule, time reversed; 2 sin²(pi t/4) keeps digits near t = 0."""
    return 2 * torch.sin(0.25 * math.pi * t) ** 2, torch.cos(0.5 * math.pi * t)


@path("polynomial", process="masked", cite="Shi et al. 2024, polynomial schedule", ranges={"n": (0, math.inf)})
def masked_polynomial(t: Tensor, n: float = 2.0) -> tuple[Tensor, Tensor]:
    """sigma = (1 - t)^n, alpha = 1 - sigma."""
    sigma = (1 - t) ** n
    return 1 - sigma, sigma


@path(
    "geometric",
    process="masked",
    cite="Shi et al. 2024, geometric schedule",
    expects=_MISSES,
    ranges={"low": _POSITIVE, "high": _POSITIVE},
)
def masked_geometric(t: Tensor, low: float = 1e-5, high: float = 20.0) -> tuple[Tensor, Tensor]:
    """alpha = exp(-high^(1-t) low^t): the rate of masking is geometric in time; misses both ends by design."""
    rate = high * torch.exp(t * math.log(low / high))
    return (-rate).exp(), -torch.expm1(-rate)
