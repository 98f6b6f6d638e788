r"""Time laws given by a density that need not be normalised, :math:`\pi = f / \int_0^1 f`.

The integral is `numerics.quadrature`'s, which knows a pole that it can integrate. Its cumulative is kept at the ends of
pieces on which the Gauss-Kronrod rule resolves f, and between them as the cubic with the right slopes; the quantile map
is the inverse by bisection. How far the cubic is from the quadrature is measured at the middle of every piece and told.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from reproflow.foundation import expression_syntax, law_forms, registry, specs, user_files
from reproflow.foundation.errors import UsageError
from reproflow.foundation.specs import Spec
from reproflow.foundation.verdicts import INCONCLUSIVE, REFUTED
from reproflow.numerics import cumulative, intervals, quadrature
from reproflow.numerics.bisection import bisect
from reproflow.numerics.intervals import Interval
from reproflow.numerics.zero_sets import zero_sets
from reproflow.theory import expression_values, user_functions
from reproflow.theory.components import Component
from reproflow.theory.times import TimeLaw

PARTS = 16
HALVINGS = 60
POINTS = 1 << 17
TIMES = (np.arange(POINTS) + 0.5) / POINTS
"""Where a density is looked at for negative values, peaks and zeros, beside what the quadrature asks for."""
BENDS = 1 << 14
LEAST_ACCURATE = 1e-4
SMALLEST = 1e-300
ACCURACY = "accuracy"
MASS = "mass"
ZERO = "zero"
"""Where the density is zero: the gaps of the law."""
LOST = "lost"
"""Where it is zero by lack of digits."""

Density = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Cumulative:
    """P(T <= t) of a density: its values and slopes at `t`, all (K,), and how far it may be off between."""

    t: np.ndarray
    below: np.ndarray
    slope: np.ndarray
    mass: float
    accuracy: float

    def at(self, t: np.ndarray) -> np.ndarray:
        """P(T <= t), of t's shape."""
        place = np.clip(np.searchsorted(self.t, t, side="right") - 1, 0, len(self.t) - 2)
        return self._in(place, t)

    def quantile(self, u: np.ndarray) -> np.ndarray:
        """t with P(T <= t) = u, of u's shape."""
        place = np.clip(np.searchsorted(self.below, u, side="right") - 1, 0, len(self.t) - 2)
        low, high = self.t[place], self.t[place + 1]
        return bisect(lambda t: self._in(place, t) < u, low, high, HALVINGS)

    def _in(self, place: np.ndarray, t: np.ndarray) -> np.ndarray:
        width = self.t[place + 1] - self.t[place]
        x = np.clip((t - self.t[place]) / width, 0.0, 1.0)
        low, high = self.below[place], self.below[place + 1]
        first, last = width * self.slope[place], width * self.slope[place + 1]
        value = (
            low + x * first + x**2 * (3 * (high - low) - 2 * first - last) + x**3 * (first + last - 2 * (high - low))
        )
        return np.clip(value, low, high)


@dataclass(frozen=True)
class Fault:
    """Why a function is no density (`verdict` refuted), or cannot be told to be one (inconclusive)."""

    verdict: str
    reason: str


def fault(density: Density) -> Fault | None:
    """What is wrong with a function as a density, if anything is.

    It is looked at on `TIMES` and wherever the quadrature asks: negative, of infinite or no integral, or one that the
    quadrature cannot follow.
    """
    least = [0.0, 0.0]

    def watched(t: np.ndarray) -> np.ndarray:
        value = _numbers(density)(t)
        if len(value) and value.min() < least[1]:
            least[:] = float(t[value.argmin()]), float(value.min())
        return value

    watched(TIMES)
    mass = None if least[1] < 0 else _mass(watched)
    if least[1] < 0:
        return Fault(REFUTED, f"the density is negative at t = {least[0]:.6g}: {least[1]:.6g}")
    assert mass is not None
    if mass.verdict == "infinite":
        return Fault(REFUTED, f"the integral of the density is infinite: {_pole(mass)}")
    if mass.verdict != "finite":
        return Fault(INCONCLUSIVE, _undecided(mass))
    return None if mass.value > 0 else Fault(REFUTED, "the density is zero everywhere")


def _mass(f: quadrature.Function) -> quadrature.Integral:
    return quadrature.integral(f, times=_times(f))


def _times(f: quadrature.Function) -> np.ndarray | None:
    """The times at which peaks are looked for; none where f bends at most of them, which halving finds by itself."""
    return TIMES if len(quadrature.bends(f, TIMES)) <= BENDS else None


def _pole(mass: quadrature.Integral) -> str:
    pole = mass.worst
    if pole.exponent == -np.inf:
        return f"it is infinite, or too large for float64, around t = {pole.place:.4g}"
    return f"it goes like |t - {pole.place:.4g}|^{pole.exponent:.3g}"


def _undecided(mass: quadrature.Integral) -> str:
    if any(pole.verdict == "inconclusive" for pole in mass.poles):
        return f"the integral of the density may be infinite: {_pole(mass)}, too close to t^-1 to tell"
    return f"around t = {mass.unresolved:.6g} the density changes faster than the quadrature can follow"


def density_of(spec: Spec) -> Density:
    """The unnormalised density that a spec names, of t. Raises `UsageError` for one that cannot be used."""
    if spec.registered:
        raise UsageError(f"density {spec.name!r}: write density:FILE.py:FUNCTION or density:expr:EXPRESSION, in t.")
    user_files.check(law_forms.DENSITY, spec, "gaussian")
    if spec.is_expression:
        [tree] = expression_syntax.parse(spec.expression, law_forms.DENSITY)
        return lambda t: expression_values.evaluate(tree, {"t": t}) + torch.zeros_like(t)
    return functools.partial(user_functions.load(law_forms.DENSITY, spec)[0], **dict(spec.params))


