"""The mean of a weight under the time law, and the other integrals that decide whether a hypothesis is met."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from reproflow.foundation.by_process import ByProcess
from reproflow.judge.objectives.numeric_objective import WHOLE, NumericObjective
from reproflow.numerics.intervals import Interval
from reproflow.numerics.quadrature import Integral, integral

OWN = 30  # octaves towards an end inside (0, 1)
QUANTILES = 1 << 17


@dataclass(frozen=True)
class Mean:
    """E[c(t)] as an integral of f over a span: of t, or of the quantiles u where `by_quantile`."""

    f: Callable[[np.ndarray], np.ndarray]
    span: Interval
    octaves: tuple[int, int]
    by_quantile: bool


def mass(subject: NumericObjective, t_range: Interval, times: np.ndarray | None = None) -> Integral:
    """E[c(t)] over t from the time law, inside a range: c is the loss's coefficient (`NumericObjective.on_output`).

    `times` are those that have been looked at otherwise: what c does there is in the mean.
    """
    form = mean_of(subject, t_range)
    if not form.span[1] > form.span[0]:
        return Integral(0.0, "finite", ())
    return integral(form.f, *form.span, form.octaves, looked_at(subject, form, times))


def looked_at(subject: NumericObjective, form: Mean, times: np.ndarray | None) -> np.ndarray | None:
    """The times as places of a mean's variable: where it is the quantile, by interpolation of the map."""
    if times is None or not form.by_quantile:
        return times
    u = form.span[0] + (form.span[1] - form.span[0]) * (np.arange(QUANTILES) + 0.5) / QUANTILES
    return np.unique(np.interp(times, np.maximum.accumulate(subject.quantile(u)), u))


def mean_of(subject: NumericObjective, t_range: Interval) -> Mean:
    """The integral that E[c(t)] is.

    A law without a closed density is integrated over its quantiles, which counts atoms and needs no density.
    """
    if subject.objective.prediction == "canonical" or subject.objective.time.entry.meta.get("density"):
        return Mean(subject.on_output, t_range, _inner(subject.octaves, t_range), False)
    span = subject.cdf(t_range[0]), subject.cdf(t_range[1])
    first, last = subject.reach

    def by_quantile(u: np.ndarray) -> np.ndarray:
        return subject.value(np.clip(subject.quantile(u), first, last))

    return Mean(by_quantile, span, _inner(_quantile_octaves(subject), span), True)


@dataclass(frozen=True)
class BoundConstant:
    """What makes the constant C_w finite: an integral, what it is in words, and where an infinite one does no harm.

    The integral is given the times at which w has been looked at.
    """

    of: Callable[[NumericObjective, np.ndarray], Integral]
    what: str
    exception: str = ""


BOUND_CONSTANTS: ByProcess[Callable[[], BoundConstant]] = ByProcess("constant of the bound", __name__)
"""By process: what makes the constant C_w finite."""


def bound_constant(subject: NumericObjective, times: np.ndarray) -> Integral:
    """The integral that makes the constant C_w finite, over (0, 1); `times` as in `mass`."""
    return BOUND_CONSTANTS[subject.objective.process]().of(subject, times)


@dataclass(frozen=True)
class Limit:
    """The limit of w at the noise end, in words and as a number."""

    value: float
    reason: str


def noise_limit(subject: NumericObjective) -> Limit:
    """lim w as t -> 0: its value at the ladder's end unless it still rises or falls like a power there."""
    t = 2.0 ** -np.arange(subject.dense[0] // 2, subject.dense[0] + 1.0)
    w = subject.w(t)
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


def _quantile_octaves(subject: NumericObjective) -> tuple[int, int]:
    """How far the quantiles go towards 0 and 1 before the times leave the reach of the path (an atom there stays)."""
    near = 2.0 ** -np.arange(1, 51)
    low, high = subject.quantile(near), subject.quantile(1 - near)
    below = np.flatnonzero((low < subject.reach[0]) & (low > 0))
    above = np.flatnonzero((high > subject.reach[1]) & (high < 1))
    return max(2, int(below[0]) if len(below) else 50), max(2, int(above[0]) if len(above) else 45)
