"""The page's sections as plain values for its templates: comparisons, equal objectives, rankings, regression."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from reproflow.evaluation.shifts import UNTOUCHED
from reproflow.foundation.errors import ReproflowError
from reproflow.reporting.comparison import METRICS, block_key, comparison_table
from reproflow.reporting.equivalence import equivalence_table, sides, summary
from reproflow.reporting.fid_table import FID_NOTE, fid_table, head, show_fid
from reproflow.reporting.ranking import RANKING_NOTE, ranked_bold, ranking_table, show_ranking
from reproflow.reporting.reading import Missing
from reproflow.reporting.regression import HEADS, lists, standing
from reproflow.reporting.results import Results, records
from reproflow.reporting.summary import finding


def comparisons(read: Results, missing: list[Missing]) -> dict[str, list[dict[str, Any]]]:
    """axis -> its blocks, each one table: its values, for each the row of every metric, and a sentence a metric.

    Blocks of one data set and process stand together, large ones first.
    """
    try:
        comparison = comparison_table(read.cells)
    except ReproflowError as error:
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
    metrics = {metric: rows[rows["metric"] == metric] for metric in METRICS if (rows["metric"] == metric).any()}
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


def equal_objectives(read: Results, missing: list[Missing]) -> list[dict[str, Any]]:
    """Every class of equal objectives: where, its members with the log-SNRs they see, a sentence, and its rows."""
    unplaced: list[str] = []
    try:
        table = equivalence_table(read, unplaced)
    except ReproflowError as error:
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
    return where | {"members": members, "summary": summary(rows), "rows": shown}


def ranking(read: Results, missing: list[Missing]) -> dict[str, Any]:
    """The tables of papers, as text with the columns in bold a row: FID by weighting under its head, and rankings."""
    try:
        ranked = ranking_table(read.cells)
        fid = fid_table(read, ranked)
    except ReproflowError as error:
        missing.append(Missing("ranking", str(error)))
        return {"rows": [], "fid": []}
    return {
        "rows": _told(show_ranking(ranked), ranked_bold(ranked)) if len(ranked) else [],
        "note": RANKING_NOTE,
        "fid": _told(*show_fid(fid)) if len(fid) else [],
        "fid_head": head(fid),
        "fid_note": FID_NOTE,
    }


def _told(shown: pd.DataFrame, bold: list[set[str]]) -> list[dict[str, Any]]:
    return [{"shown": row, "bold": each} for row, each in zip(records(shown), bold, strict=True)]


def regression(folder: Path, shown: int = 12) -> dict[str, Any]:
    """What `regression.json` says, with its first changed rows and the number of untouched ones; empty without it."""
    found = standing(folder)
    if not found:
        return {}
    rows = found.get("rows", [])
    changed = [row for row in rows if row["verdict"] != UNTOUCHED]
    said = {"reason": "", "lists": lists(found), "state": HEADS[found["exit_code"]]}
    return said | found | {"shown": changed[:shown], "untouched": len(rows) - len(changed)}
