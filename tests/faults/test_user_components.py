"""A user's own data set, target and coupling run through every stage."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from user_components import FILE, checked, own

from reproflow.evaluation import cells as evaluation
from reproflow.evaluation.collect import collect
from reproflow.foundation import config, files, fingerprint, grid
from reproflow.foundation.run import Run
from reproflow.learning import data, preflight
from reproflow.learning.sampling import samples
from reproflow.learning.training import shard
from reproflow.learning.training.batches import Batches

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.py").write_text(FILE)


def run_stages(run: Run) -> list[dict[str, str]]:
    """Every stage in this process, as the verbs call them; the rows of cells.csv."""
    for experiment in run.config.experiments:
        cells = grid.expand_experiment(experiment)
        path = run.data_file(experiment.dataset_spec.name)
        data.prepare(experiment.dataset_spec, path, experiment.process)
        loaded = data.load(path)
        slots = {cell: [run.slot(stage, cell) for stage in fingerprint.STAGES] for cell in cells}
        # A shard holds cells of one target.
        for target in experiment.output_targets:
            shard.train(experiment, [(c, s[0]) for c, s in slots.items() if c.target == target], loaded, CPU)
        samples.sample(experiment, [(c, s[0], s[1]) for c, s in slots.items()], loaded, CPU)
        evaluation.evaluate(experiment, [(c, *s) for c, s in slots.items()], loaded, CPU)
    files.write_text(run.folder / "config.json", config.dump(run.config))
    collect(run)
    with (run.folder / "cells.csv").open() as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("dataset", ["ring", "sampler:shift=0.5", "known"])
@pytest.mark.default_cases(1)
def test_all_of_them_run_through_the_stages(tiny_config: dict, dataset: str) -> None:
    opened = checked(
        tiny_config,
        dataset=own(dataset, "cloud"),
        targets=["velocity", own("mixed", "mixed")],
        coupling=own("sorted_", "by_x"),
    )
    preflight.admit_config(opened)
    rows = run_stages(Run(opened, Path("results")))
    assert {(row["cell"], row["dataset"], row["target"], row["coupling"], row["status"]) for row in rows} == {
        (f"cloud.gaussian.linear.uniform.uniform.{target}.by_x.s0", "cloud", target, "by_x", "ok")
        for target in ("velocity", "mixed")
    }
    assert all(0 < float(row["nll_nats"]) < 10 for row in rows)


def test_tables_and_report_show_them(tiny_config: dict) -> None:
    from reproflow.reporting.html import write_report
    from reproflow.reporting.tables import write_tables

    opened = checked(tiny_config, dataset=own("ring", "cloud"), targets=[own("mixed", "mixed")], seeds=[0, 1])
    run = Run(opened, Path("results"))
    run_stages(run)
    write_tables(run.folder)
    assert "cloud" in (run.folder / "tables" / "cells.csv").read_text()
    write_report(run.folder)
    assert "cloud" in (run.folder / "report.html").read_text()


def test_their_sources_are_parts_of_the_fingerprint(tiny_config: dict) -> None:
    changes = {"dataset": own("ring", "cloud"), "targets": [own("mixed", "mixed")], "coupling": own("sorted_", "by_x")}

    def parts() -> dict[str, str]:
        fingerprint.forget()
        opened = checked(tiny_config, **changes)
        return fingerprint.stage(opened, grid.expand(opened)[0], "train").parts

    before = parts()
    edits = {
        "dataset cloud": ("1.4 * torch.stack", "1.3 * torch.stack"),
        "target mixed": ("c.dalpha + 0.1", "c.dalpha + 0.2"),
        "coupling by_x": ("x1[:, 0].argsort()", "x1[:, 1].argsort()"),
    }
    for part, (old, new) in edits.items():
        Path("my.py").write_text(FILE.replace(old, new))
        after = parts()
        assert {key for key in before if before[key] != after[key] and not key.startswith("source ")} == {part}
    opened = checked(tiny_config, **changes)
    assert fingerprint.data_file(opened, "cloud") == parts()["dataset cloud"]


def test_what_a_file_holds_of_a_users_data_set(tiny_config: dict) -> None:
    opened = checked(tiny_config, dataset=own("sampler:shift=3", "cloud"))
    spec = opened.experiments[0].dataset_spec
    data.prepare(spec, "cloud.safetensors")
    loaded = data.load("cloud.safetensors")
    assert (loaded.name, loaded.log_density, len(loaded.test)) == ("cloud", None, 4096)
    assert abs(float(loaded.sample(1000, torch.Generator().manual_seed(0)).mean()) - 3) < 0.1


def test_points_that_are_held_out_are_not_trained_on(tiny_config: dict) -> None:
    points = data.get_dataset(checked(tiny_config, dataset=own("ring")).experiments[0].dataset_spec)
    held_out = {tuple(row) for row in points.test.tolist()}
    drawn = {tuple(row) for row in points.draw(20_000, torch.Generator().manual_seed(0)).tolist()}
    assert (len(held_out), held_out & drawn) == (600, set())
    assert len(drawn) > 2300


def test_a_data_set_that_breaks_midway_is_its_cells_outcome(tiny_config: dict) -> None:
    opened = checked(tiny_config, dataset=own("sampler", "cloud"))
    run, (cell,) = Run(opened, Path("results")), grid.expand(opened)
    points, calls = data.get_dataset(opened.experiments[0].dataset_spec), iter(range(100))
    shard.train(
        opened.experiments[0],
        [(cell, run.slot("train", cell))],
        points,
        CPU,
        lambda: next(calls) == 10 and Path("broken").touch() is not None,
    )
    record = run.slot("train", cell).record()
    assert record["status"] == "failed"
    assert "dataset 'cloud' raised ValueError in my.py, line 14: no points today" in record["reason"]


def test_a_users_twin_of_a_registered_coupling_pairs_the_same(tiny_config: dict) -> None:
    Path("twin.py").write_text("from reproflow.theory.couplings import ot as twin\n")

    def batch(coupling: object) -> torch.Tensor:
        opened = checked(tiny_config, coupling=coupling)
        points = data.get_dataset("eight_gaussians")
        return Batches(grid.expand(opened), opened.experiments[0], points, CPU).batch(3)["eps"]

    assert torch.equal(batch("ot"), batch({"name": "twin", "spec": "twin.py:twin"}))
