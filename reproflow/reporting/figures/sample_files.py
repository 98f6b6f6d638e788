"""The sample files of a results folder, and which cells a contact sheet shows."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from reproflow.foundation.errors import ReproflowError
from reproflow.reporting.figures import style
from reproflow.reporting.results import Results

IDENTITY = ["dataset", "path", "time", "target", "weighting", "cell"]
Row = dict[Any, Any]


def load_samples(folder: Path, cell: str) -> tuple[np.ndarray, np.ndarray] | None:
    """`samples` and `labels` (zeros where there are none) of a cell, or None where there is no such .npz."""
    try:
        with np.load(folder / "samples" / f"{cell}.npz", allow_pickle=False) as archive:
            samples = archive["samples"]
            labels = archive["labels"] if "labels" in archive.files else np.zeros(len(samples), dtype=np.int64)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    return (samples, labels) if len(samples) else None


def chosen(read: Results, process: str) -> list[Row]:
    """The ok cells of a process, the lowest seed of each experiment and weighting, ELBO first."""
    cells = read.cells[(read.cells["process"] == process) & (read.cells["status"] == "ok")]
    keys = ["dataset", "path", "time", "target", "steps", "weighting"]
    first = cells.sort_values([*keys, "seed"], kind="stable").groupby(keys, sort=True, dropna=False).head(1)
    order = {name: (name != style.REFERENCE, name) for name in first["weighting"].unique()}
    return sorted(first.to_dict("records"), key=lambda row: (row["dataset"], order[row["weighting"]]))


def left_out(read: Results, process: str, shown: list[Row]) -> str:
    """A sentence that names what the shown data sets have and the sheet lacks, or the empty string."""
    have = {(row["dataset"], row["weighting"]) for row in shown}
    own = read.cells[(read.cells["process"] == process) & read.cells["dataset"].isin({name for name, _ in have})]
    absent = sorted(set(zip(own["dataset"], own["weighting"], strict=True)) - have)
    return f" Not shown, for want of samples: {', '.join(' '.join(pair) for pair in absent)}." if absent else ""


def title(row: Row, rows: list[Row]) -> str:
    """The weighting, and whatever else tells this panel from the others."""
    varies = [key for key in ("dataset", "path", "time", "target", "steps") if len({each[key] for each in rows}) > 1]
    return " · ".join([row["weighting"], *(f"{row[key]:g}" if key == "steps" else row[key] for key in varies)])


def dataset_or_none(name: str) -> Any:
    """The registered data set of that name, or None: results may come from one that is not registered here."""
    from reproflow.learning.data import get_dataset

    try:
        return get_dataset(name)
    except (ReproflowError, OSError):
        return None
