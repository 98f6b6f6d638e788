"""What stands in a results folder is true, or is named (faults 16, 18, 19, 26)."""

from __future__ import annotations

import csv
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from reproflow.evaluation import cells as evaluation
from reproflow.evaluation.collect import collect
from reproflow.evaluation.likelihood import likelihood_measures
from reproflow.foundation import config, explain, files, grid
from reproflow.foundation.errors import ReproflowError, UsageError
from reproflow.foundation.run import Run
from reproflow.learning import data
from reproflow.learning.sampling import samples
from reproflow.learning.training import shard

CPU = torch.device("cpu")


def run_all(raw: dict, folder: Path) -> Run:
    results = Run(config.check(raw), folder)
    experiment, points = results.config.experiments[0], data.get_dataset("eight_gaussians")
    cells = grid.expand(results.config)
    slots = [[results.slot(stage, cell) for stage in ("train", "sample", "evaluate")] for cell in cells]
    shard.train(experiment, [(cell, s[0]) for cell, s in zip(cells, slots, strict=True)], points, CPU)
    samples.sample(experiment, [(cell, *s[:2]) for cell, s in zip(cells, slots, strict=True)], points, CPU)
    evaluation.evaluate(experiment, [(cell, *s) for cell, s in zip(cells, slots, strict=True)], points, CPU)
    collect(results)
    return results


@pytest.fixture
def results(tiny_config: dict, tmp_path: Path) -> Run:
    tiny_config["experiments"][0]["likelihood"]["points"] = 16
    return run_all(tiny_config, tmp_path / "tiny")


def rows(results: Run) -> list[dict[str, str]]:
    with open(results.folder / "cells.csv") as stream:
        return list(csv.DictReader(stream))


def test_every_cell_is_a_row_with_its_likelihood(results: Run) -> None:
    found = rows(results)
    assert [row["status"] for row in found] == ["ok"] * 3
    assert all(
        row[name] for row in found for name in ("device", "solver", "nfe", "ema", "batch", "split", "fingerprint")
    )
    assert all(float(row["nll_nats_se"]) > 0 for row in found)
    assert {(row["coupling"], row["divergence"]) for row in found} == {("independent", "squared")}
    with open(results.folder / "curves.csv") as stream:
        assert all(0 < float(row["floor_se"]) < float(row["floor"]) for row in csv.DictReader(stream))
    assert sorted(row["cell"] for row in found) == sorted(cell.key for cell in grid.expand(results.config))


def test_collecting_twice_gives_the_same_bytes(results: Run) -> None:
    names = ("cells.csv", "curves.csv")
    before = [(results.folder / name).read_bytes() for name in names]
    collect(results)
    assert before == [(results.folder / name).read_bytes() for name in names]


def test_adding_a_weighting_trains_only_its_cells(results: Run, tiny_config: dict) -> None:
    before = {path: path.stat().st_mtime_ns for path in results.folder.glob("store/*/*/*/record.json")}
    tiny_config["experiments"][0]["weightings"].insert(0, "fm")
    after = run_all(tiny_config, results.folder)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(list(after.folder.glob("store/*/*/*/record.json"))) == len(before) + 3
    assert len(rows(after)) == 4


def test_an_edited_record_is_rejected(results: Run) -> None:
    cell = grid.expand(results.config)[0]
    path = results.slot("evaluate", cell).record_path
    stored = json.loads(path.read_text())
    stored["measures"]["nll_nats"] = 0.0
    path.write_text(json.dumps(stored))
    collect(results)
    row = next(row for row in rows(results) if row["cell"] == cell.key)
    assert (row["status"], row["nll_nats"]) == ("failed", "")
    assert "edited by hand" in row["reason"]


@pytest.mark.parametrize("text", ["", "{", '{"a": 1}', "[]", "null"])
@pytest.mark.default_cases(2)
def test_a_broken_record_is_named_and_the_rest_stands(results: Run, text: str) -> None:
    cell = grid.expand(results.config)[1]
    results.slot("train", cell).record_path.write_text(text)
    collect(results)
    found = {row["cell"]: row for row in rows(results)}
    assert found[cell.key]["status"] == "failed"
    assert sum(row["status"] == "ok" for row in found.values()) == 2


def test_another_configuration_is_not_read(results: Run, tiny_config: dict) -> None:
    tiny_config["experiments"][0]["training"]["lr"] = 1e-3
    other = Run(config.check(tiny_config), results.folder)
    collect(other)
    assert all("another fingerprint" in row["reason"] and row["nll_nats"] == "" for row in rows(other))


def test_why_names_the_part(results: Run, tiny_config: dict) -> None:
    key = grid.expand(results.config)[0].key
    assert all("up to date" in line for line in explain.why(results, key))
    tiny_config["experiments"][0]["training"]["lr"] = 1e-3
    tiny_config["experiments"][0]["sampling"]["steps"] = 5
    lines = explain.why(Run(config.check(tiny_config), results.folder), key)
    assert "  training.lr: 0.002 -> 0.001" in lines
    assert "  sampling.steps: 4 -> 5" in lines
    with pytest.raises(UsageError, match="no cell 'nothing'"):
        explain.why(results, "nothing")


def test_why_of_a_cell_that_never_ran(tiny_config: dict, tmp_path: Path) -> None:
    fresh = Run(config.check(tiny_config), tmp_path / "nothing")
    assert explain.why(fresh, grid.expand(fresh.config)[0].key) == [
        f"{s}: never finished" for s in ("train", "sample", "evaluate")
    ]


def test_a_refused_likelihood_says_so(tiny_config: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where N and 2N steps differ too much: no number, a reason, and the cell is marked (fault 23).

    The barely trained field is so smooth that the limit must come down to meet one step's error.
    """
    monkeypatch.setattr(likelihood_measures, "COARSE_NATS", 1e-6)
    tiny_config["experiments"][0]["likelihood"] = {"points": 16, "steps": 1}
    found = rows(run_all(tiny_config, tmp_path / "coarse"))
    refused = [row for row in found if row["status"] == "failed"]
    assert refused
    assert all("raise likelihood.steps" in row["reason"] and row["nll_nats"] == "" for row in refused)


def test_files_are_whole_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("before")

    def fail() -> None:
        with files.atomic(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_writer_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    code = (
        "import os, sys\nfrom reproflow.foundation import files\n"
        "with files.atomic(sys.argv[1]) as temporary:\n    temporary.write_text('half')\n    os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -9
    assert not path.exists()
    assert len(list(tmp_path.iterdir())) == 1
    files.remove_leftovers(tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a file where a folder should be")
    with pytest.raises(ReproflowError, match=r"cannot write .*file/x.*errno"):
        files.write_text(blocked / "x", "text")


def test_a_full_disk_is_named_and_what_was_there_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.txt"
    files.write_text(path, "before")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ReproflowError, match=r"file\.txt: No space left on device \(errno 28\)"):
        files.write_text(path, "after")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
