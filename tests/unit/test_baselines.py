"""Baselines and the regression test: what is kept, what alarms, what cannot be decided, and how often."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from reproflow.evaluation.rotation import contrasts, rotation_test
from scipy import stats

from reproflow import cli
from reproflow.evaluation import baselines, regression
from reproflow.evaluation.snapshot import Broken, Series, Snapshot, read_results
from reproflow.foundation.errors import RegressionError, UndecidedError, UsageError
from reproflow.reporting import gate
from reproflow.reporting.regression import markdown

SETTING = ("cpu", "float32", "demo")
NO_MARGIN = {"bound_bits_per_dim": 0.0}


def group(weighting: str) -> tuple[str, ...]:
    return ("digits8", "masked", "cosine", "uniform", weighting, "ce", "independent", "squared", "800")


def snapshot(values: np.ndarray, seeds: list[int], metric: str = "bound_bits_per_dim", **changes: object) -> Snapshot:
    """A snapshot of one metric, values (seeds, groups)."""
    names = [f"w{i}" for i in range(values.shape[1])]
    series = {
        (group(name), metric): Series(dict(zip(seeds, column, strict=True)), SETTING, "", "f")
        for name, column in zip(names, values.T.tolist(), strict=True)
    }
    return replace(Snapshot("demo", series), **changes)


def drawn(generator: np.random.Generator, seeds: int, groups: int, shared: float = 0.5) -> np.ndarray:
    """Numbers like a run's: groups of unequal spread that share part of their variance between cells of a seed."""
    spread = np.linspace(0.001, 0.004, groups)
    common, own = generator.standard_normal((seeds, 1)), generator.standard_normal((seeds, groups))
    return 2 + spread * (np.sqrt(shared) * common + np.sqrt(1 - shared) * own)


