"""Adjusted p of paired differences by the definition of closed testing, in plain loops: the oracle of several tests."""

from __future__ import annotations

import itertools

import numpy as np


def one_sided(differences: np.ndarray, margin: np.ndarray | float = 0.0) -> np.ndarray:
    """Adjusted p (G,) of mean > margin, for differences (n, G) without gaps: all sign patterns, all sets of rows."""
    shifted = np.asarray(differences, dtype=float) - margin
    n, rows = shifted.shape
    signs = np.array(list(itertools.product((1, -1), repeat=n)))
    norm = np.sqrt((shifted**2).sum(0))
    t = signs @ shifted / np.where(norm > 0, norm, 1)
    p = np.zeros(rows)
    for size in range(1, rows + 1):
        for chosen in itertools.combinations(range(rows), size):
            maxima = t[:, list(chosen)].max(1)
            p[list(chosen)] = np.maximum(p[list(chosen)], (maxima >= maxima[0] - 1e-9).mean())
    return p


def two_sided(differences: np.ndarray) -> np.ndarray:
    """Both sides at half the level: twice the smaller p."""
    both = one_sided(differences), one_sided(-np.asarray(differences))
    return np.minimum(1, 2 * np.minimum(*both))
