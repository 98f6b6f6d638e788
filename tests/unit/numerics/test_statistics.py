"""Error bars: identities against scipy and enumeration, and coverage on simulated data."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from reproflow.foundation.errors import UsageError
from reproflow.numerics.statistics import (
    beyond_p,
    equivalence_p,
    holm,
    jackknife,
    mean_interval,
    paired,
    relative_gap,
    squared_mean,
)


def assert_share(hits: list[bool], low: float, high: float) -> None:
    """The share of hits is compatible with a true rate in [low, high] (binomial, 1e-5 on either side)."""
    k, n = sum(hits), len(hits)
    assert stats.binom.sf(k - 1, n, high) > 1e-5, f"{k}/{n} is more than {high}"
    assert stats.binom.cdf(k, n, low) > 1e-5, f"{k}/{n} is less than {low}"


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_mean_interval_is_students(level: float) -> None:
    values = np.random.default_rng(0).exponential(size=7)
    estimate = mean_interval(values, level)
    reference = stats.ttest_1samp(values, 0).confidence_interval(level)
    assert (estimate.mean, estimate.n) == (pytest.approx(values.mean()), 7)
    assert estimate.se == pytest.approx(stats.sem(values))
    assert (estimate.low, estimate.high) == pytest.approx((reference.low, reference.high))


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 3.0], [1.0, math.nan, 3.0]])
def test_fewer_than_three_values_have_no_interval(values: list[float]) -> None:
    estimate = mean_interval(values)
    assert not estimate.decided
    assert math.isnan(estimate.se)
    assert math.isnan(estimate.mean) == (estimate.n == 0)
    assert estimate.n == sum(not math.isnan(v) for v in values)


def test_level_outside_the_unit_interval_is_refused() -> None:
    with pytest.raises(UsageError, match="level"):
        mean_interval([1, 2, 3], 95)


def test_mean_interval_covers_as_often_as_it_says() -> None:
    draws = np.random.default_rng(1).normal(2.0, 3.0, (4000, 4))
    estimates = [mean_interval(row, 0.9) for row in draws]
    assert_share([e.low <= 2 <= e.high for e in estimates], 0.9, 0.9)


def test_paired_is_the_t_test_of_differences_over_common_seeds() -> None:
    rng = np.random.default_rng(2)
    a = {seed: float(rng.normal()) for seed in range(8)}
    b = {seed: value + 0.1 * float(rng.normal()) for seed, value in a.items()}
    a[8], b[9], b[3] = 1.0, 2.0, math.nan
    common = [0, 1, 2, 4, 5, 6, 7]
    reference = stats.ttest_rel([a[s] for s in common], [b[s] for s in common]).confidence_interval(0.95)
    estimate = paired(a, b)
    assert estimate.n == 7
    assert (estimate.low, estimate.high) == pytest.approx((reference.low, reference.high))


def test_pairing_removes_what_both_share() -> None:
    rng = np.random.default_rng(3)
    seeds = {s: float(rng.normal(scale=10)) for s in range(5)}
    a, b = ({s: v + float(rng.normal(scale=0.1)) for s, v in seeds.items()} for _ in range(2))
    assert paired(a, b).se < 0.1 * mean_interval(list(a.values())).se


@pytest.mark.parametrize(("mean", "low", "high"), [(1.0, 0.02, 0.08), (-1.0, 0.02, 0.08), (0.0, 0.6, 1.0)])
def test_equivalence_is_claimed_as_often_as_it_says(mean: float, low: float, high: float) -> None:
    """At the margin in one of twenty; well inside it mostly; the p-value is that of the 90 % interval."""
    rng = np.random.default_rng(7)
    claimed = []
    for _ in range(1000):
        values = rng.normal(mean, 0.8, 8)
        p = equivalence_p(mean_interval(values), 1.0)
        inside = mean_interval(values, 0.9)
        assert (p < 0.05) == (inside.low > -1 and inside.high < 1)
        claimed.append(p < 0.05)
    assert_share(claimed, low, high)


@pytest.mark.parametrize("margin", [0.0, 0.1, 1.0])
def test_a_difference_beyond_the_margin_is_claimed_as_often_as_it_says(margin: float) -> None:
    """At the margin, also at one that is small beside the error, in one of twenty; far beyond it always."""
    rng = np.random.default_rng(8)
    claimed = [beyond_p(mean_interval(rng.normal(margin, 0.8, 6)), margin) < 0.05 for _ in range(2000)]
    assert_share(claimed, 0.04, 0.06)
    assert all(beyond_p(mean_interval(rng.normal(-9 - margin, 0.8, 6)), margin) < 0.05 for _ in range(50))
    values = rng.normal(0.3, 1, 9)
    assert beyond_p(mean_interval(values), 0) == pytest.approx(stats.ttest_1samp(values, 0).pvalue, rel=1e-9)


def test_equivalence_needs_three_values_and_copes_with_no_spread() -> None:
    assert math.isnan(equivalence_p(mean_interval([0.0, 0.1]), 1.0))
    assert equivalence_p(mean_interval([0.5, 0.5, 0.5]), 1.0) == 0
    assert equivalence_p(mean_interval([1.5, 1.5, 1.5]), 1.0) == 1


def test_jackknife_of_the_mean_is_the_standard_error_of_the_mean() -> None:
    blocks = np.random.default_rng(4).normal(size=12)
    estimate = jackknife(lambda kept: float(np.mean(kept)), list(blocks))
    assert estimate.mean == pytest.approx(blocks.mean())
    assert estimate.se == pytest.approx(stats.sem(blocks))


def test_jackknife_of_a_smooth_statistic_covers() -> None:
    """log of a mean of exponentials, in 20 blocks of 50; the truth is log 1 = 0."""
    draws = np.random.default_rng(5).exponential(size=(1000, 20, 50))
    estimates = [jackknife(lambda kept: math.log(np.mean(kept)), list(blocks)) for blocks in draws]
    assert_share([e.low <= 0 <= e.high for e in estimates], 0.93, 0.96)


def test_jackknife_needs_three_blocks() -> None:
    estimate = jackknife(lambda kept: float(len(kept)), [1, 2])
    assert estimate.mean == 2
    assert not estimate.decided


def closed_testing(p: list[float]) -> list[float]:
    """Holm by definition: the largest Bonferroni p-value of any intersection that contains the hypothesis."""
    n = range(len(p))
    sets = [s for size in n for s in itertools.combinations(n, size + 1)]
    return [max(min(1, len(s) * min(p[i] for i in s)) for s in sets if j in s) for j in n]


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_the_closed_bonferroni_test(seed: int) -> None:
    p = (np.random.default_rng(seed).uniform(size=6) ** 3).round(2).tolist()
    assert holm(p) == pytest.approx(closed_testing(p))


def test_holm_refuses_what_is_no_p_value() -> None:
    assert holm([]) == []
    with pytest.raises(UsageError, match="p-values"):
        holm([0.2, math.nan])


def test_squared_mean_is_the_mean_product_of_different_rows() -> None:
    rows = np.random.default_rng(6).normal(0.5, 1, (9, 4))
    products = [rows[i] @ rows[j] for i, j in itertools.permutations(range(9), 2)]
    assert squared_mean(rows).mean == pytest.approx(np.mean(products))


def test_squared_mean_has_the_jackknifes_error_away_from_zero() -> None:
    rows = np.random.default_rng(7).normal(1.0, 1, (10, 3))
    generic = jackknife(lambda kept: squared_mean(np.array(kept)).mean, list(rows))
    assert squared_mean(rows).se == pytest.approx(generic.se)


@pytest.mark.parametrize(("shift", "p", "low", "high"), [(0.0, 1, 0.95, 1), (0.0, 31, 0.95, 1), (0.3, 31, 0.93, 0.98)])
def test_squared_mean_covers_and_is_unbiased(shift: float, p: int, low: float, high: float) -> None:
    truth = p * shift**2
    draws = np.random.default_rng(8).normal(shift, 1, (1000, 40, p))
    estimates = [squared_mean(rows) for rows in draws]
    means = np.array([e.mean for e in estimates])
    assert abs(means.mean() - truth) < 4.5 * means.std() / math.sqrt(1000)
    assert_share([e.low <= truth <= e.high for e in estimates], low, high)


def gradients(rng: np.random.Generator, gap: float) -> tuple[np.ndarray, np.ndarray]:
    """Blocks of noisy differences and gradients with |E d|²/|E g|² = gap, sharing their noise."""
    noise = rng.normal(size=(60, 30))
    return 0.5 * noise + math.sqrt(gap), noise + 1.0


def test_relative_gap_covers_a_true_gap_and_shrinks_without_one() -> None:
    rng = np.random.default_rng(9)
    present = [relative_gap(*gradients(rng, 0.1)) for _ in range(500)]
    absent = [relative_gap(*gradients(rng, 0.0)) for _ in range(500)]
    assert_share([e.low <= 0.1 <= e.high for e in present], 0.92, 0.98)
    assert_share([e.low > 0 for e in absent], 0, 0.025)
    assert all(e.low > 0 for e in present)
    assert_share([e.high < 0.01 for e in absent], 0.99, 1)


def test_relative_gap_needs_a_gradient_and_equal_blocks() -> None:
    rng = np.random.default_rng(10)
    flat = rng.normal(size=(20, 5))
    assert not relative_gap(flat, flat - flat.mean(0)).decided
    with pytest.raises(UsageError, match="same blocks"):
        relative_gap(flat, flat[:10])
    with pytest.raises(UsageError, match="shape"):
        squared_mean([1.0, 2.0])
