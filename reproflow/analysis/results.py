"""What a results folder holds, as pandas tables; what is missing or broken in it is said, not raised.

    results = load_results("results/demo")
    results.cells.groupby("weighting")["nll_nats"].mean()

An absent, empty or truncated file gives an empty table and one line in `Results.missing` that says which file and why.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from reproflow.analysis.bound_cascade import read_cascade
from reproflow.analysis.reading import Missing, Samples, read_computed, read_object, read_samples, read_table
from reproflow.claims.policy import COLUMNS as CLAIM_COLUMNS
from reproflow.evaluation.collect import CELL_COLUMNS, CURVE_COLUMNS, TIMING_COLUMNS
from reproflow.foundation import config as configuration
from reproflow.foundation import files, grid, measures, specs
from reproflow.foundation.config import Experiment
from reproflow.foundation.errors import UsageError, did_you_mean
from reproflow.foundation.grid import Cell

if TYPE_CHECKING:
    from reproflow.theory.objective import Objective

Value = TypeVar("Value")
UNPLACED = "unplaced.json"
"""Of tables/: the objectives that the table of equal ones leaves out."""
CELL_ORDER = ["dataset", "process", "path", "time", "target", "steps", "weighting", "seed", "cell"]
CONTRACT = ("cells.csv", "claims.csv", "curves.csv", "timings.csv", "provenance.json", "config.json")
# What the configuration says of a cell besides the columns of cells.csv.
ADDED = ["experiment", "setup"]
# Two experiments that differ in these alone train and measure their cells alike.
NOT_SETUP = {
    "name", "paths", "times", "weightings", "targets", "coupling", "divergence", "seeds", "only", "dedupe", "merged",
    "shard_size", "controls", "measures",
}  # fmt: skip


@dataclass(frozen=True, repr=False)
class Results:
    """One results folder.

    `cells`, `claims`, `curves`, `timings`: frames with the contract's columns (docs/results.md; numbers float64, text
    str, missing text empty), without rows where the file is missing. `cells` has besides, from the configuration,
    `experiment`, and `setup`: the first experiment of the same data, network, training, sampling and likelihood
    settings, so that cells of one setup can be compared. Units stand in the column names; likelihoods are in nats, or
    bits a dimension where the name says so. `config`, `provenance`: the JSON files, `{}` where missing. `missing`: what
    could not be read, and why.
    """

    folder: Path
    cells: pd.DataFrame
    claims: pd.DataFrame
    curves: pd.DataFrame
    timings: pd.DataFrame
    provenance: dict[str, Any]
    config: dict[str, Any]
    missing: tuple[Missing, ...] = field(default=())
    experiments: tuple[Experiment, ...] = field(default=())

    def __repr__(self) -> str:
        broken = f"; missing: {', '.join(dict.fromkeys(each.file for each in self.missing))}" if self.missing else ""
        ok = int((self.cells["status"] == "ok").sum())
        return f"<Results {self.folder}: {len(self.cells)} cells, {ok} ok; {len(self.claims)} rows of claims{broken}>"

    def why_missing(self, *files: str) -> str:
        """The reasons for those files, joined, or the empty string."""
        return "; ".join(str(each) for each in self.missing if each.file in files)

    @functools.cached_property
    def grid(self) -> dict[str, Cell]:
        """key -> the configuration's cell, merged ones included; empty without a configuration."""
        return {cell.key: cell for each in self.experiments for cell in _all_cells(each)}

    @functools.cached_property
    def merged(self) -> dict[str, str]:
        """key -> key of the cell that was trained in its place (`dedupe` in the configuration)."""
        return {key: other for each in self.experiments for key, other in each.merged.items()}

    def cell(self, key: str) -> Cell:
        """The cell of that key, its nouns as specs (name, parameters, a user's own source).

        Without a configuration they are read from the names in cells.csv. Raises `UsageError` for an unknown key.
        """
        row = self._row(key)
        if key in self.grid:
            return self.grid[key]
        path, time, weighting = (specs.parse(row[kind], kind) for kind in ("path", "time", "weighting"))
        squared, seed = specs.parse("squared"), int(row["seed"])
        names = (row["experiment"], row["process"], row["dataset"])
        return Cell(key, *names, path, time, weighting, row["target"], seed, "independent", squared)

    def objective(self, key: str) -> Objective:
        """What a cell minimises: its path, time law, weighting and loss, their parameters bound.

        Raises `UsageError` for an unknown key, or a user's own component that cannot be found any more.
        """
        from reproflow.numerics.derivatives import Mode
        from reproflow.theory.objective import get_objective

        cell = self.cell(key)
        return get_objective(
            cell.path, cell.time, cell.weighting, cell.process, loss=cell.divergence, mode=Mode.FORWARD
        )

    def samples(self, key: str) -> Samples | None:
        """The first samples of a cell, `samples` (N, *D) and `labels` (N,); None where no file of them can be read.

        Images are integers (their grey levels), points are real. Raises `UsageError` for an unknown key.
        """
        self._row(key)
        return read_samples(self.folder / "samples" / f"{key}.npz")

    def comparison(self) -> pd.DataFrame:
        """The paired comparisons along one noun, `tables/comparison.csv` (`analysis.comparison`).

        Raises `UsageError` as `table` does.
        """
        return self.table("comparison")

    def equivalence(self) -> pd.DataFrame:
        """Differences between cells of one ideal objective, `tables/equivalence.csv` (`analysis.trained_equivalence`).

        Raises `UsageError` as `table` does.
        """
        return self.table("equivalence")

    def table(self, name: str) -> pd.DataFrame:
        """`tables/<name>.csv`, as it was computed.

        Raises `UsageError` where `reproflow tables` has not written it, or has of other cells than these.
        """
        return self._computed(f"{name}.csv", read_computed)

    @functools.cached_property
    def unplaced(self) -> list[str]:
        """Objectives that the table of equal ones leaves out, and why. Raises `UsageError` as `table` does."""
        found: list[str] = self._computed(UNPLACED, lambda path: json.loads(path.read_text(encoding="utf-8")))
        return found

    @functools.cached_property
    def cascade(self) -> tuple[pd.DataFrame, str]:
        """cascade.csv with its levels as numbers; and, where there is nothing, why."""
        return read_cascade(self.folder)

    def _computed(self, name: str, read: Callable[[Path], Value]) -> Value:
        path, cure = self.folder / "tables" / name, f"run: reproflow tables --config {self.folder / 'config.json'}"
        if not self._tables_are_current:
            raise UsageError(f"tables/{name} was computed from another cells.csv; {cure}")
        try:
            return read(path)
        except FileNotFoundError:
            raise UsageError(f"tables/{name} is not there; {cure}") from None
        except (OSError, ValueError) as error:
            raise UsageError(f"tables/{name} cannot be read ({error}); {cure}") from None

    @functools.cached_property
    def _tables_are_current(self) -> bool:
        """Whether the tables, if there are any, are of these cells: one of them is the cells themselves."""
        try:
            return (self.folder / "tables" / "cells.csv").read_text(encoding="utf-8") == csv_text(self.contract_cells)
        except (OSError, UnicodeDecodeError):
            return not (self.folder / "tables").is_dir()

    @property
    def contract_cells(self) -> pd.DataFrame:
        """Every cell, diverged and failed ones included, in the contract's columns and sorted order.

        Behind them stand the columns of measures that the configuration asked for.
        """
        further = (column for name in measures.further() for column in measures.columns(name))
        return self.cells[[*CELL_COLUMNS, *(column for column in further if column in self.cells.columns)]]

    def _row(self, key: str) -> dict[str, Any]:
        """The cell's row of cells.csv, empty for one that is in the configuration alone. Raises `UsageError`."""
        rows = records(self.cells[self.cells["cell"] == key])
        if not rows and key not in self.grid:
            known = [*self.grid, *self.cells["cell"]]
            raise UsageError(f"no cell {key!r} in {self.folder};{did_you_mean(key, known)} keys stand in cells.csv.")
        return rows[0] if rows else {}


