"""The plan agrees with the store: what is missing there, or was changed, is made again, and nothing else is."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml
from repository import ROOT
from snakemake_server import plan
from workflow_clone import copy_workflow, snakemake

from reproflow.foundation import config, files, fingerprint, grid
from reproflow.foundation.run import Run

SMALL = """
name: small
experiments:
  - name: toy
    process: gaussian
    dataset: eight_gaussians
    paths: [linear]
    weightings: [uniform, elbo, fm]
    seeds: [0, 1]
    shard_size: 2
    model: {width: 16, depth: 1}
    training: {steps: 20, batch: 32, warmup: 5, save_every: 10}
    sampling: {solver: euler, steps: 2, n: 64}
    likelihood: {points: 16, steps: 4}
claims: {tier: exact, ids: [LOSS-5]}
"""
AFTER = {"collect": 1, "tables": 1, "figures": 1, "report": 1, "gate": 1, "default": 1}
DONE = {"status": "ok", "reason": ""}


def small(folder: Path, *arguments: str) -> str:
    """What Snakemake prints of the small configuration."""
    # `--configfile` takes every word up to the next option, so it is not the last one before the targets.
    words = ("--configfile", "small.yaml", "--cores", "2", *arguments)
    done = plan(folder, *words) if "--dry-run" in arguments else snakemake(folder, *words, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def planned(folder: Path, *arguments: str) -> dict[str, int]:
    """Rule -> number of jobs of a dry run, which writes nothing."""
    before = stamps(folder / "results")
    said = small(folder, "--dry-run", *arguments)
    assert stamps(folder / "results") == before
    return dict(Counter(re.findall(r"^(?:local)?rule (\w+):$", said, re.M)))


def stamps(folder: Path) -> dict[Path, int]:
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}


def opened(folder: Path) -> Run:
    return Run(config.check(yaml.safe_load(SMALL)), folder / "results" / "small")


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone whose run is done: every declared output is there, and the store bears the markers out."""
    folder = copy_workflow(tmp_path_factory.mktemp("clone"))
    (folder / "small.yaml").write_text(SMALL)
    run = opened(folder)
    for cell in grid.expand(run.config):
        for stage in fingerprint.STAGES:
            slot = run.slot(stage, cell)
            files.write_text(slot.folder / "payload", f"{stage} of {cell.key}")
            slot.finish(DONE, "payload")
    files.write_text(run.folder / "samples" / "a.npz", "samples")
    listed = {"a.npz": files.entry(run.folder / "samples" / "a.npz")}
    outputs = re.findall(r"^    output: (.*)$", small(folder, "--dry-run"), re.M)
    for output in (folder / name for line in outputs for name in line.split(", ")):
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text("something\n")
    files.write_json(run.shown_samples, listed)
    files.write_text(run.folder / "config.json", config.dump(run.config))
    for shard, cells in grid.shards(run.config).items():
        for stage in fingerprint.STAGES:
            marker = run.folder / "shards" / f"{shard}.{stage}"
            marker.write_text(fingerprint.of_cells(run.config, cells, stage) + "\n")
    for path in run.folder.rglob("*"):
        os.utime(path, ns=(10**18, 10**18))
    return folder


