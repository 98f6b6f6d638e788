"""The simulation of false alarms: it counts what the comparison says, of rows that are the regression check's."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import familywise
from benchmarks.familywise import Design, called, draw, upper_limit
from reproflow.numerics.relabelling import Pairs
from reproflow.numerics.simultaneous import compare_pairs, compare_samples


@pytest.mark.parametrize(
    "design",
    [
        Design("samples", 3, "half", shared=0.8, direction=0),
        Design("samples", 3, "one", diverged=True),
        Design("samples", 3, common=0.5),
        Design("pairs", 8, "half"),
    ],
    ids=str,
)
@pytest.mark.default_cases(2)
def test_what_is_counted_is_what_the_comparison_says(design: Design) -> None:
    for run in range(4):
        drawn, null = draw(np.random.default_rng(run), design)
        if isinstance(drawn, Pairs):
            found = compare_pairs(drawn.differences, design.margin, familywise.LEVEL)
        else:
            found = compare_samples(drawn.before, drawn.after, design.margin, familywise.LEVEL)
        every = called(drawn, design.margin, np.ones(len(null), dtype=bool))
        for line, word in zip(every, ("worse", "better"), strict=True):
            assert line.tolist() == [verdict == word for verdict in found.verdicts]
        assert (called(drawn, design.margin, null) == (every & null)).all()


def test_true_nulls_are_rows_without_a_moved_member() -> None:
    _, null = draw(np.random.default_rng(0), Design("samples", 3, "half"))
    # Twelve of 24 groups moved: all of w0 and w1. Then the mean of all, and of w0 to w3.
    assert null.tolist() == [False] * 12 + [True] * 12 + [False, False, False, True, True]
    _, pairs = draw(np.random.default_rng(0), Design("pairs", 8, "one"))
    assert pairs.sum() == 10


def test_the_limit_is_clopper_and_pearsons() -> None:
    """P(X <= k) at the limit is one minus the confidence."""
    from scipy import stats

    assert stats.binom.cdf(30, 500, upper_limit(30, 500)) == pytest.approx(0.01)
    assert upper_limit(5, 5) == 1.0
