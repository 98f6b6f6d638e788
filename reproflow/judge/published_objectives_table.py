"""The committed verdicts on published training objectives: published_objectives.csv, read and written."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from reproflow.foundation import files
from reproflow.foundation.errors import ReproflowError

FILE = Path(__file__).with_name("published_objectives.csv")


COLUMNS = (
    "key", "family", "name", "process", "path", "time", "weighting", "on", "admissible", "mass", "identified", "bound",
    "rises", "lam_low", "lam_high", "t_low", "t_high", "minorant", "constant", "registered", "same", "why_admissible",
    "why_identified", "why_bound", "source", "note", "curve",
)  # fmt: skip


LAM = tuple(-8 + i / 5 for i in range(81))


HYPOTHESES = ("admissible", "identified", "bound")


@dataclass(frozen=True)
class Field:
    """What published_objectives.csv holds: where it came from, in one line, and its rows by key, in order."""

    provenance: str
    rows: dict[str, dict[str, str]]


def read(path: Path = FILE) -> Field:
    """The committed verdicts. Raises `ReproflowError` where the file is missing or has other columns."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ReproflowError(f"{path} cannot be read: {error.strerror}; run: reproflow check field --refresh") from None
    head, _, table = text.partition("\n")
    rows = list(csv.DictReader(io.StringIO(table)))
    if not head.startswith("# ") or not rows or tuple(rows[0]) != COLUMNS:
        raise ReproflowError(f"{path} is not a table of this version; run: reproflow check field --refresh")
    return Field(head.removeprefix("# "), {row["key"]: row for row in rows})


def write(field: Field, path: Path = FILE) -> None:
    """Writes published_objectives.csv whole: a comment line that says where it came from, then the rows."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(field.rows.values())
    files.write_text(path, f"# {field.provenance}\n{stream.getvalue()}")