def density_law(text: str, turned: bool = False) -> TimeLaw:
    """The law of `density:..`, of 1 - T where it is turned.

    Its entry's `meta` holds, beside density and cdf, the mass of f, the accuracy, and where f is zero or too small.

    Raises as `law_or_fault`, and `UsageError` where that gives a fault.
    """
    found = law_or_fault(text, turned)
    if isinstance(found, Fault):
        raise UsageError(f"time law {text!r}: {found.reason}.")
    return found


def law_or_fault(text: str, turned: bool = False) -> TimeLaw | Fault:
    """As `density_law`, or why the function is no density, or cannot be told to be one.

    A check asks for its law again and again, and it is tabulated once: a user's file is run once in a process, so that
    its function stays the same. Raises `UsageError` for a function that cannot be used, and `UserFunctionError` where
    its value at a time depends on anything but that time.
    """
    spec = specs.parse(law_forms.split(text)[1], law_forms.DENSITY)
    return _law_or_fault(text, spec, str(Path(spec.file).resolve()), turned)


@functools.lru_cache(maxsize=8)
def _law_or_fault(text: str, spec: Spec, file: str, turned: bool) -> TimeLaw | Fault:
    """`file` is where the spec's file lies; the spec alone would name another one in another folder."""
    _check_pointwise(spec)
    given = density_of(spec)
    if wrong := fault(given):
        return wrong
    density: Density = (lambda t: given(1 - t)) if turned else given
    found = tabulated(density)
    if found.accuracy > LEAST_ACCURATE:
        return Fault(INCONCLUSIVE, coarse(found))
    sets = zero_sets(lambda t: _numbers(density)(t) / found.mass, TIMES)
    lost = _to_the_ends(sets.lost)

    def wrapped(function: Callable[[np.ndarray], np.ndarray], x: Tensor) -> Tensor:
        return torch.from_numpy(function(x.detach().double().numpy())).to(x)

    meta = {
        "density": lambda t: _without(lost, t, density(t) / found.mass),
        "cdf": lambda t: wrapped(found.at, t),
        MASS: found.mass,
        ACCURACY: found.accuracy,
        ZERO: _to_the_ends(sets.zero),
        LOST: lost,
    }
    quantile = functools.partial(wrapped, found.quantile)
    entry = registry.Entry("time", "gaussian", text, quantile, "", text, {}, meta)
    return TimeLaw(text, "gaussian", entry, quantile, fine=True)


def _check_pointwise(spec: Spec) -> None:
    """Raises `UserFunctionError` where a density of a file depends on anything but the time it is asked for."""
    from reproflow.theory import pointwise  # which asks laws for their stated densities, too

    function = density_of(spec)
    entry = registry.Entry(law_forms.DENSITY, "gaussian", spec.name, function, "", spec.source, dict(spec.params))
    if not spec.is_expression:
        pointwise.check_density(Component(spec.name, "gaussian", entry, function))


def _to_the_ends(found: list[Interval]) -> tuple[Interval, ...]:
    """Intervals that begin or end with the times looked at begin or end with (0, 1)."""
    first, last = float(TIMES[0]), float(TIMES[-1])
    return tuple((0.0 if low == first else low, 1.0 if high == last else high) for low, high in found)


def coarse(found: Cumulative) -> str:
    """In words, how far the quantiles of a density may be off."""
    return f"the density changes too fast: its P(T <= t) is known to {found.accuracy:.1g} only; give the quantile map"


def _without(lost: tuple[Interval, ...], t: Tensor, density: Tensor) -> Tensor:
    """The density with the least positive number where it is zero by lack of digits: no gap of the law."""
    return torch.where(intervals.inside(lost, t) & (density == 0), SMALLEST, density) if lost else density


def tabulated(density: Density) -> Cumulative:
    """The cumulative of a density of finite mass."""
    f = _numbers(density)
    mass = _mass(f)
    exponents = mass.poles[0].exponent, mass.poles[-1].exponent
    inner = tuple(pole.place for pole in mass.poles[1:-1])
    whole = cumulative.cumulative(f, (0.0, 1.0), quadrature.OCTAVES, exponents, inner, _times(f))
    ends = whole.ends
    t = np.unique(np.concatenate([ends[:-1] + (ends[1:] - ends[:-1]) * part / PARTS for part in range(PARTS)] + [ends]))
    areas = cumulative.areas(f, t[:-1], t[1:])
    below = whole.below[0] + np.concatenate([[0.0], np.cumsum(areas)])
    total = below[-1] + (whole.total - whole.below[-1])
    slope = np.where(np.isfinite(value := f(t)), value, 0.0)
    table = Cumulative(
        np.concatenate([[0.0], t, [1.0]]),
        np.concatenate([[0.0], below / total, [1.0]]),
        np.concatenate([[below[0] / total / t[0]], slope / total, [(1 - below[-1] / total) / (1 - t[-1])]]),
        mass.value,
        0.0,
    )
    middle = 0.5 * (t[1:] + t[:-1])
    right = (below[:-1] + cumulative.areas(f, t[:-1], middle)) / total
    off = float(np.abs(table.at(middle) - right).max()) + abs(total / mass.value - 1)
    return Cumulative(table.t, table.below, table.slope, mass.value, max(off, 2.0**-52))


def _numbers(density: Density) -> Callable[[np.ndarray], np.ndarray]:
    return lambda t: density(torch.from_numpy(np.ascontiguousarray(t))).detach().double().numpy()
