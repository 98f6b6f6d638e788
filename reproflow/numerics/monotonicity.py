"""Where a function of time rises: a grid that finds its features, and its rising pieces with their ends located.

Everything here is pure: a function is a callable on float64 arrays, and time runs upwards. Rises of less than 1e-6
relative are no pieces, nor is rounding, which is measured by moving t by a few units in its last place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Function = Callable[[np.ndarray], np.ndarray]

RELATIVE = 1e-6
ULPS = np.array([-8, -5, -3, -2, 0, 2, 3, 5, 8])
SPLIT = 8
REFINED = 2048
ROUNDS = 3
PLATEAU = 1e-3
SNAP = 1e-10
MANY = 500
UNDERFLOW = 1e-300


@dataclass(frozen=True)
class Sampled:
    """A function on a grid: times t in order, values v, and the rounding error of each value."""

    t: np.ndarray
    v: np.ndarray
    noise: np.ndarray

    @property
    def threshold(self) -> np.ndarray:
        """What a value must be passed by before it counts as passed."""
        return RELATIVE * np.abs(self.v) + 8 * self.noise


def sample(f: Function, t: np.ndarray) -> Sampled:
    """f on the grid t, which is refined where f bends: at turning points, kinks and jumps.

    Single times at which f is not what it is on either side do not count, and are left out.
    """
    v = f(t)
    keep = ~_isolated(f, t, v)
    t, v = t[keep], v[keep]
    for _ in range(ROUNDS):
        more = _between(t, _bent(t, v))
        at = np.searchsorted(t, more)
        t, v = np.insert(t, at, more), np.insert(v, at, f(more))
    return Sampled(t, v, _noise(f, t))


def rises(f: Function, on: Sampled) -> list[tuple[float, float]]:
    """The pieces [t0, t1] on which f rises, in order; an upward step has t0 and t1 on its two sides.

    Their ends are located, unless there are more than 500: then they are times of the grid.
    """
    pieces = [piece for run in _runs(on) for piece in _telling(on, _without_plateaus(on, *run))]
    if len(pieces) > MANY:
        return [(float(on.t[start]), float(on.t[stop])) for start, stop in pieces]
    found = []
    for start, stop in pieces:
        low = _locate(f, on, start, -1)
        found.append((low, max(low, _locate(f, on, stop, 1))))
    return found


def _runs(on: Sampled) -> list[tuple[int, int]]:
    """Grid indices (lowest, highest) of each rise, by a zigzag with the sampled function's threshold as hysteresis."""
    v, threshold = on.v, on.threshold
    found, rising, low, high = [], False, 0, 0
    for i in _extrema(v):
        if rising:
            if v[i] > v[high]:
                high = i
            elif v[i] < v[high] - threshold[high]:
                found.append((low, high))
                rising, low = False, i
        elif v[i] <= v[low]:
            low = i
        elif v[i] > v[low] + max(threshold[low], 8 * on.noise[i]):
            rising, high = True, i
    return [*found, (low, high)] if rising else found


def _extrema(v: np.ndarray) -> list[int]:
    """The indices of both ends, and of every value at which f turns, or begins or ceases to be constant."""
    step = np.sign(np.diff(v))
    inner = np.flatnonzero(step[1:] != step[:-1]) + 1
    return [0, *inner.tolist(), len(v) - 1]


def _without_plateaus(on: Sampled, first: int, last: int) -> list[tuple[int, int]]:
    """A rise without the stretches, a thousandth of the range or longer, on which it stands still."""
    t, v = on.t[first : last + 1], on.v[first : last + 1]
    share = np.diff(t) / (on.t[-1] - on.t[0])
    still = np.diff(v) <= 1e-9 * np.abs(v[1:]) * share + 8 * on.noise[first : last + 1][1:]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], still, [False]]).astype(int)))
    plateaus = [(a, b) for a, b in edges.reshape(-1, 2).tolist() if share[a:b].sum() > PLATEAU]
    ends = [first, *(first + index for pair in plateaus for index in pair), last]
    return [(a, b) for a, b in zip(ends[::2], ends[1::2], strict=True) if b > a]


