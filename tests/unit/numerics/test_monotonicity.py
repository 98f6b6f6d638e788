"""Where functions rise, and pairs by seed: closed extrema, what is too small to count, and a t test of scipy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from reproflow.numerics.monotonicity import rises, sample
from reproflow.numerics.paired import compare_seeds, needed

GRID = np.linspace(1e-3, 1 - 1e-3, 2001)


def pieces(f) -> list[tuple[float, float]]:
    return rises(f, sample(f, GRID))


def test_rises_end_at_extrema() -> None:
    found = pieces(lambda t: 2 + np.cos(3 * math.pi * t))
    assert np.array(found) == pytest.approx(np.array([(1 / 3, 2 / 3)]), abs=1e-6)
    assert np.array(found) != pytest.approx(np.array([(1 / 3, 0.6667)]), abs=1e-6)


def test_a_step_upwards_has_its_place() -> None:
    ((low, high),) = pieces(lambda t: 3 - t + (t > 0.4))
    assert low == pytest.approx(0.4, abs=1e-9)
    assert high == pytest.approx(0.4, abs=1e-9)


def test_what_falls_or_is_rounding_does_not_rise() -> None:
    assert pieces(lambda t: np.exp(-t)) == []
    assert pieces(lambda t: (1e8 + np.exp(-t)) - 1e8) == []
    assert pieces(lambda t: 1 - t + 1e-8 * np.sin(40 * t)) == []
    assert len(pieces(lambda t: 1 - t + 0.1 * np.sin(40 * t))) > 1


def test_pairs_by_seed() -> None:
    generator = np.random.default_rng(3)
    a = dict(enumerate(generator.normal(1.0, 0.1, 12)))
    b = {seed: value - 0.5 + 0.05 * generator.normal() for seed, value in a.items()} | {99: 7.0}
    row, empty, few = compare_seeds([(a, b), ({1: 0.0}, {2: 0.0}), ({1: 0.5, 2: 0.5}, {1: 0.25, 2: 0.25})])
    both = np.array([a[seed] - b[seed] for seed in a])
    assert row["pairs"] == 12
    assert row["difference"] == pytest.approx(both.mean(), rel=1e-12)
    assert row["p"] == pytest.approx(stats.ttest_1samp(both, 0).pvalue, rel=1e-6)
    assert row["verdict"] == "worse"
    assert empty["pairs"] == 0
    assert math.isnan(empty["difference"])
    assert few["difference"] == 0.25
    assert few["verdict"] == "too few seeds"
    assert needed(2) == "too few seeds (2 of 8)"
