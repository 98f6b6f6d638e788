"""What verbs hand on: the exit codes of what they call, the settings of a configuration, and the cells that are fit."""

from __future__ import annotations

import errno
import json
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from repository import ROOT

from reproflow import cli
from reproflow.analysis import baselines, gate, regression_check, snapshot
from reproflow.cli import common, doctor, stages
from reproflow.evaluation.features import digits_network, extractors
from reproflow.foundation import config, grid, names
from reproflow.foundation.errors import (
    ConfigError,
    InterruptedRun,
    RegressionError,
    ReproflowError,
    UndecidedError,
    UsageError,
    VerdictError,
)
from reproflow.foundation.run import Run
from reproflow.learning import data

STOPS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
CI = str(ROOT / "configs/ci.yaml")
CODES = {
    ReproflowError: 1,
    UsageError: 2,
    ConfigError: 2,
    VerdictError: 3,
    RegressionError: 4,
    UndecidedError: 5,
    InterruptedRun: 75,
}


@pytest.mark.parametrize("kind", CODES, ids=lambda kind: kind.__name__)
def test_the_gates_error_is_its_exit_code(
    kind: type[ReproflowError], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def judge(folder: Path) -> None:
        raise kind(f"of {folder}")

    monkeypatch.setattr(gate, "judge", judge)
    assert cli.run(["gate", "--config", CI, "--results", str(tmp_path)]) == CODES[kind]
    captured = capsys.readouterr()
    assert (captured.err, captured.out) == (f"reproflow: of {tmp_path}\n", "")


def test_a_gate_without_an_error_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gate, "judge", lambda folder: None)
    assert cli.run(["gate", "--config", CI, "--results", str(tmp_path)]) == 0


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("missing", 0), ("FAILED", 1)])
def test_a_broken_installation_is_no_success(state: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "run", lambda: [("python", "ok", "3"), ("torch", state, "2")])
    assert cli.run(["doctor"]) == code


@pytest.mark.parametrize("name", ["ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "EPERM", "EIO"])
def test_a_disk_that_refuses_is_one_line(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise OSError(getattr(errno, name), "refused", "a/file")

    monkeypatch.setattr(names, "known", refuse)
    assert cli.run(["list"]) == 1
    line = f"reproflow: a/file: refused (errno {getattr(errno, name)}); what is saved is kept.\n"
    assert capsys.readouterr().err == line


def test_an_error_of_ours_stays_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError(errno.ENOTDIR, "ours", "a/file")

    monkeypatch.setattr(names, "known", fail)
    with pytest.raises(OSError, match="ours"):
        cli.run(["list"])


@pytest.mark.parametrize(
    ("regression", "options", "expected"),
    [
        ({}, [], (0.05, 1)),
        ({"alpha": 0.01, "looks": 3}, [], (0.01, 3)),
        ({"alpha": 0.01, "looks": 3}, ["--alpha", "0.2", "--looks", "2"], (0.2, 2)),
    ],
)
def test_level_and_looks_are_those_asked_for_else_the_configurations(
    regression: dict, options: list[str], expected: tuple[float, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def compare(baseline: object, run: object, level: float, looks: int) -> None:
        asked.append((level, looks))
        raise UndecidedError("enough")

    run = SimpleNamespace(name="demo", about={"config": {"regression": regression}})
    monkeypatch.setattr(snapshot, "read_results", lambda folder: run)
    monkeypatch.setattr(baselines, "read", lambda name, folder: None)
    monkeypatch.setattr(regression_check, "compare", compare)
    assert cli.run(["baseline", "compare", "demo", *options]) == 5
    assert asked == [expected]


def test_the_shipped_features_are_installed_unless_others_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = []
    monkeypatch.setattr(data, "load", lambda path: object.__new__(data.ImageData))
    monkeypatch.setattr(extractors, "install_features", lambda images, path: made.append("shipped"))
    monkeypatch.setattr(digits_network, "train_features", lambda images, path: made.append("trained"))
    arguments = ["features", "digits8", "--config", CI, "--results", str(tmp_path)]
    assert cli.run(arguments) == 0
    assert cli.run([*arguments, "--retrain"]) == 0
    assert made == ["shipped", "trained"]


def test_resolve_looks_at_the_cells(tiny_config: dict, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "tiny.json"
    file.write_text(json.dumps(tiny_config | {"claims": {"network": "no.such.cell"}}))
    assert cli.run(["resolve", "--config", str(file), "--results", str(tmp_path / "results")]) == 2
    assert "claims.network 'no.such.cell' is no cell of this run" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_the_next_stage_gets_the_cells_that_ended_well(tiny_config: dict, tmp_path: Path) -> None:
    run = Run(config.check(tiny_config), tmp_path)
    well, diverged, missing = grid.expand(run.config)
    for cell, status in ((well, "ok"), (diverged, "diverged")):
        run.slot("train", cell).finish({"cell": cell.key, "status": status, "reason": ""})
    assert stages._finished(run, [well, diverged, missing], "train") == [well]
    assert run.unfinished(well) == "sample"
    assert run.unfinished(diverged) is None, "what diverged is not sampled"
    assert run.unfinished(missing) == "train"
    assert [run.outcome(cell)[0] for cell in (well, diverged, missing)] == ["failed", "diverged", "failed"]


def stopped_by(number: signal.Signals) -> None:
    with common.stop_requests() as should_stop:
        signal.raise_signal(number)
        assert should_stop()


def test_a_stop_is_an_exit_of_its_own_at_the_last_step_too() -> None:
    before = [signal.getsignal(number) for number in STOPS]
    with common.stop_requests() as should_stop:
        assert not should_stop()
    for number in STOPS:
        with pytest.raises(InterruptedRun, match="everything is saved"):
            stopped_by(number)
    assert [signal.getsignal(number) for number in STOPS] == before


@pytest.mark.parametrize("wanted", ["cpu", "auto"])
def test_numbers_are_computed_by_one_thread(wanted: str) -> None:
    torch.set_num_threads(3)
    common.device(wanted)
    assert torch.get_num_threads() == 1
