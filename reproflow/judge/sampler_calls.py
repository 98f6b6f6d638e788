r"""Is a function that draws times one law, of its generator alone?

Training asks for a batch of times again and again. So a sampler must give the same times from the same generator,
others from another one, and must not know how often, in which company or in which run of its file a time is drawn:

- n times from a seed, few and many, are the same when they are drawn again, at last and by another run of the file;
- another seed gives other times, unless it is one and the same time that is drawn throughout;
- times drawn a few at a time, from many seeds, and many at once from another seed have one distribution: samples agree
  by Smirnov's test unless p < 1e-9. So t / t.max(), a scale drawn once a call, or a law that changes with n, are seen
  where they move the distribution by about 7 % of probability.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from reproflow.foundation import law_forms, tables
from reproflow.foundation.errors import UserFunctionError
from reproflow.foundation.specs import Spec
from reproflow.theory import user_functions

SEED = 20240607
AGAIN = 64
FEW = 8
CALLS = 256
UNLIKELY = 1e-9
GENERATORS = ("generator", "gen", "g", "rng")


@dataclass(frozen=True)
class Sampler:
    """f(n, generator) or f(generator, n) of a user's file, its parameters in the spec."""

    function: Callable[..., Any]
    spec: Spec

    def __call__(self, count: int, seed: int = SEED) -> np.ndarray:
        """So many times, (count,) in float64, from a fresh generator.

        Raises `UserFunctionError` for anything else than that many numbers.
        """
        body = functools.partial(self.function, **dict(self.spec.params))
        names = list(inspect.signature(body).parameters)[:2]
        generator = np.random.default_rng(seed) if "rng" in names else torch.Generator().manual_seed(seed)
        order = (generator, count) if names[0] in GENERATORS else (count, generator)
        t = tables.real_numbers(user_functions.call(body, law_forms.SAMPLER, self.spec, *order))
        if t is None or t.ndim == 0:
            raise UserFunctionError(f"{self.name} was asked for {count} times, it gave no array of real numbers.")
        if t.shape not in ((count,), (count, 1)):
            shown = len(t) if t.ndim == 1 else f"the shape {t.shape}"
            raise UserFunctionError(f"{self.name} was asked for {count} times, it gave {shown}.")
        t = t.reshape(count)
        if np.isnan(t).any():
            raise UserFunctionError(f"{self.name} draws NaN ({int(np.isnan(t).sum())} of {count} times).")
        return t

    @property
    def name(self) -> str:
        """What it is called in errors."""
        return f"sampler {self.spec.name!r}"


def drawn(sampler: Sampler, count: int) -> np.ndarray:
    """That many times, (count,), of a sampler that draws one law from its generator alone.

    Raises `UserFunctionError` where it does not, in words.
    """
    few, again = sampler(AGAIN), sampler(AGAIN)
    _same(sampler, few, again)
    t, other = sampler(count), sampler(count, SEED + 1)
    if np.array_equal(t, other) and t.min() < t.max():
        raise UserFunctionError(f"{sampler.name} gives the same times from every generator; draw from the one it gets.")
    small = np.concatenate([sampler(FEW, SEED + 2 + call) for call in range(CALLS)])
    for sample, how in ((other, "from another generator"), (small, f"{FEW} at a time")):
        _one_law(sampler, t, sample, how)
    _same(sampler, few, sampler(AGAIN))
    _same(sampler, t, sampler(count))
    anew = Sampler(getattr(user_functions.run_again(sampler.spec), sampler.spec.function), sampler.spec)
    if not np.array_equal(few, anew(AGAIN)):
        raise UserFunctionError(
            f"{sampler.name} gives other times from the same generator when its file is run anew; draw from it alone."
        )
    return t


def _same(sampler: Sampler, first: np.ndarray, second: np.ndarray) -> None:
    if not np.array_equal(first, second):
        raise UserFunctionError(f"{sampler.name} gives other times from the same generator; draw from it alone.")


def _one_law(sampler: Sampler, t: np.ndarray, other: np.ndarray, how: str) -> None:
    from scipy import stats

    found = stats.ks_2samp(t, other, method="asymp")
    if found.pvalue < UNLIKELY:
        raise UserFunctionError(
            f"{sampler.name} draws another law {how} than {len(t)} at once: P(T <= {found.statistic_location:.4g}) "
            f"differs by {found.statistic:.3g}; times must be drawn alike for every n, each by itself."
        )
