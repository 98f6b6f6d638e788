"""Unions of intervals, where conditions hold, and where functions rise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from reproflow.numerics import intervals

GRID = np.linspace(0.0005, 0.9995, 1000)


def test_unions() -> None:
    assert intervals.joined([(0.5, 0.7), (0.1, 0.2), (0.2 + 1e-10, 0.3), (0.6, 0.65)]) == [(0.1, 0.3), (0.5, 0.7)]
    assert intervals.joined([(0.1, 0.2), (0.2 + 1e-6, 0.3)]) == [(0.1, 0.2), (0.2 + 1e-6, 0.3)]
    assert intervals.clipped([(0.0, 0.2), (0.3, 0.4), (0.9, 1.0)], (0.1, 0.9)) == [(0.1, 0.2), (0.3, 0.4)]


def test_intervals_are_open() -> None:
    t = torch.tensor([0.1, 0.15, 0.2, 0.5], dtype=torch.float64)
    assert intervals.inside([(0.1, 0.2), (0.4, 0.6)], t).tolist() == [False, True, False, True]


def test_ends_of_a_condition_are_found_to_the_last_digit() -> None:
    found = intervals.where(lambda t: np.sin(9 * t) > 0.5, GRID)
    ends = [math.asin(0.5) / 9, (math.pi - math.asin(0.5)) / 9, (2 * math.pi + math.asin(0.5)) / 9]
    assert found[0] == pytest.approx((ends[0], ends[1]), rel=1e-14)
    assert found[1][0] == pytest.approx(ends[2], rel=1e-14)
    assert len(found) == 2
    assert found[0] != pytest.approx((ends[0], ends[1] + 1e-9), rel=1e-14)


def test_single_times_are_left_out() -> None:
    assert intervals.where(lambda t: t == GRID[500], GRID) == []
    assert intervals.where(lambda t: t > 2, GRID) == []
    assert intervals.where(lambda t: t > 0, GRID) == [(GRID[0], GRID[-1])]
