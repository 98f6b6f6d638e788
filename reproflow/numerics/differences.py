r"""Derivatives by differences alone: what a derivative taken by automatic differentiation is held to.

Central differences with steps h, h/2, h/4, .. are extrapolated to h = 0 (Richardson; Ridders 1982),

.. math:: D_{j,m} = \frac{4^m D_{j,m-1} - D_{j-1,m-1}}{4^m - 1},

and at every point the entry is taken that differs least from the two it comes from; that difference is its error.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

LEVELS = 15
ORDERS = 6


def derivative(
    f: Callable[[np.ndarray], np.ndarray], x: np.ndarray, step: np.ndarray, levels: int = LEVELS
) -> tuple[np.ndarray, np.ndarray]:
    """f'(x) and an estimate of its error, both of f(x)'s shape (.., N).

    x (N,); `step` (N,) is the largest step, within which f is asked; the smallest is 2^(1 - levels) of it. Where f is
    not finite, neither is the error.
    """
    best, error = np.array(0.0), np.array(np.inf)
    before: list[np.ndarray] = []
    with np.errstate(all="ignore"):
        for level in range(levels):
            h = step * 2.0**-level
            row = [(f(x + h) - f(x - h)) / ((x + h) - (x - h))]
            for m, coarse in enumerate(before[:ORDERS], 1):
                row.append((4.0**m * row[-1] - coarse) / (4.0**m - 1))
                doubt = np.maximum(np.abs(row[-1] - row[-2]), np.abs(row[-1] - coarse))
                better = doubt < error
                best, error = np.where(better, row[-1], best), np.where(better, doubt, error)
            before = row
    return best, error
