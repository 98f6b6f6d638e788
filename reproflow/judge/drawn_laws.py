r"""Time laws that are known by their draws alone: what draws can tell, and what they cannot.

`sampler:FILE.py:f` is asked for n = 2^18 times, with a generator of fixed seed. Of the 1000 cells of length 1/1000
those that no draw has met have a probability below log(20 * 1000)/n each, at confidence 95 % for all at once; it may be
zero and may not. So what draws have not met stays open. A law is refuted where a draw lies outside [0, 1], or where
next to all draws repeat each other, as on a grid of steps.

For an objective the law is the monotone cubic through 64 empirical quantiles in the logit of t.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reproflow.foundation import law_forms, registry, specs, tables, user_files
from reproflow.foundation.errors import UsageError, UserFunctionError
from reproflow.foundation.specs import Spec
from reproflow.numerics.bisection import bisect
from reproflow.theory import user_functions
from reproflow.theory.times import TimeLaw

DRAWS = 1 << 18
AGAIN = 64
CELLS = 1000
KNOTS = 64
SEED = 20240607
UNSEEN = math.log(20 * CELLS) / DRAWS
"""The probability of every cell that no draw has met is below this, at confidence 95 % for all cells at once."""
ATOM = 32
"""A time that is drawn so often has a probability of its own: single precision repeats itself a few times at most."""
ALONE = 1e-3
DRAWN = "drawn"
HALVINGS = 60
GENERATORS = ("generator", "gen", "g", "rng")


@dataclass(frozen=True)
class Draws:
    """Times in order of size, (DRAWS,)."""

    t: np.ndarray

    @property
    def outside(self) -> np.ndarray:
        """The draws that are no times in [0, 1]."""
        return self.t[~((self.t >= 0) & (self.t <= 1))]

    @functools.cached_property
    def atoms(self) -> list[tuple[float, float]]:
        """Times that are drawn again and again, with their shares."""
        place, count = self._counted
        often = count >= ATOM
        return [(float(t), float(n) / DRAWS) for t, n in zip(place[often], count[often], strict=True)]

    @property
    def repeats(self) -> bool:
        """Whether next to every draw is another one again: a law of atoms alone."""
        return float((self._counted[1] == 1).sum()) < ALONE * DRAWS

    @functools.cached_property
    def _counted(self) -> tuple[np.ndarray, np.ndarray]:
        place, count = np.unique(self.t, return_counts=True)
        return place, count

    @functools.cached_property
    def undrawn(self) -> list[tuple[float, float]]:
        """The stretches of cells of length 1/1000 that no draw has met."""
        empty = np.histogram(self.t, CELLS, (0.0, 1.0))[0] == 0
        change = np.flatnonzero(np.diff(np.concatenate([[False], empty, [False]]).astype(int)))
        return [(float(low) / CELLS, float(high) / CELLS) for low, high in zip(change[::2], change[1::2], strict=True)]


def draws(text: str, turned: bool = False) -> Draws:
    """The draws of `sampler:FILE.py:f`, of 1 - T where it is turned.

    Raises `UsageError` for a function that cannot be used, that gives other than n numbers, or not the same
    from the same generator.
    """
    spec = specs.parse(law_forms.split(text)[1], law_forms.SAMPLER)
    if not spec.file:
        raise UsageError(f"sampler {text!r}: write sampler:FILE.py:FUNCTION, f(n, generator) or f(generator, n).")
    user_files.check(law_forms.SAMPLER, spec, "gaussian")
    function = user_functions.member(spec)
    if not callable(function):
        raise UsageError(f"sampler {text!r}: {spec.function!r} in {spec.file} is not a function.")
    body = functools.partial(function, **dict(spec.params))
    first, second = (_called(body, spec, AGAIN) for _ in range(2))
    if not np.array_equal(first, second):
        raise UserFunctionError(f"sampler {spec.name!r} gives other times from the same generator; draw from it alone.")
    t = _called(body, spec, DRAWS)
    return Draws(np.sort(1 - t if turned else t))


def _called(body: Callable[..., Any], spec: Spec, count: int) -> np.ndarray:
    names = list(inspect.signature(body).parameters)[:2]
    generator = np.random.default_rng(SEED) if "rng" in names else torch.Generator().manual_seed(SEED)
    order = (generator, count) if names[0] in GENERATORS else (count, generator)
    found = tables.table(spec.name, user_functions.call(body, law_forms.SAMPLER, spec, *order)).values
    if len(found) != count:
        raise UserFunctionError(f"sampler {spec.name!r} was asked for {count} times, it gave {len(found)}.")
    return found


def drawn_law(text: str, turned: bool = False) -> TimeLaw:
    """The law of a sampler as a smooth one through its quantiles; its entry's `meta` holds the draws.

    Raises `UsageError` for draws outside [0, 1], and for a law of atoms alone, which is a chain of levels.
    """
    found = draws(text, turned)
    if len(found.outside):
        raise UsageError(f"time law {text!r} draws t = {found.outside[0]:.6g}, outside [0, 1].")
    if found.repeats or len(found.atoms) > 0:
        raise UsageError(
            f"time law {text!r} draws the same times again and again ({len(found.atoms)} times with a probability of "
            "their own); a law over steps belongs to a chain: --levels N, or a table."
        )
    from scipy.interpolate import PchipInterpolator

    t = np.clip(found.t, 1e-12, 1 - 1e-12)
    z = np.log(t) - np.log1p(-t)
    below = np.arange(KNOTS + 1) / KNOTS
    at = np.quantile(z, below)
    if not (np.diff(at) > 0).all():
        raise UsageError(f"time law {text!r} draws one time too often; see reproflow check time {text}")
    curve = PchipInterpolator(at, below)
    slope = curve.derivative()

    def logit(t: Tensor) -> np.ndarray:
        return torch.logit(t.detach().double()).numpy()

    def cdf(t: Tensor) -> Tensor:
        return torch.from_numpy(curve(np.clip(logit(t), at[0], at[-1]))).to(t)

    def density(t: Tensor) -> Tensor:
        place = logit(t)
        inside = (place >= at[0]) & (place <= at[-1])
        return torch.from_numpy(np.where(inside, slope(np.clip(place, at[0], at[-1])), 0.0)).to(t) / (t * (1 - t))

    def quantile(u: Tensor) -> Tensor:
        wanted = u.detach().double().numpy()
        low, high = np.full_like(wanted, at[0]), np.full_like(wanted, at[-1])
        return torch.from_numpy(1 / (1 + np.exp(-bisect(lambda z: curve(z) < wanted, low, high, HALVINGS)))).to(u)

    meta = {"density": density, "cdf": cdf, DRAWN: found}
    entry = registry.Entry("time", "gaussian", text, quantile, "", text, {}, meta)
    return TimeLaw(text, "gaussian", entry, quantile, fine=True)
