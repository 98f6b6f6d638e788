r"""Bisection of many brackets at once, for tensors, arrays and numbers.

The number of halvings is an argument and nothing stops early, so that a result does not depend on what else is in the
batch, and every caller says how many digits it needs: n halvings leave a bracket of :math:`2^{-n}` of its first length.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

Real = TypeVar("Real", Tensor, np.ndarray, float)


def bracket(below: Callable[[Real], Real | bool], low: Real, high: Real, halvings: int) -> tuple[Real, Real]:
    """Both ends of the brackets after some halvings, of the shape of `low` and `high`.

    `below(x)` says where x lies below the place that is looked for: it holds from `low` on and stops to hold once. A
    bracket in which it holds nowhere shrinks to `low`, one in which it holds throughout to `high`.
    """
    for _ in range(halvings):
        middle = 0.5 * (low + high)
        left = below(middle)
        low, high = _where(left, middle, low), _where(left, high, middle)
    return low, high


def bisect(below: Callable[[Real], Real | bool], low: Real, high: Real, halvings: int) -> Real:
    """The middle of the brackets that `bracket` leaves."""
    low, high = bracket(below, low, high, halvings)
    return 0.5 * (low + high)


def _where(condition: Real | bool, one: Real, other: Real) -> Real:
    if isinstance(condition, Tensor):
        return torch.where(condition, one, other)
    if isinstance(condition, np.ndarray):
        return np.where(condition, one, other)
    return one if condition else other
