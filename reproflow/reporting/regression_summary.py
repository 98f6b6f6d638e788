"""The comparison with a baseline, for people: a summary for a pull request, and what a results folder holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from reproflow.analysis.formatting import DASH, number, p_text
from reproflow.analysis.regression_check import Comparison
from reproflow.analysis.shifts import UNTOUCHED, Row
from reproflow.numerics.simultaneous import NOT_SEPARATED, VERDICTS, WORSE

HEADS = {0: "no regression found", 4: "REGRESSION", 5: "cannot decide"}
NOT_SEPARATED_NOTE = (
    "*Not separated*: neither a harm beyond the margin nor its absence is shown. *Detectable* is the shift that would "
    "be found with power 0.8 at this spread and number of seeds; more seeds find less (`--require not-worse` makes "
    "such rows exit 5)."
)
LISTED = 20  # names of one kind, before the rest are only counted


def markdown(found: Comparison, rows_shown: int = 10, requirement: str | None = None) -> str:
    """A summary for a pull request: the verdict, the worst rows, what came and went, and all rows folded away."""
    changed = [row for row in found.rows if row.verdict != UNTOUCHED]
    lines = [
        f"### {found.run} against baseline {found.baseline}: {HEADS[found.required(requirement)]}",
        "",
        _counts(found),
        "",
    ]
    if requirement and found.not_shown:
        lines += [f"Required is *{requirement}*: {len(found.not_shown)} rows do not show it.", ""]
    if changed:
        title = "The worst rows" if found.worse else "The rows with the smallest p"
        lines += [f"{title}:", "", *_table(changed[:rows_shown])]
    for title, names in lists(found.__dict__):
        lines += [f"**{title}** ({len(names)}):", "", *(f"- {name}" for name in names[:LISTED])]
        lines += [f"- and {len(names) - LISTED} more", ""] if len(names) > LISTED else [""]
    if any(row.verdict == NOT_SEPARATED for row in changed):
        lines += [NOT_SEPARATED_NOTE, ""]
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


def _counts(found: Comparison) -> str:
    counts = Counter(row.verdict for row in found.rows)
    same = counts.pop(UNTOUCHED, 0)
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
    looks = f", this being one of {found.looks} looks" if found.looks > 1 else ""
    text = (
        f"{len(found.worse)} of {len(found.rows) - same} compared rows are worse by more than their margin, at "
        f"family-wise level {found.alpha:g}{looks} ({found.seeds[0]} and {found.seeds[1]} seeds); {same} more are "
        f"untouched: the same to the last bit."
    )
    return f"{text}\n\nRows: {told}." if told else text


def _table(rows: Sequence[Row]) -> list[str]:
    head = [
        "| what | metric | groups | seeds | before | after | difference | interval | margin | spread | detectable "
        "| p | |",
        "|---|---|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    return [*head, *map(_line, rows), ""]


def _line(row: Row) -> str:
    if row.verdict == UNTOUCHED:
        numbers = [number(row.before), number(row.after), "0", "", number(row.margin, digits=2), "", "", ""]
    else:
        difference = number(row.difference, signed=True, digits=3)
        ends = [DASH if end is None else number(end, signed=True, digits=3) for end in (row.low, row.high)]
        between = DASH if row.p is None else f"[{ends[0]}, {ends[1]}]"
        rest = [DASH if each is None else number(each, digits=2) for each in (row.spread, row.detectable)]
        p = DASH if row.p is None else p_text(row.p)
        numbers = [number(row.before), number(row.after), difference, between, number(row.margin, digits=2), *rest, p]
    verdict = f"**{row.verdict}**" if row.verdict == WORSE else row.verdict
    what = row.what.replace("|", "\\|")
    return f"| {what} | {row.metric} | {row.cells} | {row.seeds} | {' | '.join(numbers)} | {verdict} |"
