"""Families of pairs: seeds that one side lacks, signs that all rows share, equal values, alarms at a margin."""

from __future__ import annotations

import numpy as np
import pytest
from sign_flip_oracle import one_sided, two_sided

from reproflow.numerics.paired import compare_seeds
from reproflow.numerics.relabelling import Pairs, TwoSamples
from reproflow.numerics.simultaneous import compare_pairs, compare_samples
from reproflow.numerics.statistics import jackknife


def generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_seed_that_one_side_lacks_is_no_pair_of_that_row() -> None:
    a, b, c, d = ({seed: float(value) for seed, value in enumerate(generator(i).normal(5, 1, 10))} for i in range(4))
    del d[9], c[0]
    first, second = compare_seeds([(a, b), (c, d)])
    assert (first["pairs"], second["pairs"]) == (10, 8)
    assert second["difference"] == pytest.approx(np.mean([c[seed] - d[seed] for seed in range(1, 9)]))
    assert first["difference"] == pytest.approx(np.mean([a[seed] - b[seed] for seed in range(10)]))


@pytest.mark.parametrize("seed", range(3))
def test_p_is_that_of_closed_testing_with_one_sign_a_seed(seed: int) -> None:
    """Rows that depend on each other, one of them the other way round."""
    common, own = generator(seed).normal(size=(8, 1)), generator(seed + 9).normal(size=(8, 3))
    differences = 0.4 + 0.9 * common * np.array([1.0, 1.0, -1.0]) + 0.3 * own
    assert compare_pairs(differences).p == pytest.approx(two_sided(differences))


def test_a_row_that_is_there_twice_costs_nothing() -> None:
    differences = generator(5).normal(0.5, 1, (9, 1))
    twice = compare_pairs(np.hstack([differences, differences])).p
    assert twice == pytest.approx(np.repeat(compare_pairs(differences).p, 2))
    assert twice[0] == pytest.approx(min(1, 2 * min(*one_sided(differences), *one_sided(-differences))))


def test_what_rounding_leaves_of_equal_values_is_no_spread() -> None:
    values = np.array([[0.3], [0.1 * 3], [0.3], [0.1 + 0.2]] * 3)
    assert len(set(values.flatten())) > 1
    assert Pairs(values).se[0] == 0
    assert TwoSamples(values[:6], values[6:] + 1).se[0] == 0
    assert Pairs(values + 1e-9 * generator(6).normal(size=(12, 1))).se[0] > 0


@pytest.mark.parametrize("margin", [1.0, 10.0])
def test_alarms_lie_beyond_the_margin_by_as_much_as_beyond_zero(margin: float) -> None:
    before, after = generator(7).normal(size=(20, 3)), generator(8).normal(size=(5, 3))
    free, held = compare_samples(before, after), compare_samples(before, after, margin)
    for name in ("alarm", "detectable"):
        assert getattr(held, name) - margin == pytest.approx(getattr(free, name), rel=0.05)
    assert (free.detectable > free.alarm).all()
    # What lies a little beyond the alarm is rejected alone, and what lies a little before is not.
    for shift, verdict in ((1.02, "worse"), (0.98, "not separated")):
        moved = after[:, :1] - free.difference[0] + margin
        alone = compare_samples(before[:, :1], moved, margin)
        place = margin + shift * (alone.alarm[0] - margin)
        found = compare_samples(before[:, :1], moved + place - margin, margin).verdicts[0]
        assert (found == "worse") == (verdict == "worse")


def test_the_jackknife_takes_away_the_bias_of_a_square() -> None:
    """Of the squared mean it leaves the unbiased estimate, mean² - s²/n."""
    x = generator(9).normal(1, 2, 15)
    plain, corrected = (jackknife(lambda kept: float(np.mean(kept)) ** 2, list(x), corrected=c) for c in (False, True))
    assert plain.mean == pytest.approx(x.mean() ** 2)
    assert corrected.mean == pytest.approx(x.mean() ** 2 - x.var(ddof=1) / 15)
