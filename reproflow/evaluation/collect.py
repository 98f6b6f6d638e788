"""Collecting: from the store to cells.csv, curves.csv, timings.csv and the samples that the figures show.

Every cell of the grid is a row, failed and diverged ones with their reason. Records of another fingerprint, damaged or
edited ones, are not read; the row says what to do. Nothing here needs torch. `samples/files.json` lists the samples
with size and SHA-256, so that planning sees when one is gone.
"""

from __future__ import annotations

import csv
import io
import logging
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from reproflow.foundation import files, fingerprint, grid, measures
from reproflow.foundation.config import Experiment
from reproflow.foundation.grid import Cell, experiment_of
from reproflow.foundation.run import Run
from reproflow.learning.training.schedule import learning_rate

CELL_COLUMNS = [
    "process", "dataset", "path", "time", "weighting", "target", "seed", "steps", "cell", "status", "reason",
    *(column for name in measures.usual() for column in measures.columns(name)),
    "solver", "nfe", "ema", "batch", "split", "device", "fingerprint", "coupling", "divergence",
]  # fmt: skip
CURVE_COLUMNS = ["cell", "step", "loss", "floor", "floor_se", "grad_norm", "lr"]
TIMING_COLUMNS = ["stage", "cell", "seconds"]
SHOWN_SAMPLES = 2000

log = logging.getLogger(__name__)


def collect(run: Run) -> None:
    """Writes cells.csv, curves.csv, timings.csv, samples/<cell>.npz and their list of a results folder.

    Raises `ReproflowError` where no cell has a record of any stage, or a file in the store was changed.
    """
    cells = sorted(grid.expand(run.config), key=lambda cell: cell.key)
    run.require(cells, *fingerprint.STAGES)
    rows, curves, timings = [], [], []
    shown: dict[str, Any] = {}
    for cell in cells:
        status, reason, records = run.outcome(cell)
        if status != "ok":
            log.warning("%s: %s (%s)", cell.key, status, reason)
        experiment = experiment_of(run.config, cell.experiment)
        rows.append(_row(cell, experiment, status, reason, records))
        curves += _curve(run, cell, experiment, records)
        timings += [
            {"stage": s, "cell": cell.key, "seconds": r["seconds"]} for s, r in records.items() if "seconds" in r
        ]
        shown |= _samples(run, cell, records)
    write_csv(run.folder / "cells.csv", cell_columns(run.config.experiments), rows)
    write_csv(run.folder / "curves.csv", CURVE_COLUMNS, curves)
    write_csv(run.folder / "timings.csv", TIMING_COLUMNS, timings)
    files.write_json(run.shown_samples, shown)


def cell_columns(experiments: Iterable[Experiment]) -> list[str]:
    """The columns of cells.csv: the contract's, and behind them those of measures that an experiment asks for."""
    asked = {name for each in experiments for name in each.measures}
    return [
        *CELL_COLUMNS,
        *(column for name in measures.further() if name in asked for column in measures.columns(name)),
    ]


def write_csv(path: Path, columns: list[str], rows: Iterable[dict[str, Any]]) -> None:
    """A tidy CSV: floats `%.17g`, missing and NaN empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_text(row.get(column)) for column in columns] for row in rows)
    files.write_text(path, text.getvalue())


def _row(
    cell: Cell, experiment: Experiment, status: str, reason: str, records: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    row = {name: getattr(cell, name) for name in ("process", "dataset", "path", "time", "weighting", "target", "seed")}
    trained, sampled, measured = (records.get(stage, {}) for stage in fingerprint.STAGES)
    row |= {
        "cell": cell.key,
        "steps": trained.get("step"),
        "status": status,
        "reason": reason or measured.get("reason", ""),
        "solver": _solver(experiment),
        "nfe": sampled.get("nfe"),
        "ema": experiment.training.ema,
        "batch": experiment.training.batch,
        "device": trained.get("device"),
        "fingerprint": measured.get("fingerprint"),
        "coupling": cell.coupling,
        "divergence": str(cell.divergence),
    }
    return row | (measured.get("measures") or {})


def _solver(experiment: Experiment) -> str:
    """The sampler's name, with its share of noise where it has one."""
    settings = experiment.sampling
    return f"{settings.solver}:eta={settings.eta:g}" if settings.solver == "sde" else settings.solver


def _curve(run: Run, cell: Cell, experiment: Experiment, records: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """The training curve in windows of `log_every` steps: mean loss and gradient norm, lr at the window's end."""
    if "train" not in records:
        return []
    from safetensors.numpy import load_file

    history = load_file(run.slot("train", cell).folder / "final.safetensors")["history"].astype(np.float64)
    every, taken = experiment.training.log_every, records["train"]["step"]
    measured = records.get("evaluate") or {}
    return [
        {
            "cell": cell.key,
            "step": stop,
            "loss": history[stop - every : stop, 0].mean(),
            "floor": measured.get("floor"),
            "floor_se": measured.get("floor_se"),
            "grad_norm": history[stop - every : stop, 1].mean(),
            "lr": learning_rate(experiment.training, stop - 1),
        }
        for stop in range(every, taken + 1, every)
    ]


def _samples(run: Run, cell: Cell, records: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Writes the first samples of a cell where the figures look for them; the file's entry in their list."""
    if records.get("sample", {}).get("status") != "ok":
        return {}
    from safetensors.numpy import load_file

    tensors = load_file(run.slot("sample", cell).folder / "samples.safetensors")
    shown: dict[str, Any] = {name: value[:SHOWN_SAMPLES] for name, value in tensors.items()}
    if "labels" in shown:
        side = round(shown["samples"].shape[1] ** 0.5)
        shown["samples"] = shown["samples"].reshape(-1, side, side)
    path = run.shown_samples.parent / f"{cell.key}.npz"
    _write_npz(path, shown)
    return {path.name: files.entry(path)}


def _write_npz(path: Path, arrays: dict[str, Any]) -> None:
    """As `numpy.savez_compressed`, without the time of day: the same arrays are the same bytes."""
    with files.atomic(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w") as stream:
                np.lib.format.write_array(stream, array, allow_pickle=False)


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    return f"{value:.17g}" if isinstance(value, float) else str(value)
