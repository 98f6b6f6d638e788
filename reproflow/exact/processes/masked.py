"""The exact example of the masked process: three tokens of three values."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
from scipy import special
from torch import Tensor

from reproflow.exact import masked_chain, shares, witness
from reproflow.exact.integrals import EXAMPLES, Example
from reproflow.exact.witness import FAMILIES, Family
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


@FAMILIES.register("masked")
def witnesses() -> Family:
    """A secret dealt to tokens."""
    return Family(
        frozenset("KL"),
        (shares.DATA, shares.MODEL),
        witness.shares_examples,
        _curves,
        _at,
        witness.shares_sides,
        f"secrets shared among up to {witness.LENGTHS[-1]} tokens (copied tokens included)",
        _dealt,
    )


def _curves() -> tuple[np.ndarray, np.ndarray]:
    alpha = special.expit(witness.LAM)
    shift = np.stack([witness.told(int(p["K"]), int(p["L"]), alpha) for _, p in witness.shares_examples()])
    return shift * float(shares.kl(shares.DATA, shares.MODEL)), shift


def _at(parameters: Mapping[str, float], lam: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    shift = witness.told(int(parameters["K"]), int(parameters["L"]), 1 / (1 + np.exp(-lam)))
    return shift * float(shares.kl(shares.DATA, shares.MODEL)), shift


def _dealt(parameters: Mapping[str, float], law: str) -> str:
    k, length = (int(parameters[key]) for key in "KL")
    dealt = f"copied to {length} tokens" if k == 1 else f"dealt to {length} tokens of which {k} tell it"
    return f"a secret of law ({law}) {dealt}"
