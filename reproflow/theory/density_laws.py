r"""Time laws given by a density that need not be normalised, :math:`\pi = f / \int_0^1 f`.

The integral is `numerics.quadrature`'s, which knows a pole that it can integrate. Its cumulative is kept at the ends of
pieces on which the Gauss-Kronrod rule resolves f, and between them as the cubic with the right slopes; the quantile map
is the inverse by bisection. How far the cubic is from the quadrature is measured at the middle of every piece and told.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reproflow.foundation import expression_syntax, law_forms, registry, specs, user_files
from reproflow.foundation.errors import UsageError
from reproflow.foundation.specs import Spec
from reproflow.numerics import cumulative, quadrature
from reproflow.numerics.bisection import bisect
from reproflow.theory import expression_values, user_functions
from reproflow.theory.times import TimeLaw

PARTS = 16
HALVINGS = 60
ACCURACY = "accuracy"
MASS = "mass"

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


def fault(density: Density) -> str:
    """Why a function is no density: negative, of infinite or no integral. In words, or nothing."""
    t = (np.arange(8192) + 0.5) / 8192
    value = _numbers(density)(t)
    if (value < 0).any():
        return f"the density is negative at t = {t[value < 0][0]:.6g}"
    mass = quadrature.integral(_numbers(density))
    if mass.verdict != "finite":
        pole = mass.worst
        word = "infinite" if mass.verdict == "infinite" else "infinite, or nearly so"
        return f"the integral of the density is {word}: it goes like |t - {pole.place:.4g}|^{pole.exponent:.3g}"
    return "" if mass.value > 0 else "the density is zero everywhere"


def density_of(spec: Spec) -> Density:
    """The unnormalised density that a spec names, of t. Raises `UsageError` for one that cannot be used."""
    if spec.registered:
        raise UsageError(f"density {spec.name!r}: write density:FILE.py:FUNCTION or density:expr:EXPRESSION, in t.")
    user_files.check(law_forms.DENSITY, spec, "gaussian")
    if spec.is_expression:
        [tree] = expression_syntax.parse(spec.expression, law_forms.DENSITY)
        return lambda t: expression_values.evaluate(tree, {"t": t}) + torch.zeros_like(t)
    return functools.partial(user_functions.load(law_forms.DENSITY, spec)[0], **dict(spec.params))


def density_law(text: str) -> TimeLaw:
    """The law of `density:..`; its entry's `meta` holds the mass of f and the accuracy beside density and cdf.

    Raises `UsageError` where the function is no density.
    """
    density = density_of(specs.parse(law_forms.split(text)[1], law_forms.DENSITY))
    if why := fault(density):
        raise UsageError(f"time law {text!r}: {why}.")
    found = tabulated(density)

    def wrapped(function: Callable[[np.ndarray], np.ndarray], x: Tensor) -> Tensor:
        return torch.from_numpy(function(x.detach().double().numpy())).to(x)

    meta = {
        "density": lambda t: density(t) / found.mass,
        "cdf": lambda t: wrapped(found.at, t),
        MASS: found.mass,
        ACCURACY: found.accuracy,
    }
    quantile = functools.partial(wrapped, found.quantile)
    entry = registry.Entry("time", "gaussian", text, quantile, "", text, {}, meta)
    return TimeLaw(text, "gaussian", entry, quantile, fine=True)


def tabulated(density: Density) -> Cumulative:
    """The cumulative of a density of finite mass."""
    f = _numbers(density)
    mass = quadrature.integral(f)
    exponents = mass.poles[0].exponent, mass.poles[-1].exponent
    inner = tuple(pole.place for pole in mass.poles[1:-1])
    whole = cumulative.cumulative(f, (0.0, 1.0), quadrature.OCTAVES, exponents, inner)
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
