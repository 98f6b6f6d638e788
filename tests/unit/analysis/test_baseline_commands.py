"""Baselines on disk and the commands about them: what is kept, refused, compared and written."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml

from reproflow import cli
from reproflow.analysis import baselines, gate
from reproflow.analysis.snapshot import read_results
from reproflow.foundation import config as configuration
from reproflow.foundation.errors import RegressionError, UsageError

CELLS = """process,dataset,path,time,weighting,target,seed,steps,cell,status,reason,nll_nats,device,fingerprint
"""


def results(folder: Path, shift: float = 0.0, seeds: int = 20, first: int = 0) -> Path:
    """A results folder of three planar groups."""
    generator = np.random.default_rng(0)
    rows = [
        f"gaussian,moons,linear,uniform,{w},velocity,{seed},100,moons.{w}.s{seed},ok,,{value},cpu,f"
        for w in ("elbo", "fm", "sigmoid")
        for seed, value in enumerate(1 + shift + 0.01 * generator.standard_normal(30)[:seeds], first)
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
        assert {key: each.values for key, each in kept.series.items()} == {
            key: each.values for key, each in before.series.items()
        }
        assert {each.margin for each in kept.series.values()} == {0.01}
        assert kept.about["reason"] == "first"
        assert len(kept.about["commit"]) == 40
        assert kept.about["run"]["versions"]["numpy"] == np.__version__, "no provenance.json: that of this machine"
        assert kept.about["run"]["git_commit"] is None, "and the code that trained it is unknown"
        assert cli.run(["baseline", "compare", "demo"]) == 0
        results(repository / "results/demo", seeds=3)
        assert cli.run(["baseline", "compare", "demo", "--require", "not-worse"]) == 0
        results(repository / "results/demo", shift=0.2, seeds=3)
        assert cli.run(["baseline", "compare", "demo", "--json", "r.json", "--markdown", "r.md"]) == 4
        assert json.loads(Path("r.json").read_text())["exit_code"] == 4
        assert "REGRESSION" in Path("r.md").read_text()
        assert cli.run(["baseline", "compare", "demo", "--json", "r.json", "--evidence"]) == 0
        capsys.readouterr()
        assert cli.run(["baseline", "list", "--json"]) == 0
        (row,) = json.loads(capsys.readouterr().out)
        assert (row["name"], row["groups"], row["seeds"], row["reason"]) == (
            "demo",
            3,
            ";".join(map(str, range(20))),
            "first",
        )

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
        self, repository: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (repository / "notes.txt").write_text("not a source")
        assert cli.run(["baseline", "update", "demo", "--reason", "x"]) == 0
        (repository / "my_weighting.py").write_text("y = 1\n")
        assert cli.run(["baseline", "update", "demo", "--reason", "x", "--folder", "/nowhere/else"]) == 2
        assert "my_weighting.py" in capsys.readouterr().err
        shutil.rmtree(repository / ".git")
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
        results(repository / "results/demo", seeds=2, shift=0.1)
        assert cli.run(["baseline", "compare", "demo"]) == 5
        results(repository / "results/demo", seeds=2)
        assert cli.run(["baseline", "compare", "demo"]) == 0, "untouched rows need no test"

    def test_few_seeds_are_refused_unless_allowed(self, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
        results(repository / "results/demo", seeds=5)
        assert cli.run(["baseline", "update", "demo", "--reason", "x"]) == 2
        assert "fewer than 20 seeds" in capsys.readouterr().err
        assert cli.run(["baseline", "update", "demo", "--reason", "x", "--allow-few"]) == 0

    @pytest.mark.parametrize("value", ["", "nan", "inf"])
    def test_a_column_that_is_empty_now_is_worse(self, repository: Path, value: str) -> None:
        assert cli.run(["baseline", "update", "demo", "--reason", "first"]) == 0
        file = results(repository / "results/demo", seeds=3) / "cells.csv"
        lines = [line.split(",") for line in file.read_text().splitlines()]
        changed = [[*row[:11], value, *row[12:]] if row[4] == "fm" else row for row in lines]
        file.write_text("\n".join(map(",".join, changed)) + "\n")
        assert cli.run(["baseline", "compare", "demo", "--json", "r.json"]) == 4
        found = json.loads(Path("r.json").read_text())
        assert len(found["broken"]) == 3
        assert [row["metric"] for row in found["rows"] if row["verdict"] == "worse"] == ["nll_nats missing"]

    def test_a_requirement_that_is_not_met_or_not_known(self, repository: Path) -> None:
        assert cli.run(["baseline", "update", "demo", "--reason", "first"]) == 0
        results(repository / "results/demo", seeds=3, first=50, shift=0.012)
        assert cli.run(["baseline", "compare", "demo", "--json", "r.json"]) == 0
        assert "not separated" in {row["verdict"] for row in json.loads(Path("r.json").read_text())["rows"]}
        assert cli.run(["baseline", "compare", "demo", "--require", "not-worse"]) == 5
        assert cli.run(["baseline", "compare", "demo", "--require", "better"]) == 2

    def test_stated_margins_are_frozen(self, repository: Path) -> None:
        config = {"name": "demo", "regression": {"margins": {"nll_nats": 0.5}}}
        (repository / "results/demo/config.json").write_text(json.dumps(config))
        assert cli.run(["baseline", "update", "demo", "--reason", "first"]) == 0
        results(repository / "results/demo", shift=0.2, seeds=3, first=50)
        assert cli.run(["baseline", "compare", "demo", "--require", "not-worse"]) == 0

    def test_a_baseline_of_the_older_format_is_named(
        self, repository: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.run(["baseline", "update", "demo", "--reason", "first"]) == 0
        file = repository / "results/baselines/demo.csv"
        file.write_text(file.read_text().replace("margin", "border", 1))
        assert cli.run(["baseline", "compare", "demo"]) == 1
        assert "lacks margin" in capsys.readouterr().err


ENLARGED = {
    "name": "demo",
    "experiments": [
        {"name": "toy", "process": "gaussian", "dataset": "eight_gaussians", "paths": ["linear"], "seeds": [0, 1]}
        | {"weightings": ["elbo", {"name": "mine", "spec": "expr:1+t", "on": "x1"}]}
    ],
}


def test_a_key_that_came_later_changes_no_digest_at_its_default(tmp_path: Path) -> None:
    """Baselines made before `model.network` came are of the same experiments; another network is another experiment."""
    file = tmp_path / "demo.yaml"
    file.write_text(yaml.safe_dump(ENLARGED))
    now = json.loads(configuration.dump(configuration.load(file)))
    models = [experiment["model"] for experiment in now["experiments"]]
    digests = [baselines.experiments_digest(now)]
    for model in models:
        model["network"] = {"name": "mine", "spec": "own.py:network"}
    digests.append(baselines.experiments_digest(now))
    for model in models:
        del model["network"]
    digests.append(baselines.experiments_digest(now))
    assert digests[0] == digests[2] != digests[1]


def test_the_configuration_of_a_baseline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, out = tmp_path / "demo.yaml", tmp_path / "many.json"
    file.write_text(yaml.safe_dump(ENLARGED))
    assert cli.run(["baseline", "config", str(file), "--out", str(out), "--seeds", "25"]) == 0
    own, many = configuration.load(file), configuration.load(out)
    assert (many.name, many.regression.baseline) == ("demo_baseline", "demo")
    assert many.experiments[0].seeds == list(range(25))
    dumped = [json.loads(configuration.dump(each)) for each in (own, many)]
    assert baselines.experiments_digest(dumped[0]) == baselines.experiments_digest(dumped[1])
    assert "results/demo_baseline/cells.csv" in capsys.readouterr().out
    # Its results are kept under the name, and compared in the setting, of the configuration that they are for.
    results(tmp_path / "results/demo_baseline")
    (tmp_path / "results/demo_baseline/config.json").write_text(configuration.dump(many))
    kept = read_results(tmp_path / "results/demo_baseline")
    assert {series.setting[2] for series in kept.series.values()} == {"demo"}


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
