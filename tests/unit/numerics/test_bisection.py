"""Bisection: against scipy and closed roots, for every kind of number, and what its halvings are worth."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import optimize

from reproflow.numerics.bisection import bisect, bracket

VALUES = [0.001, 0.3, 1.0, 7.5]


def test_roots_are_those_of_scipy() -> None:
    wanted = torch.tensor(VALUES, dtype=torch.float64)
    roots = bisect(lambda x: x.exp() - 1 + x < wanted, torch.zeros(4).double(), torch.full((4,), 9.0).double(), 60)
    oracle = [optimize.brentq(lambda x, v=v: math.expm1(x) + x - v, 0, 9, xtol=1e-15) for v in VALUES]
    assert roots.numpy() == pytest.approx(oracle, rel=1e-13)


def test_the_other_way_finds_another_place() -> None:
    """The control: a condition that is turned round shrinks to an end."""
    assert bisect(lambda x: x**2 > 2, 0.0, 2.0, 60) == pytest.approx(0.0, abs=1e-15)
    assert bisect(lambda x: x**2 < 2, 0.0, 2.0, 60) == pytest.approx(math.sqrt(2), rel=1e-15)


def test_tensors_arrays_and_numbers_give_the_same_bits() -> None:
    array = bisect(lambda x: x * x * x < np.array(VALUES), np.zeros(4), np.full(4, 2.0), 45)
    numbers = [bisect(lambda x, v=v: x * x * x < v, 0.0, 2.0, 45) for v in VALUES]
    assert array.tolist() == numbers
    ends = torch.zeros(4, dtype=torch.float64), torch.full((4,), 2.0, dtype=torch.float64)
    tensor = bisect(lambda x: x * x * x < torch.tensor(VALUES, dtype=torch.float64), *ends, 45)
    assert tensor.tolist() == numbers


def test_halvings_are_the_length_of_the_bracket() -> None:
    for halvings in (0, 1, 10, 40):
        low, high = bracket(lambda x: x < 1 / 3, 0.0, 1.0, halvings)
        assert high - low == 2.0**-halvings
        assert low <= 1 / 3 <= high


def test_halvings_in_two_parts_are_those_in_one() -> None:
    ends = np.zeros(3), np.ones(3)
    wanted = np.array([0.1, 0.5, 0.9])

    def below(x: np.ndarray) -> np.ndarray:
        return x < wanted

    whole, parts = bracket(below, *ends, 60), bracket(below, *bracket(below, *ends, 41), 19)
    assert all(np.array_equal(one, other) for one, other in zip(whole, parts, strict=True))


@pytest.mark.parametrize(("level", "end"), [(-5.0, 0.0), (5.0, 1.0)])
def test_out_of_reach_is_the_nearer_end(level: float, end: float) -> None:
    assert bisect(lambda x: x < level, 0.0, 1.0, 60) == pytest.approx(end, abs=1e-15)


def test_a_point_does_not_depend_on_its_neighbours() -> None:
    wanted = torch.linspace(0.05, 0.95, 7, dtype=torch.float64)
    ends = torch.zeros_like(wanted), torch.ones_like(wanted)
    together = bisect(lambda x: x.sin() < wanted * 0.8, *ends, 52)
    for index in range(len(wanted)):
        alone = bisect(lambda x, i=index: x.sin() < wanted[i] * 0.8, ends[0][:1], ends[1][:1], 52)
        assert torch.equal(alone[0], together[index])
