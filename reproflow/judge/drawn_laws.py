r"""Time laws that are known by their draws alone: what draws can tell, and what they cannot.

`sampler:FILE.py:f` is asked for n = 2^18 times, with a generator of fixed seed. Of the 1000 cells of length 1/1000
those that no draw has met have a probability below log(20 * 1000)/n each, at confidence 95 % for all at once; it may be
zero and may not. So what draws have not met stays open. A law is refuted where a draw lies outside [0, 1], or where
next to all draws repeat each other, as on a grid of steps; where many do, as on a finer grid, it stays open.

For an objective the law is the monotone cubic through 64 empirical quantiles in the logit of t.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from reproflow.foundation import law_forms, registry, specs, user_files
from reproflow.foundation.errors import UsageError
from reproflow.judge import sampler_calls
from reproflow.judge.sampler_calls import Sampler
from reproflow.numerics.bisection import bisect
from reproflow.theory import user_functions
from reproflow.theory.times import TimeLaw

DRAWS = 1 << 18
CELLS = 1000
KNOTS = 64
UNSEEN = math.log(20 * CELLS) / DRAWS
"""The probability of every cell that no draw has met is below this, at confidence 95 % for all cells at once."""
ATOM = 32
"""A time that is drawn so often has a probability of its own: single precision repeats itself a few times at most."""
ALONE = 1e-3
REPEATED = 0.05
DRAWN = "drawn"
HALVINGS = 60


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
    def grid(self) -> float:
        """The share of the draws that repeat each other though no time is an atom; 0 where single precision does that.

        Of 2^24 equally probable numbers 1.6 % of the draws do.
        """
        count = self._counted[1]
        rare = count[count < ATOM]
        share = float(rare[rare > 1].sum()) / max(1, int(rare.sum()))
        return share if share > REPEATED else 0.0

    @property
    def atom_words(self) -> str:
        """The times that are drawn again and again, or how many draws repeat each other, in words."""
        if self.grid:
            return f"{100 * self.grid:.3g} % of the draws that are no atoms repeat each other"
        shown = ", ".join(f"t = {place:.6g} with probability {mass:.3g}" for place, mass in self.atoms[:2])
        return shown + (f" and {len(self.atoms) - 2} more" if len(self.atoms) > 2 else "")

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

    Raises `UsageError` for a function that cannot be used, and `UserFunctionError` as `Sampler` does.
    """
    spec = specs.parse(law_forms.split(text)[1], law_forms.SAMPLER)
    if not spec.file:
        raise UsageError(f"sampler {text!r}: write sampler:FILE.py:FUNCTION, f(n, generator) or f(generator, n).")
    user_files.check(law_forms.SAMPLER, spec, "gaussian")
    function = user_functions.member(spec)
    if not callable(function):
        raise UsageError(f"sampler {text!r}: {spec.function!r} in {spec.file} is not a function.")
    t = sampler_calls.drawn(Sampler(function, spec), DRAWS)
    return Draws(np.sort(1 - t if turned else t))


def drawn_law(text: str, turned: bool = False) -> TimeLaw:
    """The law of a sampler as a smooth one through its quantiles; its entry's `meta` holds the draws.

    Raises `UsageError` for draws outside [0, 1], and for a law of atoms alone, which is a chain of levels.
    """
    found = draws(text, turned)
    if len(found.outside):
        raise UsageError(f"time law {text!r} draws t = {found.outside[0]:.6g}, outside [0, 1].")
    if found.repeats or found.grid:
        raise UsageError(
            f"time law {text!r} draws the same times again and again ({found.atom_words}); a law over steps belongs "
            "to a chain: --levels N, or a table; times of a smooth law are drawn in float64."
        )
    if found.atoms:
        raise UsageError(
            f"time law {text!r} draws some times again and again ({found.atom_words}): draws have no smooth law beside "
            "them; give the quantile map, FILE.py:Q, which may have atoms."
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
