"""Tables: the cells, the claims ledger and the comparison of weightings, each as CSV, Markdown and LaTeX.

The CSV holds every digit; Markdown and LaTeX are rounded for reading. Rows are sorted, and the same results give the
same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from reproflow.claims.policy import COLUMNS as CLAIM_COLUMNS
from reproflow.claims.policy import row_ok
from reproflow.evaluation.collect import CELL_COLUMNS
from reproflow.foundation.files import write_text
from reproflow.reporting.comparison import GROUP, MIN_SEEDS, comparison_table
from reproflow.reporting.results import Results, load_results, natural, records, write_frame

# metric -> its heading, and the decimals shown in prose tables (the CSV is never rounded)
HEADINGS = {
    "fid_train": ("FID, train", 2),
    "fid_test": ("FID, held out", 2),
    "nll_nats": ("NLL, nats", 3),
    "bound_bits_per_dim": ("Bound, bits/dim", 4),
}
DASH = "–"
COMPARISON_NOTE = (
    "Lower is better in every metric. Difference: paired over seeds, weighting minus reference, with a 95 % "
    "t-interval; p: Holm-adjusted over the block, which is one metric of one dataset, process, path, time law, target "
    "and number of steps. Tied: the interval contains zero; unclear: it does not, but Holm's p is 0.05 or more; "
    f"{DASH}: fewer than {MIN_SEEDS} pairs of seeds, so no interval. Bold: the lowest mean, where its paired interval "
    "excludes zero against every other weighting of the block."
)


def write_tables(results: str | Path) -> list[Path]:
    """Writes `tables/{cells,comparison,claims}.{csv,md,tex}` of a results folder and returns the paths."""
    read = load_results(results)
    folder = read.folder / "tables"
    cells, claims, comparison = cells_table(read.cells), claims_table(read.claims), comparison_table(read.cells)
    written = write_table(cells, folder, "cells", show_cells(cells), _note(read, "cells.csv"))
    written += write_table(claims, folder, "claims", show_claims(claims), _note(read, "claims.csv"))
    shown, note = show_comparison(comparison), " ".join(filter(None, [COMPARISON_NOTE, _note(read, "cells.csv")]))
    return written + write_table(comparison, folder, "comparison", shown, note, bold=comparison["best"])


def cells_table(cells: pd.DataFrame) -> pd.DataFrame:
    """Every cell, diverged and failed ones included, in the contract's columns and sorted order."""
    return cells[CELL_COLUMNS]


def claims_table(claims: pd.DataFrame) -> pd.DataFrame:
    """The ledger in natural order of id, case, tier, with `ok`: verdict as expected and controls as they must be."""
    frame = claims[list(CLAIM_COLUMNS)].copy()
    frame["ok"] = pd.Series([row_ok(row) for row in records(frame)], index=frame.index, dtype=bool)
    order = sorted(frame.index, key=lambda i: [natural(frame.at[i, key]) for key in ("id", "case", "tier")])
    return frame.loc[order].reset_index(drop=True)


def number(value: float, decimals: int | None = None, signed: bool = False, digits: int = 4) -> str:
    """A number for reading: fixed decimals, else significant digits; a dash where there is none."""
    if math.isnan(value):
        return DASH
    sign = "+" if signed else ""
    # A small number never reads as zero: "−0.00" would hide on which side of zero an interval ends.
    small = decimals is not None and value != 0 and round(value, decimals) == 0
    form = ".1g" if small else f".{digits}g" if decimals is None else f".{decimals}f"
    return f"{value:{sign}{form}}".replace("-", "−")


def p_text(value: float) -> str:
    """A p-value for reading; never "0"."""
    return "<0.001" if value < 1e-3 else number(value, 3)


def interval(row: dict[str, Any], decimals: int) -> str:
    """`[low, high]` of a difference, or a dash."""
    if math.isnan(row["difference_low"]):
        return DASH
    return f"[{number(row['difference_low'], decimals, True)}, {number(row['difference_high'], decimals, True)}]"