class TestCompare:
    def test_the_same_numbers_are_identical(self) -> None:
        run = snapshot(drawn(np.random.default_rng(0), 3, 4), [0, 1, 2])
        found = regression.compare(run, run)
        assert found.exit_code == 0
        assert {row.verdict for row in found.rows} == {"identical"}

    def test_a_large_loss_alarms_and_a_gain_does_not(self) -> None:
        values = drawn(np.random.default_rng(1), 3, 6)
        noise = 1e-3 * np.random.default_rng(2).standard_normal(values.shape)
        before = snapshot(values, [0, 1, 2])
        assert regression.compare(before, snapshot(values + noise + 0.05, [0, 1, 2])).exit_code == 4
        assert regression.compare(before, snapshot(values + noise - 0.05, [0, 1, 2])).exit_code == 0
        assert regression.compare(before, snapshot(drawn(np.random.default_rng(3), 3, 6) + 0.05, [7, 8, 9])).worse

    def test_one_group_alone_alarms_by_name(self) -> None:
        values = drawn(np.random.default_rng(4), 3, 8)
        worse = values + 1e-4 * np.random.default_rng(5).standard_normal(values.shape)
        worse[:, 3] += 0.05
        found = regression.compare(snapshot(values, [0, 1, 2]), snapshot(worse, [0, 1, 2]))
        assert any("w3" in row.what for row in found.worse)
        assert not any(f"w{i} " in row.what for row in found.worse for i in (0, 1, 2, 4, 5, 6, 7))

    def test_a_loss_within_the_margin_is_none(self) -> None:
        values = drawn(np.random.default_rng(6), 3, 4)
        before, after = snapshot(values, [0, 1, 2]), snapshot(values + 0.0019, [0, 1, 2])
        assert regression.compare(before, after).exit_code == 0
        assert regression.compare(before, after, {"bound_bits_per_dim": 0.0}).exit_code == 4

    def test_relative_margins_are_shares_of_the_baseline(self) -> None:
        values = 1 + drawn(np.random.default_rng(7), 3, 4)
        before = snapshot(values, [0, 1, 2], metric="fid_test")
        (row, *_) = regression.compare(before, snapshot(values * 1.04, [0, 1, 2], metric="fid_test")).rows
        assert row.margin == pytest.approx(0.05 * row.before)
        assert row.verdict == "no regression"

    def test_what_came_went_and_broke(self) -> None:
        values = drawn(np.random.default_rng(8), 3, 3)
        before, after = snapshot(values, [0, 1, 2]), snapshot(values[:, :2], [0, 1, 2])
        extra = {(group("new"), "kid"): Series({0: 1.0, 1: 1.0, 2: 1.0}, SETTING)}
        found = regression.compare(before, replace(after, series=after.series | extra))
        assert (len(found.new), len(found.vanished), found.exit_code) == (1, 1, 0)
        lost = Broken(group("w2")[:-1], 1, "diverged", "loss is nan")
        found = regression.compare(before, replace(after, broken=(lost,)))
        assert found.exit_code == 4
        assert "seed 1: diverged (loss is nan)" in found.broken[0]
        assert "loss is nan" in markdown(found)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (("cuda:h200", "float32", "demo"), "device 'cuda:h200' against 'cpu'"),
            (("cpu", "bfloat16", "demo"), "dtype 'bfloat16'"),
            (("cpu", "float32", "other"), "configuration 'other'"),
        ],
    )
    def test_another_setting_decides_nothing(self, change: tuple[str, str, str], message: str) -> None:
        run = snapshot(drawn(np.random.default_rng(9), 3, 2), [0, 1, 2])
        other = replace(run, series={key: replace(each, setting=change) for key, each in run.series.items()})
        with pytest.raises(UndecidedError, match=message):
            regression.compare(run, other)

    def test_two_seeds_decide_nothing(self) -> None:
        values = drawn(np.random.default_rng(10), 3, 2)
        found = regression.compare(snapshot(values, [0, 1, 2]), snapshot(values[:2], [5, 6]))
        assert found.exit_code == 5
        assert "3 of each are needed" in found.incomparable[0]

    def test_experiments_with_other_seeds_are_compared_too(self) -> None:
        generator = np.random.default_rng(14)
        many, few = drawn(generator, 5, 3), drawn(generator, 3, 2)
        shifts = [1e-4 * generator.standard_normal(values.shape) for values in (many, few)]

        def run(a: np.ndarray, b: np.ndarray) -> Snapshot:
            other = snapshot(b, [0, 1, 2], metric="nll_nats")
            return replace(other, series=other.series | snapshot(a, range(5)).series)

        before = run(many, few)
        assert regression.compare(before, run(many + shifts[0], few + shifts[1])).exit_code == 0
        found = regression.compare(before, run(many + shifts[0], few + shifts[1] + 0.2))
        assert {row.metric for row in found.worse} == {"nll_nats"}
        assert {row.seeds for row in found.rows} == {"5 paired", "3 paired"}

    def test_one_seed_can_be_identical_and_nothing_else(self) -> None:
        values = drawn(np.random.default_rng(15), 1, 2)
        before = snapshot(values, [0])
        assert regression.compare(before, before).exit_code == 0
        changed = regression.compare(before, snapshot(values + np.array([[0.0, 1e-9]]), [0]))
        assert changed.exit_code == 5
        assert len(changed.incomparable) == 1
        assert "w1" in changed.incomparable[0]

    def test_another_feature_network_leaves_fid_undecided(self) -> None:
        values = drawn(np.random.default_rng(16), 3, 2)
        before = snapshot(values, [0, 1, 2], metric="fid_test")
        other = {key: replace(each, features="digits:other") for key, each in before.series.items()}
        found = regression.compare(before, replace(before, series=other))
        assert found.exit_code == 5
        assert "another feature network" in found.incomparable[0]

    def test_a_mean_of_fids_is_a_mean_relative_change(self) -> None:
        """A group with ten times the FID does not outweigh the others."""
        generator = np.random.default_rng(17)
        base = np.array([0.2, 0.3, 3.0]) * (1 + 0.01 * generator.standard_normal((4, 3)))
        after = base * np.array([1.3, 1.3, 0.9])
        found = regression.compare(snapshot(base, range(4), "fid_test"), snapshot(after, range(4), "fid_test"))
        (mean,) = [row for row in found.rows if row.cells == 3]
        assert mean.difference / mean.before == pytest.approx((0.3 + 0.3 - 0.1) / 3)
        assert mean.before == pytest.approx(stats.hmean(base.mean(0)))
        assert mean.margin == pytest.approx(0.05 * mean.before)

    def test_cells_lost_on_other_seeds_and_lost_before(self) -> None:
        values = drawn(np.random.default_rng(18), 3, 2)
        before = snapshot(values, [0, 1, 2])
        now = snapshot(values, [5, 6, 7], broken=(Broken(group("w0")[:-1], 8, "diverged", ""),))
        assert "seed 8" in regression.compare(before, now).broken[0]
        old = replace(before, broken=(Broken(group("w0")[:-1], 3, "diverged", ""),))
        found = regression.compare(old, now)
        assert found.broken == ()
        assert "the baseline has such cells too" in found.notes[0]

    def test_other_experiments_are_noted_and_other_seeds_are_not(self) -> None:
        def about(steps: int, seeds: list[int]) -> dict:
            return {"experiments": [{"training": {"steps": steps}, "seeds": seeds, "shard_size": len(seeds)}]}

        values = drawn(np.random.default_rng(19), 3, 2)
        old = snapshot(values, [0, 1, 2])
        old = replace(old, about={"configuration_digest": baselines.experiments_digest(about(5, [0, 1, 2]))})
        same, other = (replace(old, about={"config": about(steps, [7])}) for steps in (5, 6))
        assert regression.compare(old, same).notes == ()
        assert "not those of the baseline" in regression.compare(old, other).notes[0]


