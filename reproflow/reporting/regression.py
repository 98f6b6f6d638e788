"""The comparison with a baseline, for people: a summary for a pull request, and what a results folder holds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reproflow.evaluation.regression import Comparison
from reproflow.evaluation.shifts import IDENTICAL, WORSE, Row
from reproflow.reporting.wording import number, p_text

HEADS = {0: "no regression", 4: "REGRESSION", 5: "cannot decide"}
LISTED = 20  # names of one kind, before the rest are only counted


def markdown(found: Comparison, rows_shown: int = 10) -> str:
    """A summary for a pull request: the verdict, the worst rows, what came and went, and all rows folded away."""
    changed = [row for row in found.rows if row.verdict != IDENTICAL]
    lines = [f"### {found.run} against baseline {found.baseline}: {HEADS[found.exit_code]}", "", _counts(found), ""]
    if changed:
        title = "The worst rows" if found.worse else "The rows with the smallest p"
        lines += [f"{title}:", "", *_table(changed[:rows_shown])]
    for title, names in lists(found.__dict__):
        lines += [f"**{title}** ({len(names)}):", "", *(f"- {name}" for name in names[:LISTED])]
        lines += [f"- and {len(names) - LISTED} more", ""] if len(names) > LISTED else [""]
    if changed:
        lines += [f"<details><summary>All {len(found.rows)} rows</summary>", "", *_table(found.rows), "</details>", ""]
    return "\n".join(lines)


def undecided(run: str, baseline: str, reason: str) -> str:
    """The summary where no comparison could be made."""
    return f"### {run} against baseline {baseline}: {HEADS[5]}\n\n{reason}\n"


def lists(found: dict[str, Any]) -> list[tuple[str, Sequence[str]]]:
    """What is listed beside the rows, titled, where there is any: of a `Comparison`'s fields or its JSON."""
    titles = {
        "broken": "Lost: had a number, has none",
        "incomparable": "Not decided",
        "vanished": "Vanished",
        "new": "New",
        "notes": "Notes",
    }
    return [(title, found[key]) for key, title in titles.items() if found.get(key)]


def standing(results: Path) -> dict[str, Any]:
    """What `regression.json` of a results folder says; nothing without it, or where its baseline is gone."""
    try:
        found = json.loads((results / "regression.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if Path(found.get("file", results)).exists() else {}


def _counts(found: Comparison) -> str:
    same = sum(row.verdict == IDENTICAL for row in found.rows)
    seeds = f"{found.seeds[0]} seeds, paired" if found.paired else f"{found.seeds[0]} and {found.seeds[1]} seeds"
    tested = len(found.rows) - same
    return (
        f"{len(found.worse)} of {tested} tested rows are worse by more than their margin, at family-wise level "
        f"{found.alpha:g} ({seeds}); {same} more are identical to the last bit."
    )


def _table(rows: Sequence[Row]) -> list[str]:
    head = [
        "| what | metric | groups | seeds | before | after | difference | margin | alarms above | p | |",
        "|---|---|---:|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    return [*head, *map(_line, rows), ""]


def _line(row: Row) -> str:
    if row.verdict == IDENTICAL:
        numbers = [number(row.before), number(row.after), "0", "", "", ""]
    else:
        differences = [number(row.difference, signed=True, digits=3), number(row.margin, digits=2)]
        above = number(row.alarm_at, digits=2) if row.alarm_at < float("inf") else "∞"
        numbers = [number(row.before), number(row.after), *differences, above, p_text(row.p)]
    verdict = f"**{row.verdict}**" if row.verdict == WORSE else row.verdict
    what = row.what.replace("|", "\\|")
    return f"| {what} | {row.metric} | {row.cells} | {row.seeds} | {' | '.join(numbers)} | {verdict} |"