def load_results(folder: str | Path) -> Results:
    """Reads `results/<name>`.

    Raises `UsageError` where there is no such folder, or nothing in it that a run leaves.
    """
    folder = Path(folder)
    _check_folder(folder)
    missing: list[Missing] = []
    tables = {
        name: read_table(folder / f"{name}.csv", columns, missing)
        for name, columns in (("cells", CELL_COLUMNS), ("claims", CLAIM_COLUMNS), ("curves", CURVE_COLUMNS))
    }
    timings = read_table(folder / "timings.csv", TIMING_COLUMNS, missing)
    provenance, config = (read_object(folder / name, missing) for name in ("provenance.json", "config.json"))
    experiments = _experiments(config, missing)
    cells = tables["cells"].sort_values(CELL_ORDER, kind="stable", ignore_index=True)
    added = _added(cells["cell"], experiments)
    # cells.csv says coupling and divergence itself, unless it is of an older version.
    cells = cells.assign(**{name: added[name].where(added[name] != "", cells.get(name, "")) for name in ADDED})
    return Results(
        folder, cells, tables["claims"], tables["curves"], timings, provenance, config, tuple(missing), experiments
    )


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Writes a tidy CSV: floats `%.17g`, missing values empty, line feeds only."""
    files.write_text(path, csv_text(frame))


def csv_text(frame: pd.DataFrame) -> str:
    """A frame as the text of its CSV."""
    return frame.to_csv(index=False, float_format="%.17g", lineterminator="\n")


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as dicts by column name."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def natural(text: object) -> tuple[tuple[int, str], ...]:
    """Sort key that puts BIL-9 before BIL-10."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(text)) if part)


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise UsageError(f"no results folder {folder}; run the workflow first, or name another folder.")
    if not any((folder / name).exists() for name in CONTRACT):
        inner = sorted(each.name for each in folder.iterdir() if (each / "config.json").exists())
        cure = f"name one of its runs: {', '.join(inner)}." if inner else "run the workflow first."
        raise UsageError(f"{folder} holds no results (none of {', '.join(CONTRACT)}); {cure}")


def _experiments(config: dict[str, Any], missing: list[Missing]) -> tuple[Experiment, ...]:
    """The experiments of a run's own configuration; where it cannot be used, why is said."""
    if not config:
        return ()
    try:
        found = configuration.check(config, "config.json").experiments
        for each in found:
            _all_cells(each)
    except UsageError as error:
        missing.append(Missing("config.json", " ".join(str(error).removeprefix("config.json: ").split())))
        return ()
    return tuple(found)


def _all_cells(experiment: Experiment) -> list[Cell]:
    return grid.expand_experiment(experiment.model_copy(update={"merged": {}}))


def _added(keys: pd.Series, experiments: tuple[Experiment, ...]) -> pd.DataFrame:
    """The columns `ADDED` of the cells with these keys, empty where the configuration does not have them."""
    first: dict[str, str] = {}
    known: dict[str, tuple[str, str]] = {}
    for each in experiments:
        setup = first.setdefault(files.digest(each.model_dump(mode="json", exclude=NOT_SETUP)), each.name)
        known |= {cell.key: (each.name, setup) for cell in _all_cells(each)}
    rows = [known.get(key, ("", "")) for key in keys]
    return pd.DataFrame(rows, columns=ADDED, index=keys.index, dtype="object")
