r"""Where a path is not smooth, and where its derivative is not its own: cells that break the fundamental theorem.

.. math:: \int_a^b \alpha'_t\, dt = \alpha_b - \alpha_a

holds to rounding on a cell where alpha is smooth and alpha' is its derivative. Cells where it fails are split until
they are 1e-11 wide or the failure drowns in rounding. What is left is a jump if the difference across stays what it was
when the cell was wider, a kink or a pole of the derivative otherwise. Cells that multiply instead mean a derivative
that is wrong on an interval, or a function too rough to follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reproflow.judge.paths.path_values import Course
from reproflow.numerics.gauss_rules import KRONROD_NODES, KRONROD_WEIGHTS

CELLS = 4001
FINE = 1e-6
NARROWEST = 1e-11
MANY = 20000
ROUNDS = 64
BESIDE = 1e-7
# Off centre, so that a kink at a round number does not end up between two cells, where neither sees it.
SPLIT = 0.4503
ULPS = np.array([-8, -5, -3, -2, 0, 2, 3, 5, 8])


@dataclass(frozen=True)
class Breaks:
    """Times of jumps and of kinks (or infinite derivatives), in order; `suspects` are cells left over, (S, 2).

    Where cells are left over no kinks are told: they would not differ from the rest.
    """

    jumps: tuple[float, ...]
    kinks: tuple[float, ...]
    suspects: np.ndarray


NONE = Breaks((), (), np.empty((0, 2)))


def breaks(course: Course) -> Breaks:
    """The jumps and kinks of alpha and sigma in (2^-40, 1 - 2^-40), kinks to about 1e-8."""
    low, high = _cells()
    drowned: list[float] = []
    narrow: list[float] = []
    parents, small = np.empty(0), np.empty(0, bool)
    for _ in range(ROUNDS):
        beyond_scale, beyond_noise = _broken(course, low, high)
        if len(parents):
            rough, loud = beyond_scale.reshape(2, -1).any(0), beyond_noise.reshape(2, -1).any(0)
            drowned += parents[(rough | small) & ~loud].tolist()
        low, high = low[beyond_noise], high[beyond_noise]
        done = high - low < NARROWEST
        narrow += (0.5 * (low + high))[done].tolist()
        low, high = low[~done], high[~done]
        if not len(low) or len(low) > MANY:
            break
        parents, small, split = 0.5 * (low + high), high - low < FINE, low + SPLIT * (high - low)
        low, high = np.concatenate([low, split]), np.concatenate([split, high])
    jumps = [place for place in _merged(narrow, ()) if _jumps(course, place)]
    left = np.stack([low, high], 1)
    kinks = [] if len(left) else _merged([*narrow, *drowned], jumps)
    return Breaks(tuple(map(_rounded, jumps)), tuple(map(_rounded, kinks)), left)


def _cells() -> tuple[np.ndarray, np.ndarray]:
    near = 2.0 ** -np.arange(12.3, 40)
    edges = np.unique(np.concatenate([near, (np.arange(1, CELLS) + 0.382) / (CELLS + 1), 1 - near]))
    return edges[:-1], edges[1:]


def _broken(course: Course, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether the integral of a derivative misses the difference by more than 1e-9 of it, and by more than rounding."""
    half = 0.5 * (high - low)
    nodes = 0.5 * (low + high)[:, None] + half[:, None] * KRONROD_NODES
    slopes = course.slopes(nodes.ravel()).reshape(2, *nodes.shape)
    with np.errstate(all="ignore"):
        error = np.abs(course.values(high) - course.values(low) - half * (slopes @ KRONROD_WEIGHTS))
        scale = half * (np.abs(slopes) @ KRONROD_WEIGHTS) * 1e-9 + 4 * np.spacing(high) * np.abs(slopes).max(2)
        bad = ~(error <= scale).all(0)
        where = np.flatnonzero(bad)
        noise = _noise(course, low[where]) + _noise(course, high[where])
        loud = bad.copy()
        loud[where] = ~(error[:, where] <= scale[:, where] + 8 * noise).all(0)
    return bad, loud


def _noise(course: Course, t: np.ndarray) -> np.ndarray:
    """The rounding error of alpha and sigma near t, (2, N): the median change over a few of t's last places.

    At least that of sqrt(1 - a²) for an a near 1, which no such change shows.
    """
    near = t[:, None] + ULPS * np.spacing(t)[:, None]
    values = course.values(near.ravel()).reshape(2, *near.shape)
    least = np.spacing(1 + np.abs(values[:, :, 4]).max(0)) * np.maximum(1, 1 / np.abs(values[:, :, 4]))
    return 2 * np.median(np.abs(np.diff(values, axis=2)), axis=2) + least


def _merged(places: Sequence[float], others: Sequence[float]) -> list[float]:
    """Places in order, one for those that lie within 1e-7 of it, and none beside the others."""
    found: list[float] = []
    for place in sorted(places):
        if all(abs(place - each) > BESIDE for each in (*found[-1:], *others)):
            found.append(place)
    return found


def _rounded(place: float) -> float:
    return float(f"{place:.8g}")


def _jumps(course: Course, place: float) -> bool:
    """Whether alpha or sigma differ as much across 1e-10 as they do across 1e-8."""
    room = 0.5 * min(place, 1 - place)
    wide, close = (
        np.abs(np.diff(course.values(place + min(w, room) * np.array([-1.0, 1.0])), axis=1)) for w in (1e-8, 1e-10)
    )
    return bool(((close > 1e-9) & ~(close <= 0.5 * wide)).any())
