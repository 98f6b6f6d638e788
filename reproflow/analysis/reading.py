"""Files of a results folder, read so that a missing or broken one is named instead of ending the report.

An absent, empty or truncated file gives an empty table and one line in a list of `Missing`; a truncated row is left out
and named. Nothing is dropped silently.
"""

from __future__ import annotations

import csv
import json
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from reproflow.foundation import measures

_NUMBERS = {
    "seed", "steps", *(column for each in measures.known() for column in (each.name, f"{each.name}_se")), "fid_n",
    "nfe", "batch", "ema", "statistic", "tolerance", "n", "step", "loss", "floor", "floor_se", "grad_norm", "lr",
    "seconds",
}  # fmt: skip


_TEXT = {
    "axis", "dataset", "process", "setup", "metric", "reference", "verdict", "equivalence", "best", "rank",
    "fid_features", "solver", *(f"{noun}{side}" for noun in ("weighting", "path", "time") for side in ("", "_a", "_b")),
    "target", "coupling", "divergence",
}  # fmt: skip
_COUNTS = {"n", "not_ok", "pairs", "class", "place"}


@dataclass(frozen=True)
class Missing:
    """A file of the contract, or a part of it, that could not be read, and why."""

    file: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


class Samples(NamedTuple):
    """Samples of a cell (N, *D), and their labels (N,), zeros where there are none."""

    samples: np.ndarray
    labels: np.ndarray


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


def read_computed(path: Path) -> pd.DataFrame:
    """A table that `reproflow tables` wrote, with the types that it was computed in: every digit is in the file.

    Raises `OSError` and `ValueError` where it cannot be read.
    """
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    return frame.assign(**{str(name): _computed(frame[name], str(name)) for name in frame.columns if len(frame)})


def _computed(column: pd.Series, name: str) -> pd.Series:
    if set(column) <= {"True", "False"}:
        return column == "True"
    if name in _TEXT or name.endswith("_verdict"):
        return column
    try:
        return column.map(int if name in _COUNTS else _float)
    except ValueError:
        return column  # several values in one: "1000; 2000"


def _float(text: str) -> float:
    return float(text) if text else math.nan


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


def read_samples(path: Path) -> Samples | None:
    """`samples` and `labels` of an .npz, or None where there is none that can be read."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            samples = archive["samples"]
            labels = archive["labels"] if "labels" in archive.files else np.zeros(len(samples), dtype=np.int64)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    return Samples(samples, labels) if len(samples) else None


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
