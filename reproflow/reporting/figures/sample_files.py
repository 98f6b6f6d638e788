"""The sample files of a results folder, and which cells a contact sheet shows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from reproflow.analysis.formatting import label
from reproflow.analysis.results import Results
from reproflow.foundation.config import Experiment
from reproflow.foundation.errors import ReproflowError
from reproflow.reporting.figures import style

IDENTITY = ["dataset", "path", "time", "target", "weighting", "cell"]
DISTINCT = ["dataset", "weighting", "time", "path", "target", "coupling", "divergence", "setup", "steps"]
Row = dict[Any, Any]


def chosen(read: Results, process: str) -> list[Row]:
    """The ok cells of a process, the lowest seed of each: usual path and time law first, then ELBO first."""
    cells = read.cells[(read.cells["process"] == process) & (read.cells["status"] == "ok")]
    first = cells.sort_values([*DISTINCT, "seed"], kind="stable").groupby(DISTINCT, sort=True, dropna=False).head(1)
    return sorted(first.to_dict("records"), key=style.order)


def left_out(read: Results, process: str, shown: list[Row]) -> str:
    """A sentence that names what the shown data sets have and the sheet lacks, or the empty string."""
    keys = [key for key in DISTINCT if key != "steps"]  # a cell that did not end well has others
    datasets = {row["dataset"] for row in shown}
    own = read.cells[(read.cells["process"] == process) & read.cells["dataset"].isin(datasets)].drop_duplicates(keys)
    have = [[row[key] for key in keys] for row in shown]
    absent = [row for row in own.to_dict("records") if [row[key] for key in keys] not in have]
    names = [f"{row['dataset']} {title(row, [*shown, *absent])}" for row in absent]
    return f" Not shown, for want of samples: {', '.join(names)}." if absent else ""


def title(row: Row, rows: list[Row]) -> str:
    """The weighting, and whatever else tells this panel from the others of its data set."""
    peers = [each for each in rows if each["dataset"] == row["dataset"]]
    return label(row, [key for key in DISTINCT[2:] if len({each[key] for each in peers}) > 1])


def dataset_or_none(name: str, experiments: Iterable[Experiment] = ()) -> Any:
    """The data set of that name, a user's own of these experiments or a registered one, or None.

    Results may come from one that is not here.
    """
    from reproflow.learning.data import get_dataset

    specs = {each.dataset_spec.name: each.dataset_spec for each in experiments}
    try:
        return get_dataset(specs.get(name, name))
    except (ReproflowError, OSError):
        return None
