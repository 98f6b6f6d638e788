"""Simultaneous comparisons against scipy, statsmodels and closed testing by enumeration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW
from two_samples import generator, samples

from reproflow.numerics.relabelling import Pairs, TwoSamples, relabellings, sign_flips, student_p
from reproflow.numerics.simultaneous import (
    BETTER,
    EQUAL,
    NOT_SEPARATED,
    WORSE,
    compare_pairs,
    compare_samples,
    critical,
    rejected,
    step_down,
    still_open,
)


def closed_testing(statistics: np.ndarray) -> np.ndarray:
    """Adjusted p by its definition: of a row, the largest p over all sets of rows that hold it."""
    rows = statistics.shape[1]
    p = np.zeros(rows)
    for size in range(1, rows + 1):
        for chosen in map(list, itertools.combinations(range(rows), size)):
            maxima = statistics[:, chosen].max(1)
            p[chosen] = np.maximum(p[chosen], (maxima >= maxima[0] - 1e-9).mean())
    return p


class TestStatistics:
    def test_two_samples_have_students_t(self) -> None:
        before, after = samples(0)
        shift = np.array([0.5, 0, 0.1, -1, 2])
        found = TwoSamples(before, after).statistics(shift)[0]
        assert found == pytest.approx(stats.ttest_ind(after - shift, before).statistic)

    def test_every_relabelling_has_the_t_of_its_own_samples(self) -> None:
        before, after = samples(1, (4, 3), 2)
        design = TwoSamples(before, after)
        whole, labels = np.vstack([before, after]), relabellings(7, 3).astype(bool)
        wanted = [stats.ttest_ind(whole[own], whole[~own]).statistic for own in labels]
        assert design.statistics(np.zeros(2)) == pytest.approx(np.array(wanted))
        assert len({tuple(own) for own in labels}) == len(labels) == 35

    def test_pairs_have_the_ratio_of_their_sums(self) -> None:
        d = generator(2).normal(size=(8, 3)) + 1
        found = Pairs(d).statistics(np.full(3, 0.3))
        assert found[0] == pytest.approx((d - 0.3).sum(0) / np.sqrt(((d - 0.3) ** 2).sum(0)))
        assert found.shape == (256, 3)
        assert np.abs(found).max() <= np.sqrt(8)

    @pytest.mark.parametrize("statistic", [-1.5, 0.0, 0.7, 2.2])
    def test_the_shift_at_a_statistic_has_it(self, statistic: float) -> None:
        before, after = samples(3)
        for design in (TwoSamples(before, after), Pairs(generator(4).normal(size=(9, 5)))):
            assert design.statistics(design.shift_at(statistic))[0] == pytest.approx(np.full(5, statistic))

    def test_missing_values_count_as_if_they_were_not_there(self) -> None:
        before, after = samples(5)
        before[2, 1] = after[0, 1] = np.nan
        found = TwoSamples(before, after)
        wanted = stats.ttest_ind(after[1:, 1], np.delete(before[:, 1], 2))
        assert found.statistics(np.zeros(5))[0, 1] == pytest.approx(wanted.statistic)
        assert found.se[1] == pytest.approx(found.difference[1] / wanted.statistic)
        d = generator(6).normal(size=(9, 2))
        d[3, 0] = np.nan
        assert Pairs(d).statistics(np.zeros(2))[0, 0] == pytest.approx(
            Pairs(np.delete(d, 3, 0)).statistics(np.zeros(2))[0, 0]
        )

    def test_numbers_without_spread(self) -> None:
        same, other = np.full((5, 1), 0.1), np.full((4, 1), 0.3)
        assert compare_samples(same, np.full((4, 1), 0.1)).verdicts == (NOT_SEPARATED,)
        assert TwoSamples(same, other).statistics(np.zeros(1))[0, 0] == np.inf
        assert compare_samples(same, other, 0.1).verdicts == (WORSE,)
        assert compare_pairs(np.full((8, 1), 0.1), 0.2).verdicts == (EQUAL,)
        assert compare_pairs(np.zeros((8, 1))).verdicts == (NOT_SEPARATED,)

    def test_random_relabellings_begin_with_the_identity_and_are_always_the_same(self) -> None:
        for found in (relabellings(30, 10), sign_flips(20)):
            assert len(found) == 10_000
        assert relabellings(30, 10)[0].tolist() == [0.0] * 20 + [1.0] * 10
        assert (relabellings(30, 10).sum(1) == 10).all()
        assert (sign_flips(20)[0] == 1).all()
        assert relabellings(30, 10)[1:].mean() == pytest.approx(1 / 3, abs=1e-9)


class TestPValues:
    @pytest.mark.parametrize("rows", [1, 4])
    def test_step_down_is_closed_testing(self, rows: int) -> None:
        for seed in range(5):
            before, after = samples(seed, (6, 3), rows)
            statistics = TwoSamples(before, after).statistics(np.zeros(rows))
            assert step_down(statistics) == pytest.approx(closed_testing(statistics))

    def test_one_row_is_scipys_permutation_test(self) -> None:
        before, after = samples(7, rows=1)
        wanted = stats.permutation_test(
            (after[:, 0], before[:, 0]),
            lambda a, b, axis: stats.ttest_ind(a, b, axis=axis).statistic,
            vectorized=True,
            n_resamples=10**6,
            alternative="greater",
        ).pvalue
        assert compare_samples(before, after).p[0] == pytest.approx(2 * wanted)
        d = generator(8).normal(size=(10, 1)) + 0.5
        flips = stats.permutation_test(
            (d[:, 0],), np.mean, permutation_type="samples", n_resamples=10**6, alternative="greater"
        ).pvalue
        assert compare_pairs(d).p[0] == pytest.approx(2 * flips)

    def test_the_oracle_is_students_t_with_holm(self) -> None:
        before, after = samples(9)
        plain = stats.ttest_ind(after, before).pvalue
        assert compare_samples(before, after).p_oracle == pytest.approx(multipletests(plain, method="holm")[1])
        d = generator(10).normal(size=(9, 3)) + 1
        wanted = multipletests(stats.ttest_1samp(d, 0).pvalue, method="holm")[1]
        assert compare_pairs(d).p_oracle == pytest.approx(wanted)

    def test_student_p_beyond_a_margin_has_both_tails(self) -> None:
        before, after = samples(11)
        means = CompareMeans(DescrStatsW(after), DescrStatsW(before))
        tails = [
            means.ttest_ind(alternative=side, value=value)[1] for side, value in (("larger", 0.4), ("smaller", -0.4))
        ]
        design = TwoSamples(before, after)
        # The other tail's p is that of minus the statistic's distance: both are added on the side that was seen.
        size = np.abs(design.difference)
        wanted = sum(stats.t.sf((size + sign * 0.4) / design.se, 11) for sign in (-1, 1))
        assert student_p(design, np.full(5, 0.4)) == pytest.approx(np.minimum(1, wanted))
        assert (student_p(design, np.full(5, 0.4)) >= np.minimum(*tails) - 1e-12).all()

    def test_one_row_that_moved_does_not_change_what_is_said_of_another(self) -> None:
        """No pooling: a neighbour that moves by 20 deviations leaves an innocent row's statistic as it was."""
        before, after = samples(12, (20, 5), 12)
        moved = after.copy()
        moved[:, 0] += 20
        calm, wild = (compare_samples(before, each) for each in (after, moved))
        assert wild.verdicts[0] == WORSE
        assert set(wild.verdicts[1:]) == {NOT_SEPARATED}
        assert wild.p_oracle[1:] == pytest.approx(calm.p_oracle[1:], abs=0.2)
        shared = [TwoSamples(before, each).statistics(np.zeros(12))[:, 1:] for each in (after, moved)]
        assert np.array_equal(*shared)

    def test_critical_is_where_rejection_begins(self) -> None:
        maxima = np.arange(100.0)
        bound = critical(maxima, 0.05)
        assert bound == 94
        assert (maxima >= np.nextafter(bound, 200)).mean() <= 0.05 < (maxima >= bound).mean()
        assert critical(np.arange(10.0), 0.05) == np.inf

    def test_what_simulations_reject_is_what_the_comparison_rejects(self) -> None:
        for seed in range(8):
            before, after = samples(seed, (20, 4), 6)
            after[:, 1] -= 2 * (seed % 2)
            compared, design = compare_samples(before, after), TwoSamples(before, after)
            assert [word == WORSE for word in compared.verdicts] == rejected(design, np.zeros(6), 0.025).tolist()
            assert (still_open(design, np.zeros(6), 0.025) >= rejected(design, np.zeros(6), 0.025)).all()
            better = rejected(design.mirrored(), np.zeros(6), 0.025)
            assert [word == BETTER for word in compared.verdicts] == better.tolist()
