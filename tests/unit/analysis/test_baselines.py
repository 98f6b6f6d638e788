"""The regression check: what is compared, what alarms, what is not decided, and that innocent groups are left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from snapshots import BASELINE, FRESH, METRIC, SETTING, drawn, group, pair, single, snapshot

from reproflow.analysis import baselines, regression_check
from reproflow.analysis.shifts import UNTOUCHED
from reproflow.analysis.snapshot import Broken, Series, Snapshot
from reproflow.foundation.errors import UndecidedError
from reproflow.numerics.simultaneous import BETTER, EQUAL, NOT_SEPARATED, NOT_WORSE, WORSE
from reproflow.reporting.regression_summary import markdown


class TestVerdicts:
    def test_the_same_numbers_are_untouched(self) -> None:
        before, _ = pair(0)
        run = snapshot(before, BASELINE)
        found = regression_check.compare(run, run.restricted([0, 1, 2]))
        assert found.exit_code == 0
        assert {row.verdict for row in found.rows} == {UNTOUCHED}
        assert {row.seeds for row in found.rows} == {"3 in common"}

    def test_a_large_loss_alarms_and_a_gain_does_not(self) -> None:
        before, after = pair(1)
        old = snapshot(before, BASELINE)
        assert regression_check.compare(old, snapshot(after + 0.05, FRESH)).exit_code == 4
        gained = regression_check.compare(old, snapshot(after - 0.05, FRESH))
        assert gained.exit_code == 0
        assert {row.verdict for row in gained.rows} == {BETTER}

    def test_one_group_alone_alarms_by_name_and_its_neighbours_do_not(self) -> None:
        """Twenty standard deviations in one group, harm or gain, say nothing of another."""
        for seed in range(8):
            before, after = pair(seed, 8)
            after[:, 3] += 0.05 * (-1) ** seed
            verdicts = single(regression_check.compare(snapshot(before, BASELINE), snapshot(after, FRESH)))
            assert verdicts.pop("w3") == (WORSE if seed % 2 == 0 else BETTER)
            assert WORSE not in verdicts.values()

    def test_seeds_in_common_are_not_paired(self) -> None:
        """A change of the random stream makes pairs no more alike than other seeds: common seeds count as fresh."""
        before, after = pair(3)
        old = snapshot(before, BASELINE)
        fresh, common = (regression_check.compare(old, snapshot(after, seeds)) for seeds in (FRESH, BASELINE[:5]))
        assert [row.p for row in fresh.rows] == [row.p for row in common.rows]
        assert not common.paired

    def test_one_equal_seed_does_not_hide_the_others(self) -> None:
        before, after = pair(29)
        after = np.vstack([before[:1], after[1:] + 0.5])
        found = regression_check.compare(snapshot(before, BASELINE), snapshot(after, [0, *FRESH[1:]]))
        assert found.exit_code == 4

    def test_one_changed_seed_of_three_is_a_touched_row(self) -> None:
        before, _ = pair(4)
        after = before[:3].copy()
        after[1, 2] += 1e-9
        verdicts = single(regression_check.compare(snapshot(before, BASELINE), snapshot(after, [0, 1, 2])))
        assert [name for name, verdict in verdicts.items() if verdict != UNTOUCHED] == ["w2"]

    def test_margins_are_the_baselines_own(self) -> None:
        before, after = pair(5)
        wide, none = (snapshot(before, BASELINE, margin) for margin in (0.02, 0.0))
        run = snapshot(after + 0.01, FRESH)
        assert regression_check.compare(wide, run).exit_code == 0
        assert {row.verdict for row in regression_check.compare(wide, run).rows} <= {EQUAL, NOT_WORSE}
        found = regression_check.compare(none, run)
        assert found.exit_code == 4
        assert {row.margin for row in found.rows} == {0.0}
        stated = replace(run, about={"config": {"regression": {"margins": {METRIC: 0.5}}}})
        notes = regression_check.compare(none, stated).notes
        assert any("own margins count" in note for note in notes)

    def test_what_is_not_separated_says_what_would_be_found(self) -> None:
        before, after = pair(6, run=3)
        found = regression_check.compare(snapshot(before, BASELINE, 1e-5), snapshot(after, FRESH[:3]))
        rows = [row for row in found.rows if row.verdict == NOT_SEPARATED]
        assert rows
        assert all(row.detectable > row.margin and row.low < 0 < row.high for row in rows)
        assert (found.exit_code, found.required(None), found.required("not-worse")) == (0, 0, 5)
        wide = regression_check.compare(snapshot(before, BASELINE, 1.0), snapshot(after, FRESH[:3]))
        assert wide.required("not-worse") == 0
        assert "power 0.8" in markdown(found)

    def test_the_ratio_of_spreads_is_told(self) -> None:
        before, after = pair(7)
        for row in regression_check.compare(snapshot(before, BASELINE), snapshot(after, FRESH)).rows:
            columns = slice(None) if row.cells > 1 else [int(row.what.split()[4][1:])]
            new, old = (each[:, columns].mean(1).std(ddof=1) for each in (after, before))
            assert row.spread == pytest.approx(new / old)

    def test_a_second_look_has_its_part_of_the_level(self) -> None:
        before, after = pair(8, 1)
        shift = 0.0
        while regression_check.compare(snapshot(before, BASELINE, 0.0), snapshot(after + shift, FRESH)).exit_code == 0:
            shift += 2e-5
        old, new = snapshot(before, BASELINE, 0.0), snapshot(after + shift, FRESH)
        assert regression_check.compare(old, new).exit_code == 4
        assert regression_check.compare(old, new, looks=2).exit_code == 0
        assert regression_check.compare(old, snapshot(after + 5, FRESH), looks=2).exit_code == 4

    def test_the_oracle_stands_beside(self) -> None:
        before, after = pair(9, 1)
        (row,) = regression_check.compare(snapshot(before, BASELINE, 0.0), snapshot(after, FRESH)).rows
        assert row.p_oracle == pytest.approx(stats.ttest_ind(after[:, 0], before[:, 0]).pvalue)

    def test_a_family_of_its_own_has_its_part_of_the_level(self) -> None:
        """What alarms in one family at the whole level does not at half of it, and p says so."""
        before, after = pair(8, 2)
        old = snapshot(before, BASELINE, 0.0)

        def run(shift: float, seeds: tuple[list[int], list[int]]) -> regression_check.Comparison:
            columns = [snapshot(after[: len(own), [i]] + shift, own, 0.0) for i, own in enumerate(seeds)]
            series = {(group(f"w{i}"), METRIC): each for i, run in enumerate(columns) for each in run.series.values()}
            return regression_check.compare(old, Snapshot("demo", series))

        one, two = (FRESH, FRESH), (FRESH, FRESH[:4])
        shift = next(s for s in np.arange(0, 0.02, 2e-5) if min(r.p for r in run(s, one).rows) <= 0.04)
        alone = regression_check.compare(
            snapshot(before[:, :1], BASELINE, 0.0), snapshot(after[:, :1] + shift, FRESH, 0.0)
        )
        apart = {row.what: row for row in run(shift, two).rows}
        (row,) = alone.rows
        assert apart[row.what].p == pytest.approx(2 * row.p)
        assert apart[row.what].p_oracle == pytest.approx(2 * row.p_oracle)
        assert (apart[row.what].verdict == WORSE) == (apart[row.what].p <= 0.05)

    def test_another_spread_of_relabellings_than_any_p_needs_decides_nothing(self) -> None:
        before, after = pair(26, 2)
        found = regression_check.compare(snapshot(before[:3], BASELINE[:3]), snapshot(after[:3] + 9, FRESH[:3]))
        assert {row.verdict for row in found.rows} == {"too few seeds"}
        assert found.exit_code == 5


class TestMeans:
    def grouped(self, values: np.ndarray, seeds: list[int]) -> Snapshot:
        """Six groups: two weightings on three paths."""
        series = {
            (group(f"w{i % 2}", f"p{i // 2}"), METRIC): Series(
                dict(zip(seeds, column, strict=True)), SETTING, margin=0.0
            )
            for i, column in enumerate(values.T.tolist())
        }
        return Snapshot("demo", series)

    def test_means_are_taken_per_seed(self) -> None:
        before, after = pair(10)
        found = regression_check.compare(self.grouped(before, BASELINE), self.grouped(after, FRESH))
        means = {row.what: row for row in found.rows if row.cells > 1}
        assert {row.cells for row in means.values()} == {3, 6}
        row = means["digits8 masked, mean of w1"]
        old, new = (values[:, 1::2].mean(1) for values in (before, after))
        assert (row.before, row.after) == pytest.approx((old.mean(), new.mean()))
        assert row.spread == pytest.approx(new.std(ddof=1) / old.std(ddof=1))

    def test_a_mean_counts_its_untouched_members(self) -> None:
        before, after = pair(27)
        after[:, :2] = before[:5, :2]
        found = regression_check.compare(self.grouped(before, BASELINE), self.grouped(after, BASELINE[:5]))
        assert sum(row.verdict == UNTOUCHED for row in found.rows) == 2
        row = next(row for row in found.rows if row.what == "digits8 masked, mean of w0")
        assert row.cells == 3
        assert (row.before, row.after) == pytest.approx((before[:, ::2].mean(), after[:, ::2].mean()))

    def test_a_failed_cell_keeps_its_group_in_the_family(self) -> None:
        """Its mean is over the seeds that all members have, and the family is one."""
        before, after = pair(28)
        old, new = self.grouped(before, BASELINE), self.grouped(after, FRESH)
        key = group("w0", "p0"), METRIC
        kept = {seed: value for seed, value in old.series[key].values.items() if seed != 4}
        old = replace(old, series=old.series | {key: replace(old.series[key], values=kept)})
        old = replace(old, broken=(Broken(key[0][:-1], 4, "diverged", ""),))
        found = regression_check.compare(old, new)
        row = next(row for row in found.rows if row.what == "digits8 masked, mean of w0")
        assert row.seeds == "19 and 5"
        assert row.before == pytest.approx(np.delete(before[:, ::2].mean(1), 4).mean())
        lines = [row for row in found.rows if row.cells == 1]
        assert len(lines) == 6
        assert min(row.p for row in found.rows) >= min(row.p_oracle for row in found.rows) / 3

    def test_a_harm_to_all_is_found_where_no_single_group_shows_it(self) -> None:
        generator, found = np.random.default_rng(13), []
        for _ in range(40):
            before, after = (generator.normal(mean, 0.003, (n, 6)) for mean, n in ((2, 20), (2.004, 3)))
            rows = regression_check.compare(self.grouped(before, BASELINE), self.grouped(after, FRESH[:3])).worse
            found.append((any(row.cells > 1 for row in rows), any(row.cells == 1 for row in rows)))
        of_means, of_groups = np.sum(found, axis=0)
        assert of_means > of_groups


class TestUndecided:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (("cuda:h200", "float32", "demo"), "device 'cuda:h200' against 'cpu'"),
            (("cpu", "bfloat16", "demo"), "dtype 'bfloat16'"),
            (("cpu", "float32", "other"), "configuration 'other'"),
        ],
    )
    def test_another_setting_decides_nothing(self, change: tuple[str, str, str], message: str) -> None:
        run = snapshot(pair(19)[0], BASELINE)
        other = replace(run, series={key: replace(each, setting=change) for key, each in run.series.items()})
        with pytest.raises(UndecidedError, match=message):
            regression_check.compare(run, other)

    def test_two_seeds_decide_nothing(self) -> None:
        before, after = pair(20)
        found = regression_check.compare(snapshot(before, BASELINE), snapshot(after[:2], FRESH[:2]))
        assert found.exit_code == 5
        assert "6 rows: 20 and 2 seeds, 3 of each are needed" in found.incomparable[0]
        assert len(found.incomparable) == 1, "rows of one reason stand together"

    def test_another_feature_network_leaves_fid_undecided(self) -> None:
        before, after = pair(21)
        old = snapshot(before, BASELINE, metric="fid_test")
        new = snapshot(after, FRESH, metric="fid_test")
        new = replace(new, series={key: replace(each, features="other") for key, each in new.series.items()})
        found = regression_check.compare(old, new)
        assert found.exit_code == 5
        assert "another feature network" in found.incomparable[0]

    def test_experiments_with_other_seeds_share_the_level(self) -> None:
        before, after = pair(22)
        many, few = snapshot(after[:, :3], FRESH), snapshot(after[:3, 3:], FRESH[:3])
        renamed = {(group(f"w{i + 3}"), METRIC): each for i, each in enumerate(few.series.values())}
        run = replace(many, series=many.series | renamed)
        found = regression_check.compare(snapshot(before, BASELINE), run)
        assert {row.seeds for row in found.rows} == {"20 and 5", "20 and 3"}
        assert found.exit_code == 0
        harmed = {
            key: replace(each, values={s: v + 0.1 for s, v in each.values.items()}) for key, each in renamed.items()
        }
        verdicts = single(
            regression_check.compare(snapshot(before, BASELINE), replace(run, series=run.series | harmed))
        )
        assert {name for name, verdict in verdicts.items() if verdict == WORSE} == {"w3", "w4", "w5"}

    def test_other_experiments_are_noted_and_other_seeds_are_not(self) -> None:
        def about(steps: int, seeds: list[int]) -> dict:
            return {"experiments": [{"training": {"steps": steps}, "seeds": seeds, "shard_size": len(seeds)}]}

        old = snapshot(pair(23)[0], BASELINE)
        old = replace(old, about={"configuration_digest": baselines.experiments_digest(about(5, [0, 1, 2]))})
        same, other = (replace(old, about={"config": about(steps, [7])}) for steps in (5, 6))
        assert regression_check.compare(old, same).notes == ()
        assert "not those of the baseline" in regression_check.compare(old, other).notes[0]

    def test_a_small_baseline_is_noted(self) -> None:
        before, after = pair(24)
        found = regression_check.compare(snapshot(before[:5], BASELINE[:5]), snapshot(after, FRESH))
        assert any("fewer than 20 seeds" in note for note in found.notes)


def test_unchanged_runs_alarm_at_the_nominal_rate_and_no_less() -> None:
    """Alarms are binomial with half the level as their chance (one side); benchmarks/results/familywise.md has more."""
    generator, runs, alpha = np.random.default_rng(11), 150, 0.2
    alarms = 0
    for _ in range(runs):
        before, after = drawn(generator, 8, 6), drawn(generator, 3, 6)
        found = regression_check.compare(snapshot(before, BASELINE[:8], 0.0), snapshot(after, FRESH[:3]), alpha)
        alarms += found.exit_code == 4
    assert stats.binom.ppf(0.0001, runs, alpha / 2) <= alarms <= stats.binom.ppf(0.9999, runs, alpha / 2)
