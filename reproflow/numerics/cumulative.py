"""Integrals over pieces: nodes and weights of one rule that serve many integrands, and what has come together so far.

`numerics.quadrature` decides whether an integral is finite. Here it is; a function is cut into pieces on each of which
the Gauss-Kronrod rule of 15 points resolves it, octave by octave towards both ends and ever shorter beside jumps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from reproflow.numerics.bisection import bisect
from reproflow.numerics.gauss_rules import GAUSS_WEIGHTS, KRONROD_NODES, KRONROD_WEIGHTS
from reproflow.numerics.intervals import Interval
from reproflow.numerics.quadrature import bends

Function = Callable[[np.ndarray], np.ndarray]

PIECES = 1024
RELATIVE = 1e-9
NARROWEST = 1e-11
ROUNDS = 40
LARGEST = 8192


def edges(low: float, high: float, octaves: tuple[int, int], inside: tuple[float, ...] = ()) -> np.ndarray:
    """Ends of pieces: even, with octaves towards both ends of (low, high), and towards places inside."""
    width = high - low
    near, far = (2.0 ** -np.arange(1, n + 1.0) for n in octaves)
    towards = [place + sign * width * 2.0 ** -np.arange(2, 35.0) for place in inside for sign in (-1, 1)]
    found = np.unique(
        np.concatenate([np.linspace(low, high, PIECES + 1), low + width * near, high - width * far, *towards])
    )
    return found[(found >= low + width * near[-1]) & (found <= high - width * far[-1])]


def resolved(f: Function, ends: np.ndarray) -> np.ndarray:
    """The ends of pieces, halved until the rule and the Gauss rule inside it agree on f, or the piece is very short."""
    low, high = ends[:-1], ends[1:]
    kept = [ends]
    for _ in range(ROUNDS):
        values = f(nodes(low, high).ravel()).reshape(-1, len(KRONROD_NODES))
        with np.errstate(invalid="ignore"):
            fine, coarse = values @ KRONROD_WEIGHTS, values @ GAUSS_WEIGHTS
            rough = ~(np.abs(fine - coarse) <= RELATIVE * np.abs(fine))
        rough &= high - low > NARROWEST * np.maximum(np.abs(low), np.abs(high))
        if not rough.any() or sum(map(len, kept)) - len(ends) > LARGEST:
            break
        low, high = low[rough], high[rough]
        middle = 0.5 * (low + high)
        kept.append(middle)
        low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
    return np.unique(np.concatenate(kept))


def nodes(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The rule's nodes on each piece, (P, 15); its weights are half the piece's length times `KRONROD_WEIGHTS`."""
    return 0.5 * (low + high)[:, None] + 0.5 * (high - low)[:, None] * KRONROD_NODES


def areas(f: Function, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The integral of f over each piece, (P,); where f is infinite at a node it counts for nothing."""
    values = f(nodes(low, high).ravel()).reshape(-1, len(KRONROD_NODES))
    return 0.5 * (high - low) * (np.where(np.isfinite(values), values, 0.0) @ KRONROD_WEIGHTS)


@dataclass(frozen=True)
class Cumulative:
    """What of an integral of f >= 0 lies below x: `below` (P+1,) at the ends of the pieces, out of `total`."""

    f: Function
    ends: np.ndarray
    below: np.ndarray
    total: float

    def at(self, x: float) -> float:
        """The integral up to x."""
        if x <= self.ends[0] or x >= self.ends[-1]:
            return 0.0 if x <= self.ends[0] else self.total
        index = int(np.searchsorted(self.ends, x, side="right")) - 1
        return float(self.below[index] + areas(self.f, self.ends[[index]], np.array([x]))[0])

    def quantile(self, share: np.ndarray) -> np.ndarray:
        """Where a share (Q,) of the whole lies below, by bisection inside its piece."""
        wanted = share * self.total
        index = np.clip(np.searchsorted(self.below, wanted) - 1, 0, len(self.ends) - 2)
        start, low, high = self.ends[index], self.ends[index], self.ends[index + 1]
        return bisect(lambda x: self.below[index] + areas(self.f, start, x) < wanted, low, high, 45)


def cumulative(
    f: Function,
    span: Interval,
    octaves: tuple[int, int],
    exponents: tuple[float, float],
    inside: tuple[float, ...] = (),
    times: np.ndarray | None = None,
) -> Cumulative:
    """The cumulative integral of f >= 0 over a span, where f ~ x^p at its ends with the given exponents (p > -1).

    `times`, in order, are where f has been looked at: pieces end where it bends between them.
    """
    ends = edges(*span, octaves, inside)
    if times is not None:
        seen = bends(f, times[(times > ends[0]) & (times < ends[-1])])
        ends = np.unique(np.concatenate([ends, seen]))
    ends = resolved(f, ends)
    first, last = f(ends[[0, -1]])
    left = first * (ends[0] - span[0]) / (1 + exponents[0])
    right = last * (span[1] - ends[-1]) / (1 + exponents[1])
    below = left + np.concatenate([[0.0], np.cumsum(areas(f, ends[:-1], ends[1:]))])
    return Cumulative(f, ends, below, float(below[-1] + right))
