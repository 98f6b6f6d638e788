"""Cells and numbers that a run lacks: what is worse by rule, what is compared, and what stays open; never dropped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from snapshots import BASELINE, FRESH, METRIC, SETTING, group, pair, snapshot

from reproflow.analysis import regression_check
from reproflow.analysis.snapshot import Broken, Series, Snapshot
from reproflow.reporting.regression_summary import markdown


def named(weighting: str) -> str:
    return f"digits8 masked cosine uniform {weighting} ce (800 steps)"


class TestCells:
    def test_a_cell_that_diverged_now_is_worse(self) -> None:
        before, after = pair(14)
        old = snapshot(before, BASELINE)
        for seed, run in ((7, BASELINE[:5]), (105, FRESH)):
            lost = Broken(group("w2")[:-1], seed, "diverged", "loss is nan")
            found = regression_check.compare(old, replace(snapshot(after, run), broken=(lost,)))
            assert found.exit_code == 4
            assert "diverged (loss is nan)" in found.broken[0]
            (row,) = [row for row in found.worse if row.metric == "failed"]
            assert (row.before, row.after) == (0, pytest.approx(1 / 6))
            assert "loss is nan" in markdown(found)

    def test_a_run_without_any_number_of_a_group_is_worse_too(self) -> None:
        before, after = pair(15, 3)
        lost = tuple(Broken(group("w2")[:-1], seed, "failed", "exit 1") for seed in FRESH)
        found = regression_check.compare(
            snapshot(before, BASELINE), replace(snapshot(after[:, :2], FRESH), broken=lost)
        )
        assert (found.exit_code, len(found.broken), found.vanished) == (4, 5, ())

    def test_an_empty_column_is_worse_where_the_baseline_has_the_number(self) -> None:
        before, after = pair(16)
        run = snapshot(after, FRESH)
        key = group("w1"), METRIC
        own = dict(run.series[key].values)
        del own[101]
        changed = replace(run, series=run.series | {key: replace(run.series[key], values=own, missing=(101,))})
        found = regression_check.compare(snapshot(before, BASELINE), changed)
        assert found.exit_code == 4
        assert found.broken == (f"{named('w1')}, seed 101: no {METRIC}",)
        # A baseline that lacks it too, at another seed: shares are compared.
        old = snapshot(before, BASELINE)
        old = replace(old, series=old.series | {key: replace(old.series[key], missing=(20,))})
        found = regression_check.compare(old, changed)
        assert found.exit_code == 0
        (row,) = [row for row in found.rows if row.metric == f"{METRIC} missing"]
        assert (row.before, row.after) == (pytest.approx(1 / 21), pytest.approx(1 / 5))
        # The same seed had it.
        again = replace(run, series=run.series | {key: replace(run.series[key], values=own, missing=(7,))})
        assert regression_check.compare(old, again).exit_code == 4

    def test_a_column_that_is_empty_in_every_cell_is_worse(self) -> None:
        before, after = pair(30)
        run = snapshot(after, FRESH)
        key = group("w1"), METRIC
        gone = replace(run, series={k: v for k, v in run.series.items() if k != key}, empty={key: tuple(FRESH)})
        found = regression_check.compare(snapshot(before, BASELINE), gone)
        assert found.exit_code == 4
        assert len(found.broken) == 5
        (row,) = [row for row in found.worse if row.metric == f"{METRIC} missing"]
        assert (row.before, row.after) == (0, 1)

    def test_two_failed_cells_of_two_are_not_passed_over(self) -> None:
        before, after = pair(31)
        nouns = group("w1")[:-1]
        old = replace(snapshot(before, BASELINE), broken=(Broken(nouns, 30, "diverged", ""),))
        run = snapshot(after, FRESH)
        series = {k: v for k, v in run.series.items() if k[0] != group("w1")}
        lost = tuple(Broken(nouns, seed, "diverged", "nan") for seed in (100, 101))
        found = regression_check.compare(old, replace(run, series=series, broken=lost))
        assert found.exit_code == 5
        assert sum("fewer than 3 seeds" in text for text in found.incomparable) == 2

    def test_lost_cells_tell_true_shares_and_every_name(self) -> None:
        before, after = pair(32)
        nouns = group("w2")[:-1]
        old = replace(snapshot(before, BASELINE), broken=tuple(Broken(nouns, s, "failed", "") for s in (20, 21)))
        lost = tuple(Broken(nouns, seed, "failed", "") for seed in (2, 105, 106))
        found = regression_check.compare(old, replace(snapshot(after, FRESH), broken=lost))
        (row,) = [row for row in found.worse if row.metric == "failed"]
        assert (row.before, row.after) == (pytest.approx(2 / 22), pytest.approx(3 / 8))
        assert len(found.broken) == 3

    def test_shares_of_failed_cells_are_compared_where_the_baseline_has_them_too(self) -> None:
        before, after = pair(17)
        nouns = group("w2")[:-1]

        def failing(values: np.ndarray, seeds: list[int], lost: list[int]) -> Snapshot:
            run = snapshot(values, seeds)
            series = run.series[group("w2"), METRIC]
            kept = {seed: value for seed, value in series.values.items() if seed not in lost}
            broken = tuple(Broken(nouns, seed, "diverged", "") for seed in lost)
            return replace(
                run, series=run.series | {(group("w2"), METRIC): replace(series, values=kept)}, broken=broken
            )

        old = failing(before, BASELINE, [4])
        few = regression_check.compare(old, failing(after, FRESH, [101]))
        assert few.exit_code == 0
        (row,) = [row for row in few.rows if row.metric == "failed"]
        assert (row.before, row.after) == (pytest.approx(1 / 20), pytest.approx(1 / 5))
        many = np.vstack([after, after])
        seeds = [*FRESH, *range(200, 205)]
        harmed = regression_check.compare(old, failing(many, seeds, seeds[2:]))
        assert [row.metric for row in harmed.worse] == ["failed"]

    def test_what_came_and_went(self) -> None:
        before, after = pair(18, 3)
        run = snapshot(after[:, :2], FRESH)
        extra = {(group("new"), "kid"): Series(dict.fromkeys(FRESH, 1.0), SETTING)}
        found = regression_check.compare(snapshot(before, BASELINE), replace(run, series=run.series | extra))
        assert (len(found.new), len(found.vanished), found.exit_code) == (1, 1, 0)
