"""The page's sections as plain values for its templates: comparisons, equal objectives, rankings, bounds, cells."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from reproflow.analysis import bound_cascade as bounds
from reproflow.analysis.comparison import block_key
from reproflow.analysis.fid_table import FID_NOTE, head, show_fid
from reproflow.analysis.formatting import HEADINGS, axis_word, number, text
from reproflow.analysis.ranking import RANKING_NOTE, ranked_bold, show_ranking
from reproflow.analysis.reading import Missing
from reproflow.analysis.regression_file import standing
from reproflow.analysis.results import Results, records
from reproflow.analysis.shifts import UNTOUCHED
from reproflow.analysis.summary import finding
from reproflow.analysis.trained_equivalence import sides, summary
from reproflow.foundation import measures
from reproflow.foundation.errors import UsageError
from reproflow.reporting.columns import Table, alike, arranged
from reproflow.reporting.regression_summary import HEADS, lists


def comparisons(read: Results, missing: list[Missing]) -> dict[str, list[dict[str, Any]]]:
    """axis -> its blocks, each one table: its values, for each the row of every metric, and a sentence a metric.

    Blocks of one data set and process stand together, large ones first.
    """
    try:
        comparison = read.comparison()
    except UsageError as error:
        missing.append(Missing("paired comparison", str(error)))
        return {}
    found: dict[str, list[dict[str, Any]]] = {}
    for axis, own in comparison.groupby("axis", sort=False):
        for _, place in own.groupby(["dataset", "process"], sort=True):
            several = place["setup"].nunique() > 1
            blocks = [_block(str(axis), rows, several) for _, rows in place.groupby(block_key(str(axis)), sort=False)]
            found.setdefault(str(axis), []).extend(sorted(blocks, key=lambda block: -len(block["rows"])))
    return found


def _block(axis: str, rows: pd.DataFrame, several: bool) -> dict[str, Any]:
    metrics = {metric: rows[rows["metric"] == metric] for metric in measures.compared(rows["metric"])}
    first = rows.iloc[0]
    said = [(key, first[key]) for key in ("weighting", "path", "time", "target") if key != axis]
    said += [(key, first[key]) for key in ("coupling", "divergence") if key != axis and first[key] not in USUAL]
    return {
        "axis": axis, "dataset": first["dataset"], "process": first["process"], "steps": first["steps"],
        "fixed": [*said, *([("settings of", first["setup"])] if several else [])], "metrics": list(metrics),
        "rows": {w: own.set_index("metric").to_dict("index") for w, own in rows.groupby(axis, sort=False)},
        "references": {metric: own["reference"].iloc[0] for metric, own in metrics.items()},
        "findings": {metric: finding(records(own)) for metric, own in metrics.items()},
    }  # fmt: skip


USUAL = ("independent", "squared", "")
# heading -> column of cells.csv, in the order in which a cell is named
CELL_NAMES = {
    axis_word(key).capitalize(): key
    for key in ("weighting", "dataset", "process", "path", "time", "target", "coupling", "divergence", "steps", "seed")
}
NOUNS = (*CELL_NAMES, "Setup")


def equal_objectives(read: Results, missing: list[Missing]) -> list[dict[str, Any]]:
    """Every class of equal objectives: where, its members with the log-SNRs they see, a sentence, and its rows."""
    try:
        table, unplaced = read.equivalence(), read.unplaced
    except UsageError as error:
        missing.append(Missing("equal objectives", str(error)))
        return []
    missing += [Missing("equal objectives", f"not placed: {each}") for each in unplaced]
    return [_class(records(rows)) for _, rows in table.groupby("class", sort=True)]


def _class(rows: list[dict[str, Any]]) -> dict[str, Any]:
    members = {}
    for row in rows:
        for side, name in zip("ab", sides(row), strict=True):
            members[name] = (row[f"lam_low_{side}"], row[f"lam_high_{side}"])
    shown = [row | dict(zip(("a", "b"), sides(row), strict=True)) for row in rows]
    where = {key: rows[0][key] for key in ("class", "dataset", "process", "target", "steps")}
    return where | {"members": members, "summary": summary(rows), "rows": shown, "same": alike(rows, ["metric"])}


def ranking(read: Results, missing: list[Missing]) -> dict[str, Any]:
    """The tables of papers, arranged for the page, with the columns in bold a row: FID under its head, and rankings."""
    try:
        ranked, fid = read.table("ranking"), read.table("fid_by_weighting")
    except UsageError as error:
        missing.append(Missing("ranking", str(error)))
        return {"table": None}
    by_weighting, fid_bold = show_fid(fid)
    return {
        "table": arranged(show_ranking(ranked), ("Weighting", "Metric", *NOUNS)) if len(ranked) else None,
        "bold": ranked_bold(ranked),
        "note": RANKING_NOTE,
        "fid": arranged(by_weighting, ("Weighting",)) if len(fid) else None,
        "fid_bold": fid_bold,
        "fid_head": head(fid),
        "fid_note": FID_NOTE,
    }


def cells(frame: pd.DataFrame) -> Table:
    """Every cell, its weighting first; its key and whatever else is no number stands behind the metrics."""
    shown = pd.DataFrame({title: frame[key].map(text) for title, key in CELL_NAMES.items()})
    metrics = [metric for metric in measures.compared(frame.columns) if frame[metric].notna().any()]
    for metric in metrics:
        title, decimals = HEADINGS[metric]
        pairs = zip(frame[metric], frame[f"{metric}_se"], strict=True)
        shown[title] = [number(value, decimals) + _error(se, decimals) for value, se in pairs]
    for key in ("status", "reason", "cell"):
        shown[key.capitalize()] = frame[key].map(text)
    return arranged(shown, tuple(CELL_NAMES), frame[metrics].rename(columns={key: HEADINGS[key][0] for key in metrics}))


def _error(se: float, decimals: int) -> str:
    return "" if math.isnan(se) else f" ± {number(se, decimals)}"


def cascade(read: Results) -> Table:
    """The bounds on trained networks: the quantity and its place first."""
    return arranged(bounds.shown(read.cascade[0]), ("Quantity", "At", *NOUNS))


def regression(folder: Path, shown: int = 12) -> dict[str, Any]:
    """What `regression.json` says, with its first changed rows and the number of untouched ones; empty without it."""
    found = standing(folder)
    if not found:
        return {}
    rows = found.get("rows", [])
    changed = [row for row in rows if row["verdict"] != UNTOUCHED]
    said = {"reason": "", "lists": lists(found), "state": HEADS[found["exit_code"]]}
    return said | found | {"shown": changed[:shown], "untouched": len(rows) - len(changed)}
