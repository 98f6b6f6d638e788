r"""How fine a time law has been seen: at which length its probability is spread evenly.

A law without a gap need not dominate Lebesgue's measure. One of atoms at all dyadic times, or a singular one without
atoms, reaches every interval and draws almost no time at all; one with gaps shorter than any number that was looked at
leaves out what they add up to. A law dominates if its cdf F has a positive derivative almost everywhere, and that is
what is looked for, at places t that are spread evenly over (0, 1): the probabilities of both neighbours of length r

.. math:: F(t) - F(t - r), \qquad F(t + r) - F(t)

are positive and equal to 0.4 %. At almost every t that is so for all small r where F' > 0, and for none where a law is
singular. r is 1.4e-10, or as much longer as it takes for u to have digits there. The law is seen to dominate at the r
with which 99 % of the places do.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch

from reproflow.numerics.intervals import Interval, inside
from reproflow.theory.time_law_gaps import POINTS
from reproflow.theory.time_law_support import gaps, lost
from reproflow.theory.times import TimeLaw

PLACES = 2048
FINEST = 1.37e-10
COARSEST = 1e-4
UNSEEN = 0.01
"""The share of the length that may lie below the resolution."""
EVEN = 4e-3
PLENTY = 4096.0
FEWEST = 64.0
CURE = "state the law's density (@time_law(.., density=f), or density:FILE.py:f), which has them"


@dataclass(frozen=True)
class Resolution:
    """At places (P,), the length r at which the law is even there, infinite where it is at none.

    `starved` says where u has too few digits to tell, or the density; `by_density` that a closed density tells, which
    is positive at all other times looked at.
    """

    places: np.ndarray
    lengths: np.ndarray
    starved: np.ndarray
    by_density: bool = False

    def within(self, t_range: Interval) -> tuple[float | None, float]:
        """The r that 99 % of a range of times have, None where there is none, and the share that has none."""
        lengths = self.lengths[(self.places >= t_range[0]) & (self.places <= t_range[1])]
        if not len(lengths):
            return None, 1.0
        below = float(np.isinf(lengths).mean())
        if below > UNSEEN:
            return None, below
        return float(np.sort(lengths)[int((1 - UNSEEN) * (len(lengths) - 1))]), below

    def text(self, t_range: Interval) -> str:
        """What has been seen of a range, in words."""
        length, below = self.within(t_range)
        if length is not None:
            return f"at a resolution of {length:.2g} in t" + (" (by its density)" if self.by_density else "")
        within = (self.places >= t_range[0]) & (self.places <= t_range[1]) & np.isinf(self.lengths)
        lost = self.places[within & self.starved]
        if 2 * len(lost) > within.sum():
            where = f"from {lost.min():.4g} to {lost.max():.4g}"
            share = f"{100 * below:.3g} % of t, {where}"
            if self.by_density:
                return f"the density is too small for float64 for {share}, and may be zero there"
            return f"u has too few digits for {share}; {CURE}"
        return f"for {100 * below:.3g} % of t the probability is not spread evenly at any length down to {FINEST:.2g}"


@functools.lru_cache(maxsize=256)
def resolution(law: TimeLaw) -> Resolution:
    """How fine a law has been seen outside of its gaps, which are no question of resolution."""
    # At random in equal parts: places in step with a comb would all lie in its teeth.
    places = (np.arange(PLACES) + np.random.default_rng(0).uniform(size=PLACES)) / PLACES
    stated = _stated(law, places)
    if stated is not None and bool(stated.all()):
        return Resolution(places, np.full(PLACES, 1.0 / POINTS), np.zeros(PLACES, dtype=bool), True)
    places = places[~inside(gaps(law), torch.from_numpy(places)).numpy()]
    if lost(law):
        seen = ~inside(lost(law), torch.from_numpy(places)).numpy()
        return Resolution(places, np.where(seen, 1.0 / POINTS, np.inf), ~seen, True)
    middle = _cdf(law, places)
    left, right, digit = _beside(law, places, middle, np.full(len(places), COARSEST))
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = PLENTY * digit * COARSEST / (0.5 * (left + right))
    length = np.clip(np.nan_to_num(wanted, nan=COARSEST, posinf=COARSEST), FINEST, COARSEST)
    left, right, digit = _beside(law, places, middle, length)
    enough = left + right >= FEWEST * digit
    even = np.abs(right - left) <= EVEN * (left + right) + 4 * digit
    return Resolution(places, np.where(enough & even, length, np.inf), ~enough & (length == COARSEST))


def _stated(law: TimeLaw, places: np.ndarray) -> np.ndarray | None:
    """Whether a law's density is positive at places, to its digits; None where it states none."""
    if not law.entry.meta.get("density"):
        return None
    at = torch.from_numpy(places)
    return ((law.density(at) > 0) & ~inside(lost(law), at)).numpy()


def _beside(
    law: TimeLaw, t: np.ndarray, middle: np.ndarray, length: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The probabilities of both neighbours of a length, and the last digit of u there, (P,) each.

    A neighbour that would leave (0, 1) is cut, and its probability taken for the whole.
    """
    low, high = np.maximum(t - length, 0.5 * t), np.minimum(t + length, 0.5 * (1 + t))
    below, above = _cdf(law, low), _cdf(law, high)
    return (middle - below) * length / (t - low), (above - middle) * length / (high - t), np.spacing(above)


def _cdf(law: TimeLaw, t: np.ndarray) -> np.ndarray:
    found: np.ndarray = law.cdf(torch.from_numpy(t)).numpy()
    return found