class TestRotation:
    def test_one_row_is_the_t_test(self) -> None:
        """For a single row without a prior's help the rotation test is Student's, by scipy."""
        generator = np.random.default_rng(0)
        for before, after, paired in (
            (generator.standard_normal((6, 1)), generator.standard_normal((6, 1)) + 0.8, True),
            (generator.standard_normal((4, 1)), generator.standard_normal((5, 1)) + 0.8, False),
        ):
            u, factor = contrasts(before, after, paired)
            assert u[0, 0] * factor == pytest.approx(after.mean() - before.mean())
            found = rotation_test(u, [np.array([0])], np.zeros((1, 0)))
            test = stats.ttest_rel if paired else stats.ttest_ind
            wanted = test(after[:, 0], before[:, 0], alternative="greater").pvalue
            assert found.p[0] == pytest.approx(wanted, abs=4 * np.sqrt(wanted * (1 - wanted) / 9999))

    @pytest.mark.parametrize("shared", [0.0, 0.5, 0.95])
    @pytest.mark.parametrize(("old", "new"), [([0, 1, 2], [0, 1, 2]), ([0, 1, 2], [3, 4, 5]), (range(8), [8, 9, 10])])
    def test_unchanged_runs_alarm_at_the_nominal_rate(self, shared: float, old: list[int], new: list[int]) -> None:
        """Runs of one law on other seeds: alarms are binomial with the level as the chance, whatever correlates."""
        generator, runs, alpha = np.random.default_rng(11), 150, 0.1
        alarms = 0
        for _ in range(runs):
            before, after = drawn(generator, len(old), 12, shared), drawn(generator, len(new), 12, shared)
            found = regression.compare(snapshot(before, old), snapshot(after, new), NO_MARGIN, alpha)
            alarms += found.exit_code == 4
        assert alarms <= stats.binom.ppf(0.9999, runs, alpha)
        assert alarms >= stats.binom.ppf(0.0001, runs, alpha), "a test that never alarms on chance has lost its level"

    def test_seeds_in_both_runs_alarm_less(self) -> None:
        """Two samples that share seeds whose numbers resemble each other stay at or below the level."""
        generator, runs, alpha = np.random.default_rng(12), 150, 0.1
        alarms = 0
        for _ in range(runs):
            before = drawn(generator, 8, 12)
            after = 2 + 0.8 * (before[:3] - 2) + 0.6 * (drawn(generator, 3, 12) - 2)
            found = regression.compare(snapshot(before, range(8)), snapshot(after, [0, 1, 2]), NO_MARGIN, alpha)
            assert not found.paired
            alarms += found.exit_code == 4
        assert alarms <= stats.binom.ppf(0.9999, runs, alpha)

    def test_a_harm_to_all_is_found_where_no_single_group_shows_it(self) -> None:
        """The means over groups see what single rows cannot; without them the same shift is found less often."""
        generator, found = np.random.default_rng(13), []
        for _ in range(60):
            before, after = drawn(generator, 5, 12, 0.1), drawn(generator, 5, 12, 0.1) + 0.004
            rows = regression.compare(snapshot(before, range(5)), snapshot(after, range(5)), NO_MARGIN).worse
            found.append((any(row.cells > 1 for row in rows), any(row.cells == 1 for row in rows)))
        of_means, of_groups = np.sum(found, axis=0)
        assert of_means > of_groups


