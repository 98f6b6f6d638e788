"""The mean of a weight under the time law, and the other integrals that decide whether a hypothesis is met."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from reproflow.judge.objectives.numeric_objective import WHOLE, Objective
from reproflow.numerics.intervals import Interval
from reproflow.numerics.quadrature import Integral, integral

OWN = 30  # octaves towards an end inside (0, 1)


@dataclass(frozen=True)
class Mean:
    """E[c(t)] as an integral of f over a span: of t, or of the quantiles u where `by_quantile`."""

    f: Callable[[np.ndarray], np.ndarray]
    span: Interval
    octaves: tuple[int, int]
    by_quantile: bool


def mass(objective: Objective, t_range: Interval) -> Integral:
    """E[c(t)] over t from the time law, inside a range: c is the loss's coefficient (`Objective.on_output`)."""
    form = mean_of(objective, t_range)
    return integral(form.f, *form.span, form.octaves) if form.span[1] > form.span[0] else Integral(0.0, "finite", ())


def mean_of(objective: Objective, t_range: Interval) -> Mean:
    """The integral that E[c(t)] is.

    A law without a closed density is integrated over its quantiles, which counts atoms and needs no density.
    """
    if objective.weighting.on == "canonical" or objective.law.entry.meta.get("density"):
        return Mean(objective.on_output, t_range, _inner(objective.octaves, t_range), False)
    span = objective.cdf(t_range[0]), objective.cdf(t_range[1])
    first, last = objective.reach

    def by_quantile(u: np.ndarray) -> np.ndarray:
        return objective.value(np.clip(objective.quantile(u), first, last))

    return Mean(by_quantile, span, _inner(_quantile_octaves(objective), span), True)


def bound_constant(objective: Objective) -> Integral:
    """What makes the constant C_w finite: the integral of w dalpha (masked), or of w dlam to the data (Gaussian).

    For a Gaussian process this is sufficient, and needed where the data have a density; towards the noise the loss
    itself falls like exp(lam).
    """
    if objective.path.process == "masked":
        return integral(lambda t: objective.w(t) * objective.dalpha(t), 0.0, 1.0, objective.dense)
    return integral(lambda t: objective.w(t) * objective.dlam(t), 0.5, 1.0, (OWN, objective.dense[1]))


@dataclass(frozen=True)
class Limit:
    """The limit of w at the noise end, in words and as a number."""

    value: float
    reason: str


def noise_limit(objective: Objective) -> Limit:
    """lim w as t -> 0: its value at the ladder's end unless it still rises or falls like a power there."""
    t = 2.0 ** -np.arange(objective.dense[0] // 2, objective.dense[0] + 1.0)
    w = objective.w(t)
    if not (np.isfinite(w) & (w > 0)).all():
        return Limit(float(w[-1]), f"w tends to {w[-1]:.4g} at the noise end")
    exponent = math.log(w[-1] / w[0]) / math.log(t[-1] / t[0])
    if abs(exponent) < 1e-3:
        return Limit(float(w[-1]), f"w tends to {w[-1]:.4g} at the noise end")
    word = "infinity" if exponent < 0 else "zero"
    return Limit(math.inf if exponent < 0 else 0.0, f"w tends to {word} at the noise end")


def _inner(octaves: tuple[int, int], t_range: Interval) -> tuple[int, int]:
    """A range that ends inside (0, 1) may have a pole there; it is approached as far as its digits allow."""
    return octaves[0] if t_range[0] == WHOLE[0] else OWN, octaves[1] if t_range[1] == WHOLE[1] else OWN


def _quantile_octaves(objective: Objective) -> tuple[int, int]:
    """How far the quantiles go towards 0 and 1 before the times leave the reach of the path (an atom there stays)."""
    near = 2.0 ** -np.arange(1, 51)
    low, high = objective.quantile(near), objective.quantile(1 - near)
    below = np.flatnonzero((low < objective.reach[0]) & (low > 0))
    above = np.flatnonzero((high > objective.reach[1]) & (high < 1))
    return max(2, int(below[0]) if len(below) else 50), max(2, int(above[0]) if len(above) else 45)
