"""The exact example of the masked process: three tokens of three values."""

from __future__ import annotations

import functools

import numpy as np
from torch import Tensor

from reproflow.exact import masked_chain
from reproflow.exact.integrals import EXAMPLES, Example
from reproflow.theory.coefficients import Coefficients


@EXAMPLES.register("masked")
def example() -> Example:
    """The words of `masked_chain`, on the cosine path."""
    return Example("cosine", 6, masked_chain.example, masked_chain.levels, over_least, dip)


def over_least(c: Coefficients) -> tuple[Tensor, Tensor]:
    """Cross-entropies less the least, and divergences from the exact denoiser."""
    over, excess = (masked_chain.by_time(sums, c.sigma) for sums in _sums())
    return over, excess


def dip(lam: np.ndarray) -> np.ndarray:
    """Near the data, at a share of 0.08 hidden."""
    place: np.ndarray = (1 / (1 + np.exp(lam)) - 0.08) / 0.02
    return place


@functools.cache
def _sums() -> tuple[Tensor, Tensor]:
    """The cross-entropies less those of the exact denoiser, and the divergences from it, by how many are hidden."""
    least = masked_chain.cross_entropies(masked_chain.exact_logits)
    return masked_chain.cross_entropies() - least, masked_chain.excesses()
