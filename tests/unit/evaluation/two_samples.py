"""Random samples for simultaneous comparisons."""

from __future__ import annotations

import numpy as np


def generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def samples(seed: int, sizes: tuple[int, int] = (9, 4), rows: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Two correlated samples; the first row is shifted."""
    own = generator(seed)
    before, after = (own.normal(size=(n, rows)) + own.normal(size=(n, 1)) for n in sizes)
    after[:, 0] += 3
    return before, after
