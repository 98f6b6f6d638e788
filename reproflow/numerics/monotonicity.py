"""Where a function of time rises: a grid that finds its features, and its rising pieces with their ends located.

Everything here is pure: a function is a callable on float64 arrays, and time runs upwards. Rises of less than 1e-6
relative are no pieces, nor is rounding, which is measured by moving t by a few units in its last place.
"""

from __future__ import annotations

import functools
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
UNDERFLOW = 1e-310
"""The least noise of a function whose largest value is 1: below it numbers lose their digits."""


@dataclass(frozen=True)
class Sampled:
    """A function on a grid: times t in order, values v, and the rounding error of each value."""

    t: np.ndarray
    v: np.ndarray
    noise: np.ndarray

    @functools.cached_property
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
    return Sampled(t, v, _noise(f, t, _floor(v)))


def rises(f: Function, on: Sampled) -> list[tuple[float, float]]:
    """The pieces [t0, t1] on which f rises, in order; an upward step has t0 and t1 on its two sides.

    Their ends are located, unless there are more than 500: then they are times of the grid. The time this takes is
    linear in the grid and in the pieces.
    """
    short = PLATEAU * (on.t[-1] - on.t[0])
    pieces = []
    for first, last in _runs(on):
        # What is shorter than a plateau holds none.
        whole = on.t[last] - on.t[first] <= short
        pieces += [(first, last)] if whole else _telling(on, _without_plateaus(on, first, last))
    if not pieces:
        return []
    start, stop = np.array(pieces).T
    if len(pieces) > MANY:
        low, high = on.t[start], on.t[stop]
    else:
        low, high = _locate(f, on, start, -1), _locate(f, on, stop, 1)
    return list(zip(low.tolist(), np.maximum(low, high).tolist(), strict=True))


def _runs(on: Sampled) -> list[tuple[int, int]]:
    """Grid indices (lowest, highest) of each rise, by a zigzag with the sampled function's threshold as hysteresis."""
    turns = _extrema(on.v)
    v, threshold, noise = (each[turns].tolist() for each in (on.v, on.threshold, 8 * on.noise))
    found, rising, low, high = [], False, 0, 0
    for i, value in enumerate(v):
        if rising:
            if value > v[high]:
                high = i
            elif value < v[high] - threshold[high]:
                found.append((low, high))
                rising, low = False, i
        elif value <= v[low]:
            low = i
        elif value > v[low] + max(threshold[low], noise[i]):
            rising, high = True, i
    found += [(low, high)] if rising else []
    return [(int(turns[low]), int(turns[high])) for low, high in found]


def _extrema(v: np.ndarray) -> np.ndarray:
    """The indices of both ends, and of every value at which f turns, or begins or ceases to be constant."""
    step = np.sign(np.diff(v))
    inner = np.flatnonzero(step[1:] != step[:-1]) + 1
    return np.concatenate([[0], inner, [len(v) - 1]])


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


def _locate(f: Function, on: Sampled, index: np.ndarray, sign: int) -> np.ndarray:
    """The times of the extrema at grid indices (P,): the last lowest (sign -1), or the first highest (sign +1)."""
    low, high = on.t[np.maximum(index - 1, 0)], on.t[np.minimum(index + 1, len(on.t) - 1)]
    slack = 4 * on.noise[index] + 4 * np.spacing(np.abs(on.v[index]))
    best = on.t[index]
    for _ in range(14):
        inner = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, 33)
        t = np.sort(np.concatenate([inner, best[:, None]], axis=1), axis=1)
        v = sign * f(t.ravel()).reshape(t.shape)
        tied = v >= v.max(1, keepdims=True) - slack[:, None]
        place = t.shape[1] - 1 - tied[:, ::-1].argmax(1) if sign < 0 else tied.argmax(1)
        best = np.take_along_axis(t, place[:, None], axis=1)[:, 0]
        # A node that rounding alone keeps apart from the best one is no neighbour.
        apart = 1e-3 * (high - low)[:, None]
        low, high = (
            np.where(t < best[:, None] - apart, t, low[:, None]).max(1),
            np.where(t > best[:, None] + apart, t, high[:, None]).min(1),
        )
    for end in (on.t[0], on.t[-1]):
        best = np.where(np.abs(best - end) < SNAP, end, best)
    return best


def _bent(t: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The inner grid indices where linear interpolation from both neighbours errs most, relative to the values."""
    share = (t[1:-1] - t[:-2]) / (t[2:] - t[:-2])
    between = v[:-2] * (1 - share) + v[2:] * share
    scale = np.maximum(np.maximum(np.abs(v[:-2]), np.abs(v[2:])), np.finfo(float).tiny)
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


def _floor(v: np.ndarray) -> float:
    """The noise below which no value is known: that of the least numbers, in units of the largest value up to 1."""
    finite = np.abs(v[np.isfinite(v)])
    largest = float(finite.max()) if len(finite) else 1.0
    return max(UNDERFLOW * min(1.0, largest), 4 * float(np.finfo(float).smallest_subnormal))


def _noise(f: Function, t: np.ndarray, floor: float) -> np.ndarray:
    """The rounding error of f on the grid, measured at 512 of its times and taken to be the larger one in between."""
    some = np.unique(np.linspace(0, len(t) - 1, 512).astype(int))
    near = t[some, None] + ULPS * np.spacing(t[some])[:, None]
    values = f(near.clip(t[0], t[-1]).ravel()).reshape(near.shape)
    with np.errstate(invalid="ignore"):
        spread = np.nan_to_num(np.median(np.abs(np.diff(values, axis=1)), axis=1) * 2, nan=0.0, posinf=0.0)
    place = np.searchsorted(some, np.arange(len(t))).clip(1, len(some) - 1)
    return np.maximum(np.maximum(spread[place - 1], spread[place]), floor)
