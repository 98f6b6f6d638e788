"""Simultaneous intervals, and what each verdict needs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from two_samples import generator, samples

from reproflow.foundation.errors import UsageError
from reproflow.numerics.relabelling import TwoSamples
from reproflow.numerics.simultaneous import (
    BETTER,
    EQUAL,
    NOT_SEPARATED,
    NOT_WORSE,
    TOO_FEW,
    WORSE,
    compare_pairs,
    compare_samples,
    critical,
    rejected,
    verdict,
)


class TestIntervals:
    def test_ends_invert_the_test(self) -> None:
        """Of one row: the test of a shift a little inside the interval does not reject, a little outside it does."""
        before, after = samples(13, rows=1)
        found = compare_samples(before, after)
        design, room = TwoSamples(before, after), 0.02 * float(found.se[0])
        assert rejected(design, found.low - room, 0.025).tolist() == [True]
        assert rejected(design, found.low + room, 0.025).tolist() == [False]
        assert rejected(design.mirrored(), -(found.high + room), 0.025).tolist() == [True]
        assert rejected(design.mirrored(), -(found.high - room), 0.025).tolist() == [False]

    def test_one_gaussian_row_has_about_students_interval(self) -> None:
        own = generator(14)
        before, after = own.normal(size=(30, 1)), own.normal(size=(30, 1))
        found = compare_samples(before, after)
        low, high = stats.ttest_ind(after, before).confidence_interval()
        assert found.low == pytest.approx(low, abs=0.1 * (high - low)[0])
        assert found.high == pytest.approx(high, abs=0.1 * (high - low)[0])

    def test_rejected_rows_end_at_their_margin_while_another_is_open(self) -> None:
        before, after = samples(15, (20, 5))
        found = compare_samples(before, after + np.array([9, 0, 0, 0, 0]), 0.25)
        assert found.verdicts[0] == WORSE
        assert found.low[0] == 0.25
        assert found.high[0] > found.difference[0]
        assert (found.low[1:] <= 0.25).all()
        alone = compare_samples(before[:, :1], after[:, :1] + 9, 0.25)
        assert alone.low[0] > 5, "where every row is rejected, how much more is told"

    def test_open_rows_end_where_they_would_without_the_rejected_one(self) -> None:
        """The step of Strassburger and Bretz: a rejected row costs the others nothing."""
        before, after = samples(25, (20, 4))
        after[:, 0] += 20
        whole, rest = compare_samples(before, after, 0.1), compare_samples(before[:, 1:], after[:, 1:], 0.1)
        assert whole.verdicts[0] == WORSE
        assert whole.low[1:] == pytest.approx(rest.low)
        every = TwoSamples(before, after)
        alone = critical(every.statistics(np.full(5, 0.1)).max(1), 0.025)
        assert (whole.low[1:] > every.shift_at(alone)[1:]).all(), "the family with it has a larger critical value"

    def test_a_row_that_is_not_rejected_never_ends_beyond_its_margin(self) -> None:
        """Relabelled statistics at the ends differ from those at the margin: the ends are cut there."""
        cut = 0
        for seed in range(60):
            own = generator(seed)
            before, after = own.lognormal(size=(6, 2)), own.lognormal(size=(3, 2)) + 2.2
            found = compare_samples(before, after, 0.5)
            for word, low in zip(found.verdicts, found.low, strict=True):
                assert low <= 0.5 or word == WORSE
                cut += word != WORSE and low == 0.5
        assert cut, "the case that the cut is for did not occur"

    def test_alarm_and_detectable_are_those_of_the_stricter_side(self) -> None:
        own = generator(27)
        before, after = own.lognormal(sigma=1.5, size=(20, 4)), own.lognormal(sigma=1.5, size=(4, 4))
        found, design = compare_samples(before, after), TwoSamples(before, after)
        sides = [critical(each.statistics(np.zeros(4)).max(1), 0.025) for each in (design, design.mirrored())]
        assert abs(sides[0] - sides[1]) > 0.2, "the sides differ"
        assert found.alarm == pytest.approx(max(sides) * design.se, rel=0.1)
        assert found.detectable == pytest.approx((max(sides) + stats.t.ppf(0.8, 22)) * design.se, rel=0.1)

    def test_verdicts(self) -> None:
        assert verdict(-0.5, 0.5, 1.0) == EQUAL
        assert verdict(-1.5, 0.5, 1.0) == NOT_WORSE
        assert verdict(-1.5, 1.5, 1.0) == NOT_SEPARATED
        assert verdict(1.0, 3.0, 1.0, worse=True) == WORSE
        assert verdict(-3.0, -1.0, 1.0, better=True) == BETTER
        assert verdict(-1.0, 1.0, 0.0) == NOT_SEPARATED
        assert verdict(-3.0, 0.0, 0.0, better=True) == BETTER

    def test_a_small_shift_is_equal_within_a_wide_margin(self) -> None:
        before, after = samples(16, (20, 10), 3)
        after[:, 0] -= 3
        found = compare_samples(before, after, 4.0)
        assert set(found.verdicts) == {EQUAL}
        assert compare_samples(before, after + 4.0, 4.0).verdicts.count(EQUAL) == 0

    def test_too_few_seeds(self) -> None:
        before, after = samples(17, (20, 3), 2)
        after[0, 0] = np.nan
        found = compare_samples(before, after)
        assert found.verdicts[0] == TOO_FEW
        assert found.verdicts[1] != TOO_FEW
        assert np.isnan(found.low[0])
        assert compare_pairs(generator(18).normal(size=(7, 2)) + 9).verdicts == (TOO_FEW, TOO_FEW)
        assert compare_pairs(generator(18).normal(size=(8, 2)) + 9).verdicts == (WORSE, WORSE)

    def test_three_against_three_can_decide_nothing(self) -> None:
        """Twenty relabellings: no p is below 1/20."""
        found = compare_samples(generator(19).normal(size=(3, 1)), np.full((3, 1), 50.0))
        assert found.verdicts == (TOO_FEW,)
        assert np.isnan([found.low[0], found.p[0], found.detectable[0]]).all()
        decided = compare_samples(generator(19).normal(size=(5, 1)), np.full((3, 1), 50.0))
        assert decided.verdicts == (WORSE,), "56 relabellings"
        assert compare_samples(generator(19).normal(size=(5, 1)), np.full((3, 1), 50.0), 0.0, 0.03).verdicts == (
            TOO_FEW,
        )

    def test_the_detectable_shift_is_found_in_four_of_five_runs(self) -> None:
        own, hits, told = generator(20), 0, []
        for _ in range(100):
            before, after = own.normal(size=(20, 3)), own.normal(size=(3, 3))
            found = compare_samples(before, after, 0.1)
            told.append(found.detectable[0])
        shift = float(np.median(told))
        for _ in range(100):
            before, after = own.normal(size=(20, 3)), own.normal(size=(3, 3))
            after[:, 0] += shift
            hits += compare_samples(before, after, 0.1).verdicts[0] == WORSE
        assert stats.binom.ppf(1e-3, 100, 0.7) <= hits <= stats.binom.ppf(1 - 1e-3, 100, 0.88)

    def test_bad_input(self) -> None:
        with pytest.raises(UsageError, match="shapes"):
            compare_samples(np.zeros((3, 2)), np.zeros((3, 3)))
        with pytest.raises(UsageError, match="shape"):
            compare_pairs(np.zeros(3))
        with pytest.raises(UsageError, match="margins"):
            compare_pairs(np.ones((8, 1)), -1.0)
        with pytest.raises(UsageError, match="level"):
            compare_pairs(np.ones((8, 1)), 0.0, 1.0)