CELLS = """process,dataset,path,time,weighting,target,seed,steps,cell,status,reason,nll_nats,device,fingerprint
"""


def results(folder: Path, shift: float = 0.0, seeds: int = 3) -> Path:
    """A results folder of three planar groups."""
    generator = np.random.default_rng(0)
    rows = [
        f"gaussian,moons,linear,uniform,{w},velocity,{seed},100,moons.{w}.s{seed},ok,,{value},cpu,f"
        for w in ("elbo", "fm", "sigmoid")
        for seed, value in enumerate(1 + shift + 0.01 * generator.standard_normal(seeds))
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cells.csv").write_text(CELLS + "\n".join(rows) + "\n")
    (folder / "config.json").write_text(json.dumps({"name": "demo", "regression": {"alpha": 0.05, "margins": {}}}))
    return folder


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed git repository with results in an ignored folder; the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".gitignore").write_text("results/*\n!results/baselines/\n")
    (tmp_path / "code.py").write_text("x = 1\n")
    results(tmp_path / "results/demo")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "start"]):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.invalid"]
        subprocess.run(["git", *identity, *command], check=True, capture_output=True)
    return tmp_path


class TestCommands:
    def test_update_compare_list(self, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.run(["baseline", "update", "demo", "--reason", "first"]) == 0
        before, kept = read_results("results/demo"), baselines.read("demo")
        assert kept.series == before.series
        assert kept.about["reason"] == "first"
        assert len(kept.about["commit"]) == 40
        assert cli.run(["baseline", "compare", "demo"]) == 0
        results(repository / "results/demo", shift=0.2)
        assert cli.run(["baseline", "compare", "demo", "--json", "r.json", "--markdown", "r.md"]) == 4
        assert json.loads(Path("r.json").read_text())["exit_code"] == 4
        assert "REGRESSION" in Path("r.md").read_text()
        assert cli.run(["baseline", "compare", "demo", "--json", "r.json", "--evidence"]) == 0
        capsys.readouterr()
        assert cli.run(["baseline", "list", "--json"]) == 0
        (row,) = json.loads(capsys.readouterr().out)
        assert (row["name"], row["groups"], row["seeds"], row["reason"]) == ("demo", 3, "0;1;2", "first")

    def test_a_baseline_is_updated_over_itself(self, repository: Path) -> None:
        assert cli.run(["baseline", "update", "demo", "--reason", "first"]) == 0
        assert cli.run(["baseline", "update", "demo", "--reason", "second"]) == 0

    def test_refusals(self, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.run(["baseline", "compare", "demo"]) == 5
        assert "no baseline 'demo'" in capsys.readouterr().err
        assert cli.run(["baseline", "update", "demo"]) == 2
        assert cli.run(["baseline", "update", "demo", "--reason", " "]) == 2
        assert cli.run(["baseline", "update", "none", "--reason", "x"]) == 2
        (repository / "code.py").write_text("x = 2\n")
        assert cli.run(["baseline", "update", "demo", "--reason", "x"]) == 2
        assert "uncommitted changes (code.py)" in capsys.readouterr().err

    def test_sources_that_git_does_not_know_and_no_repository(
        self, repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (repository / "notes.txt").write_text("not a source")
        assert cli.run(["baseline", "update", "demo", "--reason", "x"]) == 0
        (repository / "my_weighting.py").write_text("y = 1\n")
        assert cli.run(["baseline", "update", "demo", "--reason", "x", "--folder", "/nowhere/else"]) == 2
        assert "my_weighting.py" in capsys.readouterr().err
        monkeypatch.setenv("GIT_DIR", str(repository / "none"))
        assert cli.run(["baseline", "update", "demo", "--reason", "x"]) == 2
        assert "no git repository" in capsys.readouterr().err

    def test_a_summary_is_written_where_nothing_is_decided(
        self, repository: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.run(["baseline", "compare", "demo", "--markdown", "r.md", "--json", "r.json"]) == 5
        assert "cannot decide" in Path("r.md").read_text()
        assert "no baseline 'demo'" in json.loads(Path("r.json").read_text())["reason"]
        assert cli.run(["baseline", "compare", "demo", "--markdown", "-", "--json", "-"]) == 2
        assert cli.run(["baseline", "update", "../demo", "--reason", "x"]) == 2

    def test_a_baseline_with_failed_cells_against_itself(self, repository: Path) -> None:
        file = repository / "results/demo/cells.csv"
        file.write_text(file.read_text().replace("ok,,", "diverged,nan at 7,", 1))
        assert cli.run(["baseline", "update", "demo", "--reason", "x", "--allow-failed"]) == 0
        assert cli.run(["baseline", "compare", "demo"]) == 0

    def test_failed_cells_are_refused_unless_allowed(self, repository: Path) -> None:
        file = repository / "results/demo/cells.csv"
        file.write_text(file.read_text().replace("ok,,", "diverged,nan at 7,", 1))
        run = read_results("results/demo")
        with pytest.raises(UsageError, match="1 cells have no numbers"):
            baselines.update("demo", run, "x")
        baselines.update("demo", run, "x", allow_failed=True)
        assert len(baselines.read("demo").series) == 3

    def test_fewer_seeds_cannot_decide(self, repository: Path) -> None:
        assert cli.run(["baseline", "update", "demo", "--reason", "first"]) == 0
        results(repository / "results/demo", seeds=2)
        assert cli.run(["baseline", "compare", "demo"]) == 5


def test_the_gate_fails_for_a_regression(tmp_path: Path) -> None:
    worse = {
        "exit_code": 4,
        "rows": [{"what": "w", "metric": "kid", "verdict": "worse"}],
        "broken": ["w, seed 1: failed"],
    }
    (tmp_path / "regression.json").write_text(json.dumps(worse))
    assert gate.regressions(tmp_path) == ["w, kid", "w, seed 1: failed"]
    (tmp_path / "regression.json").write_text(json.dumps(worse | {"file": str(tmp_path / "gone.csv")}))
    assert gate.regressions(tmp_path) == [], "the baseline was taken away since"
    (tmp_path / "regression.json").write_text(json.dumps(worse | {"exit_code": 5}))
    assert gate.regressions(tmp_path) == []
    assert RegressionError.exit_code == 4
