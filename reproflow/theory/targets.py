r"""Targets: what a network may be asked to predict.

Every target is a combination of data and noise with coefficients that depend on t alone,

.. math:: y_t = a_t x_1 + b_t \epsilon, \qquad x_t = \alpha_t x_1 + \sigma_t \epsilon,

so that one 2 x 2 solve converts any into any other at the same x_t, and an error in eps is an error in y scaled by

.. math:: \Delta y = (b_t - a_t \sigma_t / \alpha_t) \, \Delta\epsilon

(the table of conversion factors that papers print row by row; LOSS-5). Data here is x1, where 003 writes x0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from reproflow.foundation import registry
from reproflow.foundation.specs import Spec
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.components import Component, resolve


def target(name: str, *, cite: str, **meta: Any) -> Callable[..., Any]:
    """Decorator: registers `Coefficients -> (a, b)`."""
    return registry.register("target", name, cite=cite, **meta)


@dataclass(frozen=True, eq=False)
class Target(Component):
    """A target of a Gaussian process. x, x1, eps and predictions have shape (B, *D), the coefficients' t shape (B,)."""

    def coefficients(self, c: Coefficients) -> tuple[Tensor, Tensor]:
        """a, b of t's shape."""
        return self.function(c)

    def of(self, x1: Tensor, eps: Tensor, c: Coefficients) -> Tensor:
        """The target a x1 + b eps, of x1's shape."""
        a, b = self.coefficients(c)
        return _over(a, x1) * x1 + _over(b, x1) * eps

    def x1(self, prediction: Tensor, x: Tensor, c: Coefficients) -> Tensor:
        """The x1 that this prediction implies at x: (b x - sigma y) / (alpha b - sigma a)."""
        a, b = self.coefficients(c)
        determinant = c.alpha * b - c.sigma * a
        return _over(b / determinant, x) * x - _over(c.sigma / determinant, x) * prediction

    def eps(self, prediction: Tensor, x: Tensor, c: Coefficients) -> Tensor:
        """The eps that this prediction implies at x: (alpha y - a x) / (alpha b - sigma a)."""
        a, b = self.coefficients(c)
        determinant = c.alpha * b - c.sigma * a
        return _over(c.alpha / determinant, x) * prediction - _over(a / determinant, x) * x

    def error_factor(self, c: Coefficients) -> Tensor:
        """|dy|² / |d eps|² at fixed x, of t's shape (LOSS-5)."""
        a, b = self.coefficients(c)
        return (b - a * c.sigma / c.alpha) ** 2


def get_target(spec: str | Spec) -> Target:
    """The target a spec names. Raises `UsageError` for an unknown one, or a user's file that cannot be used."""
    return Target(**vars(resolve("target", spec)))


def convert(prediction: Tensor, x: Tensor, c: Coefficients, source: Target, to: Target) -> Tensor:
    """The prediction of `source` at x, said as `to`."""
    if source.name == to.name:
        return prediction
    return to.of(source.x1(prediction, x, c), source.eps(prediction, x, c), c)


def _over(coefficient: Tensor, x: Tensor) -> Tensor:
    return coefficient.reshape(coefficient.shape + (1,) * (x.ndim - coefficient.ndim))


@target("velocity", cite="Lipman et al. 2023")
def velocity(c: Coefficients) -> tuple[Tensor, Tensor]:
    """u = alpha' x1 + sigma' eps, the speed along the conditional path (PATH-3)."""
    return c.dalpha, c.dsigma


@target("x1", cite="Ho et al. 2020; Salimans & Ho 2022")
def x1(c: Coefficients) -> tuple[Tensor, Tensor]:
    """The data (003's x0-prediction)."""
    return torch.ones_like(c.alpha), torch.zeros_like(c.alpha)


@target("eps", cite="Ho et al. 2020")
def eps(c: Coefficients) -> tuple[Tensor, Tensor]:
    """The noise."""
    return torch.zeros_like(c.alpha), torch.ones_like(c.alpha)


@target("score", cite="Song et al. 2021; Vincent 2011")
def score(c: Coefficients) -> tuple[Tensor, Tensor]:
    """The conditional score grad log p_t(x|x1) = -eps / sigma."""
    return torch.zeros_like(c.alpha), -1 / c.sigma


@target("v", cite="Salimans & Ho 2022")
def v(c: Coefficients) -> tuple[Tensor, Tensor]:
    """v = alpha eps - sigma x1."""
    return -c.sigma, c.alpha
