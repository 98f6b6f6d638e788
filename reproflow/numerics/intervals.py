"""Unions of intervals, and where a condition on the line holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from reproflow.numerics.bisection import bisect

Interval = tuple[float, float]


Function = Callable[[np.ndarray], np.ndarray]


NARROWEST = 1e-9


def inside(intervals: Sequence[Interval], t: Tensor) -> Tensor:
    """Whether each t lies in one of the open intervals, of t's shape."""
    found = torch.zeros_like(t, dtype=torch.bool)
    for low, high in intervals:
        found = found | ((t > low) & (t < high))
    return found


def joined(intervals: Sequence[Interval]) -> list[Interval]:
    """The union of intervals as disjoint ones in order; those closer than 1e-9 become one."""
    found: list[Interval] = []
    for low, high in sorted(intervals):
        if found and low <= found[-1][1] + NARROWEST:
            found[-1] = (found[-1][0], max(high, found[-1][1]))
        else:
            found.append((low, high))
    return found


def clipped(intervals: Sequence[Interval], t_range: Interval) -> list[Interval]:
    """The parts of intervals inside a range that are longer than 1e-9."""
    parts = [(max(low, t_range[0]), min(high, t_range[1])) for low, high in intervals]
    return [(low, high) for low, high in parts if high - low > NARROWEST]


def where(condition: Function, t: np.ndarray) -> list[Interval]:
    """The intervals where a condition holds, t increasing; each end is bisected to the last digit.

    A condition that holds from the first t or to the last is taken to hold from there on. Single times are left out.
    """
    held = condition(t)
    edges = np.flatnonzero(held[1:] != held[:-1])
    before = held[edges]
    turns = bisect(lambda t: condition(t) == before, t[edges], t[edges + 1], 60) if len(edges) else t[edges]
    ends = np.concatenate([t[:1] if held[0] else [], turns, t[-1:] if held[-1] else []])
    return [(float(low), float(high)) for low, high in ends.reshape(-1, 2) if high - low > NARROWEST]