def _telling(on: Sampled, pieces: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The pieces between plateaus that rise by more than the threshold; all of them where the others do together."""
    small = [on.v[b] - on.v[a] <= on.threshold[a] for a, b in pieces]
    lost = sum(on.v[b] - on.v[a] for (a, b), each in zip(pieces, small, strict=True) if each)
    if pieces and lost > on.threshold[pieces[0][0]]:
        return pieces
    return [piece for piece, each in zip(pieces, small, strict=True) if not each]


def _locate(f: Function, on: Sampled, index: int, sign: int) -> float:
    """The time of the extremum at a grid index: the last lowest (sign -1), or the first highest (sign +1)."""
    low, high = on.t[max(index - 1, 0)], on.t[min(index + 1, len(on.t) - 1)]
    slack = 4 * on.noise[index] + 4 * np.spacing(abs(on.v[index]))
    best = on.t[index]
    for _ in range(14):
        t = np.unique(np.concatenate([np.linspace(low, high, 33), [best]]))
        v = sign * f(t)
        tied = np.flatnonzero(v >= v.max() - slack)
        i = int(tied[-1] if sign < 0 else tied[0])
        best, low, high = t[i], t[max(i - 1, 0)], t[min(i + 1, len(t) - 1)]
    ends = [end for end in (on.t[0], on.t[-1]) if abs(best - end) < SNAP]
    return float(ends[0] if ends else best)


def _bent(t: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The inner grid indices where linear interpolation from both neighbours errs most, relative to the values."""
    share = (t[1:-1] - t[:-2]) / (t[2:] - t[:-2])
    between = v[:-2] * (1 - share) + v[2:] * share
    scale = np.maximum(np.maximum(np.abs(v[:-2]), np.abs(v[2:])), 1e-300)
    with np.errstate(invalid="ignore"):
        error = np.nan_to_num(np.abs(v[1:-1] - between) / scale, nan=np.inf)
    wide = t[2:] - t[:-2] > 1e-12
    worst = np.argsort(np.where(wide, error, 0.0))[-REFINED:]
    return np.sort(worst[error[worst] > 1e-12]) + 1


def _between(t: np.ndarray, index: np.ndarray) -> np.ndarray:
    """New times inside the two cells at each index."""
    cells = np.unique(np.concatenate([index - 1, index]))
    inner = t[cells, None] + (t[cells + 1] - t[cells])[:, None] * (np.arange(1, SPLIT) / SPLIT)
    return np.setdiff1d(inner.ravel(), t)


def _isolated(f: Function, t: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Whether a value stands out from both neighbours', and from those of f a few last places to either side."""
    with np.errstate(invalid="ignore"):
        least = np.minimum(np.abs(v[1:]), np.abs(v[:-1]))
        turn = np.sign(np.diff(v)) * (np.abs(np.diff(v)) > RELATIVE * least)
    suspects = np.flatnonzero(turn[:-1] * turn[1:] < 0)[:1000] + 1
    left, right = (f(t[suspects] + ulps * np.spacing(t[suspects])) for ulps in (-4, 4))
    found = np.zeros(len(t), dtype=bool)
    with np.errstate(invalid="ignore"):
        apart = np.minimum(np.abs(v[suspects] - left), np.abs(v[suspects] - right))
        found[suspects] = np.abs(left - right) < 0.01 * apart
    return found


def _noise(f: Function, t: np.ndarray) -> np.ndarray:
    """The rounding error of f on the grid, measured at 512 of its times and taken to be the larger one in between."""
    some = np.unique(np.linspace(0, len(t) - 1, 512).astype(int))
    near = t[some, None] + ULPS * np.spacing(t[some])[:, None]
    values = f(near.clip(t[0], t[-1]).ravel()).reshape(near.shape)
    with np.errstate(invalid="ignore"):
        spread = np.nan_to_num(np.median(np.abs(np.diff(values, axis=1)), axis=1) * 2, nan=0.0, posinf=0.0)
    place = np.searchsorted(some, np.arange(len(t))).clip(1, len(some) - 1)
    return np.maximum(np.maximum(spread[place - 1], spread[place]), UNDERFLOW)
