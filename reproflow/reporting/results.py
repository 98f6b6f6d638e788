"""What a results folder holds, read so that a missing or broken file is named instead of ending the report.

An absent, empty or truncated file gives an empty table and one line in `Results.missing` that says which file and why;
a truncated row is left out and named. Nothing is dropped silently.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from reproflow.claims.policy import COLUMNS as CLAIM_COLUMNS
from reproflow.evaluation.collect import CELL_COLUMNS, CURVE_COLUMNS
from reproflow.foundation.errors import ReproflowError
from reproflow.foundation.files import write_text

CELL_ORDER = ["dataset", "process", "path", "time", "target", "steps", "weighting", "seed", "cell"]
_NUMBERS = {
    "seed", "steps", "fid_train", "fid_train_se", "fid_test", "fid_test_se", "fid_n", "kid", "kid_se", "nll_nats",
    "nll_nats_se", "bound_bits_per_dim", "bound_bits_per_dim_se", "ode_bits_per_dim", "ode_bits_per_dim_se", "nfe",
    "batch", "statistic", "tolerance", "n", "step", "loss", "floor", "grad_norm", "lr", "seconds",
}  # fmt: skip


@dataclass(frozen=True)
class Missing:
    """A file of the contract, or a part of it, that could not be read, and why."""

    file: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


@dataclass(frozen=True)
class Results:
    """One results folder; tables have all their contract columns, and no rows where the file is missing."""

    folder: Path
    cells: pd.DataFrame
    claims: pd.DataFrame
    curves: pd.DataFrame
    timings: pd.DataFrame
    provenance: dict[str, Any]
    config: dict[str, Any]
    missing: tuple[Missing, ...] = field(default=())

    def why_missing(self, *files: str) -> str:
        """The reasons for those files, joined, or the empty string."""
        return "; ".join(str(each) for each in self.missing if each.file in files)


def load_results(folder: str | Path) -> Results:
    """Reads `results/<name>`. Raises `ReproflowError` when there is no such folder."""
    folder = Path(folder)
    if not folder.is_dir():
        raise ReproflowError(f"no results folder {folder}; run the workflow first, or name another folder.")
    missing: list[Missing] = []
    tables = {
        name: read_table(folder / f"{name}.csv", columns, missing)
        for name, columns in (("cells", CELL_COLUMNS), ("claims", CLAIM_COLUMNS), ("curves", CURVE_COLUMNS))
    }
    timings = read_table(folder / "timings.csv", (), missing)
    provenance, config = (read_object(folder / name, missing) for name in ("provenance.json", "config.json"))
    cells = tables["cells"].sort_values(CELL_ORDER, kind="stable", ignore_index=True)
    return Results(folder, cells, tables["claims"], tables["curves"], timings, provenance, config, tuple(missing))


def read_table(path: Path, columns: Sequence[str], missing: list[Missing]) -> pd.DataFrame:
    """A CSV as a frame with at least `columns` (numbers float64, the rest text); faults go to `missing`."""
    rows = _rows(path, missing)
    header = rows[0] if rows else []
    absent = [name for name in columns if name not in header]
    if rows and absent:
        missing.append(Missing(path.name, f"lacks the columns {', '.join(absent)}"))
    whole = [row for row in rows[1:] if len(row) == len(header)]
    if len(whole) < len(rows) - 1:
        broken = [str(i) for i, row in enumerate(rows[1:], start=2) if len(row) != len(header)]
        missing.append(Missing(path.name, f"broken rows left out (lines {', '.join(broken[:10])})"))
    frame = pd.DataFrame(whole, columns=header).reindex(columns=[*header, *absent])
    for name in frame.columns:
        frame[name] = _typed(frame[name], name)
    return frame


def read_object(path: Path, missing: list[Missing]) -> dict[str, Any]:
    """A JSON object, or `{}` with the fault noted in `missing`."""
    text = _text(path, missing)
    try:
        value = json.loads(text) if text else {}
    except json.JSONDecodeError as error:
        missing.append(Missing(path.name, f"is not JSON (line {error.lineno}: {error.msg})"))
        return {}
    if isinstance(value, dict):
        return value
    missing.append(Missing(path.name, "holds no JSON object"))
    return {}


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Writes a tidy CSV: floats `%.17g`, missing values empty, line feeds only."""
    write_text(path, frame.to_csv(index=False, float_format="%.17g", lineterminator="\n"))


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as dicts by column name."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def natural(text: object) -> tuple[tuple[int, str], ...]:
    """Sort key that puts BIL-9 before BIL-10."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(text)) if part)


def _text(path: Path, missing: list[Missing]) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        missing.append(Missing(path.name, "not there"))
        return ""
    except (OSError, UnicodeDecodeError) as error:
        missing.append(Missing(path.name, f"cannot be read ({error})"))
        return ""
    if not text.strip():
        missing.append(Missing(path.name, "empty"))
        return ""
    return text


def _rows(path: Path, missing: list[Missing]) -> list[list[str]]:
    text = _text(path, missing)
    if text and not text.endswith("\n"):
        # A writer that was cut off leaves a last row that may look whole ("2.5" of "2.504"): it cannot be trusted.
        missing.append(Missing(path.name, "the last line is not finished and is left out"))
        text = text[: text.rfind("\n") + 1]
    return list(csv.reader(text.splitlines(keepends=True)))


def _typed(column: pd.Series, name: str) -> pd.Series:
    if name in _NUMBERS:
        return pd.to_numeric(column, errors="coerce").astype("float64")
    return column.fillna("").astype("object")