@pytest.fixture
def clone(complete: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    shutil.copytree(complete, tmp_path / "clone", symlinks=True)
    return tmp_path / "clone"


def payload(run: Run, stage: str, index: int) -> Path:
    return run.slot(stage, grid.expand(run.config)[index]).folder / "payload"


def test_a_complete_run_has_nothing_to_do_and_a_deleted_store_is_made_again(clone: Path) -> None:
    run = opened(clone)
    assert planned(clone) == {}
    shutil.rmtree(run.folder / "store")
    (run.folder / "cells.csv").unlink()
    assert planned(clone) == {"train": 3, "sample": 3, "evaluate": 3} | AFTER


@pytest.mark.slow
def test_of_a_deleted_store_only_what_is_asked_for_is_made_again(clone: Path) -> None:
    run = opened(clone)
    shutil.rmtree(run.folder / "store")
    (run.folder / "cells.csv").unlink()
    assert planned(clone, "results/small/cells.csv") == {"train": 3, "sample": 3, "evaluate": 3, "collect": 1}
    assert planned(clone, "results/small/shards/toy-001.train") == {"train": 1}


def test_what_is_broken_in_the_store_is_made_again_and_what_depends_on_it(clone: Path) -> None:
    """One cell's weights are cut short, another's samples are gone, a third's measures are edited: three shards."""
    run = opened(clone)
    os.truncate(payload(run, "train", 0), 3)
    shutil.rmtree(payload(run, "sample", 2).parent)
    measured = payload(run, "evaluate", 4)
    measured.write_text(measured.read_text().swapcase())
    assert planned(clone) == {"train": 1, "sample": 2, "evaluate": 3} | AFTER


@pytest.mark.slow
def test_a_deleted_table_figure_or_provenance_is_made_again(clone: Path) -> None:
    run = opened(clone)
    for name in ("tables/ranking.tex", "figures/gallery.pdf", "provenance.json"):
        (run.folder / name).unlink()
    assert planned(clone) == {name: AFTER[name] for name in ("tables", "figures", "report", "gate", "default")}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cells.csv", "curves.csv", "timings.csv", "samples/a.npz", "samples/files.json"])
def test_what_collecting_writes_is_written_again(clone: Path, name: str) -> None:
    (opened(clone).folder / name).unlink()
    assert planned(clone) == AFTER


@pytest.mark.slow
def test_a_deleted_configuration_is_written_again(clone: Path) -> None:
    (opened(clone).folder / "config.json").unlink()
    assert planned(clone) == {"gate": 1, "default": 1}


@pytest.mark.slow
def test_a_marker_of_other_work_counts_for_nothing(clone: Path) -> None:
    """Snakemake's own memory is gone, so the changed parameter alone would not tell."""
    shutil.rmtree(clone / ".snakemake")
    assert planned(clone) == {}
    (opened(clone).folder / "shards" / "toy-001.train").write_text("0123456789abcdef\n")
    assert planned(clone) == {"train": 1, "sample": 1, "evaluate": 1} | AFTER


def results_of(folder: Path) -> dict[str, bytes]:
    run = opened(folder)
    names = ["cells.csv", "curves.csv", *(str(p.relative_to(run.folder)) for p in run.folder.glob("samples/*"))]
    weights = [str(path.relative_to(run.folder)) for path in run.folder.glob("store/*/*/*/*.safetensors")]
    return {name: (run.folder / name).read_bytes() for name in sorted([*names, *weights])}


@pytest.mark.slow
def test_a_run_is_mended_by_running_it_again(tmp_path: Path) -> None:
    """A real run: a store that is deleted, damaged, or cleaned comes back in the same bytes."""
    copy_workflow(tmp_path)
    (tmp_path / "small.yaml").write_text(SMALL)
    run, wanted = opened(tmp_path), ("results/small/cells.csv", "results/small/samples/files.json")
    small(tmp_path, *wanted)
    before = results_of(tmp_path)
    assert len(before) == 2 + 7 + 18
    weights = run.slot("train", grid.expand(run.config)[3]).folder / "final.safetensors"
    os.truncate(weights, 100)
    small(tmp_path, *wanted)
    assert results_of(tmp_path) == before
    (run.folder / "cells.csv").unlink()
    shutil.rmtree(run.folder / "store")
    small(tmp_path, *wanted)
    assert results_of(tmp_path) == before
    with open(run.folder / "cells.csv") as stream:
        assert {row["status"] for row in csv.DictReader(stream)} == {"ok"}
    trained = weights.stat().st_mtime_ns
    small(tmp_path, "--forceall", *wanted)
    assert weights.stat().st_mtime_ns == trained, "as docs/results.md says: forced jobs find their cells finished"
    command = [sys.executable, "-m", "reproflow", "clean", "--config", str(run.folder / "config.json")]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True, capture_output=True)
    assert not list(run.folder.glob("store/*/*/*"))
    small(tmp_path, *wanted)
    assert results_of(tmp_path) == before
    assert planned(tmp_path, *wanted) == {}