def show_comparison(frame: pd.DataFrame) -> pd.DataFrame:
    """The comparison as text for reading; the weighting and its mean are what `write_table` sets bold."""
    rows = []
    for row in records(frame):
        heading, decimals = HEADINGS[row["metric"]]
        rows.append({
            **{key.capitalize(): text(row[key]) for key in GROUP}, "Metric": heading, "Weighting": row["weighting"],
            "n": text(row["n"]), "Not ok": text(row["not_ok"]), "Mean": number(row["mean"], decimals),
            "Difference": number(row["difference"], decimals, True), "95 % interval": interval(row, decimals),
            "p": p_text(row["p_holm"]), "Verdict": row["verdict"],
        })  # fmt: skip
    return pd.DataFrame(rows, columns=None if rows else ["Dataset", "Weighting", "Verdict"])


def show_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """The cells as text for reading: identity, status, and each metric with its standard error."""
    shown = pd.DataFrame({key.capitalize(): frame[key].map(text) for key in [*GROUP, "weighting", "seed", "status"]})
    for metric, (heading, decimals) in HEADINGS.items():
        pairs = zip(frame[metric], frame[f"{metric}_se"], strict=True)
        shown[heading] = [
            number(value, decimals) + ("" if math.isnan(se) else f" ± {number(se, decimals)}") for value, se in pairs
        ]
    return shown.assign(Reason=frame["reason"].map(text))


def show_claims(frame: pd.DataFrame) -> pd.DataFrame:
    """The ledger as text for reading."""
    keys = ["id", "title", "kind", "tier", "case", "verdict", "expected", "statistic", "tolerance", "n"]
    shown = pd.DataFrame({key.capitalize(): frame[key].map(text) for key in keys})
    return shown.assign(Control=frame["control_verdict"].map(text))


def text(value: Any) -> str:
    """Any value of a table for reading: whole numbers without a point, a dash where there is none."""
    if value == "" or (isinstance(value, float) and math.isnan(value)):
        return DASH
    if isinstance(value, float):
        return f"{int(value)}" if value == int(value) and abs(value) < 1e9 else number(value)
    return str(value)


def write_table(
    frame: pd.DataFrame, folder: Path, name: str, shown: pd.DataFrame, note: str = "", bold: pd.Series | None = None
) -> list[Path]:
    """Writes `name.csv` (full precision), and `shown` as `name.md` and `name.tex` (booktabs) with `note` below.

    Rows where `bold` is true have their Weighting and Mean in bold.
    """
    paths = [folder / f"{name}.{suffix}" for suffix in ("csv", "md", "tex")]
    marked = [False] * len(shown) if bold is None else list(bold)
    markdown = _dressed(shown, marked, _markdown, "**{}**").to_markdown(index=False, disable_numparse=True)
    latex = _dressed(shown, marked, _latex, r"\textbf{{{}}}").to_latex(index=False, escape=False)
    write_frame(frame, paths[0])
    write_text(paths[1], f"{markdown}\n" + (f"\n{note}\n" if note else ""))
    write_text(paths[2], latex + (f"% {note}\n" if note else ""))
    return paths


def _dressed(shown: pd.DataFrame, bold: list[bool], escape: Callable[[str], str], strong: str) -> pd.DataFrame:
    dressed = shown.map(escape).rename(columns=escape)
    for column in (name for name in ("Weighting", "Mean") if name in dressed):
        dressed[column] = [strong.format(v) if on else v for v, on in zip(dressed[column], bold, strict=True)]
    return dressed


def _markdown(value: str) -> str:
    return value.replace("|", r"\|").replace("\n", " ")


_LATEX = {"\\": r"\textbackslash{}", "_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}",
          "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
          "–": "--", "−": "$-$", "±": r"$\pm$"}  # fmt: skip


def _latex(value: str) -> str:
    return "".join(_LATEX.get(character, character) for character in value)


def _note(read: Results, *files: str) -> str:
    why = read.why_missing(*files)
    return f"Missing: {why}." if why else ""
