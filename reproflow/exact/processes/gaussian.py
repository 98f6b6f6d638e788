"""The exact example of the Gaussian process: three points on a line."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import torch
from numpy.polynomial import Chebyshev
from torch import Tensor

from reproflow.exact import gaussian_chain, witness
from reproflow.exact.integrals import EXAMPLES, Example
from reproflow.exact.witness import FAMILIES, Family
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.log_snr import invert_lam
from reproflow.theory.paths import forward_path

PATH = "linear"
DEGREE = 96
"""Of the series in lam of the errors, whose coefficients end at 1e-13."""


@EXAMPLES.register("gaussian")
def example() -> Example:
    """The three points of `gaussian_chain`, on the linear path."""
    return Example(PATH, 10, gaussian_chain.example, gaussian_chain.levels, over_least, dip)


def over_least(c: Coefficients) -> tuple[Tensor, Tensor]:
    """Errors of eps less the least, and the squared distance from the exact denoiser."""
    over, excess = (torch.from_numpy(series(c.lam.numpy())) * c.snr for series in _errors())
    return over, excess


def dip(lam: np.ndarray) -> np.ndarray:
    """As wide as its examples can see."""
    return (lam - 2) / 2


@functools.cache
def _errors() -> tuple[Chebyshev, Chebyshev]:
    """E|x - x-hat|² less the posterior's variance, and E|x-hat - E[x|z]|², as series in lam."""
    path = forward_path(PATH)

    def series(pick: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Chebyshev:
        return Chebyshev.interpolate(
            lambda lam: pick(*gaussian_chain.losses(path, invert_lam(path, torch.from_numpy(lam)))).numpy(),
            DEGREE,
            domain=sorted(gaussian_chain.LAM_RANGE),
        )

    return series(lambda raw, least, excess: raw - least), series(lambda raw, least, excess: excess)


@FAMILIES.register("gaussian")
def witnesses() -> Family:
    """Two points at +-a."""
    return Family(
        frozenset("a"),
        witness.TWO_POINTS,
        witness.two_points_examples,
        _curves,
        lambda parameters, lam: witness.two_points(parameters["a"] * np.exp(0.5 * lam)),
        witness.two_points_sides,
        f"two points at +-a, a from {witness.SIZES[0]:.2g} to {witness.SIZES[-1]:.2g}",
        lambda parameters, law: f"data at +-{parameters['a']:.4g} with law ({law})",
    )


def _curves() -> tuple[np.ndarray, np.ndarray]:
    half = np.linspace(-14.5, 14.5, 2321)
    table = witness.two_points(np.exp(half))
    at = 0.5 * witness.LAM + np.log(witness.SIZES)[:, None]
    # Linear in between: what is ordered at the nodes of the table stays so.
    pkl, shift = (np.interp(at, half, values) for values in table)
    return pkl, shift
