"""What a results folder amounts to, in counts and sentences: the head of the report, computed from its tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from reproflow.claims.policy import INCONCLUSIVE, gate
from reproflow.reporting.results import Results
from reproflow.reporting.tables import HEADINGS, interval, number

PASSES, FAILS, UNDECIDED = "passes", "fails", "undecided"
STATUSES = ("ok", "diverged", "failed")


@dataclass(frozen=True)
class Summary:
    """Counts of cells by status and of claims by outcome, and the gate's state with its reasons."""

    cells: dict[str, int]
    claims: dict[str, int]
    gate: str
    reasons: list[str]


def summarise(read: Results, claims: pd.DataFrame) -> Summary:
    """The summary of loaded results; `claims` as `tables.claims_table` makes it."""
    state, reasons = gate_state(read, claims)
    return Summary(cell_counts(read.cells), claim_counts(claims), state, reasons)


def cell_counts(cells: pd.DataFrame) -> dict[str, int]:
    """status -> number of cells; the three statuses always, others where they occur."""
    found = cells["status"].value_counts().to_dict()
    return {name: int(found.get(name, 0)) for name in (*STATUSES, *sorted(set(found) - set(STATUSES)))}


def claim_counts(claims: pd.DataFrame) -> dict[str, int]:
    """How many rows of the ledger came out as expected, and how; and how many did not."""
    right, wrong = claims[claims["ok"]], claims[~claims["ok"].astype(bool)]
    undecided = int((wrong["verdict"] == INCONCLUSIVE).sum())
    return {
        "total": len(claims),
        **{name: int((right["verdict"] == name).sum()) for name in ("supported", "refuted", "not_applicable")},
        "undecided": undecided,
        "surprises": len(wrong) - undecided,
    }


def gate_state(read: Results, claims: pd.DataFrame) -> tuple[str, list[str]]:
    """Whether claims and cells would pass the gate, and every reason why not (a baseline is compared elsewhere)."""
    counts, wrong = claim_counts(claims), claims[~claims["ok"].astype(bool)]
    ids = {kind: [] for kind in ("decided", "undecided")}
    for row in wrong.to_dict("records"):
        ids["undecided" if row["verdict"] == INCONCLUSIVE else "decided"].append(label(row))
    broken = {name: n for name, n in cell_counts(read.cells).items() if name != "ok" and n}
    reasons = [
        *(
            [f"{counts['surprises']} decided other than expected: {', '.join(ids['decided'])}"]
            if ids["decided"]
            else []
        ),
        *([f"{counts['undecided']} undecided: {', '.join(ids['undecided'])}"] if ids["undecided"] else []),
        *[f"{plural(n, 'cell')} {name}" for name, n in broken.items()],
        *([f"the ledger is missing ({read.why_missing('claims.csv') or 'no rows'})"] if claims.empty else []),
        *([f"the cells are missing ({read.why_missing('cells.csv') or 'no rows'})"] if read.cells.empty else []),
    ]
    code = gate(claims.to_dict("records"))
    if code == 3 or broken:
        return FAILS, reasons
    return (UNDECIDED, reasons) if code or read.cells.empty else (PASSES, reasons)


def label(row: dict[Any, Any]) -> str:
    """A claim's id with what tells its rows apart: case, and the tier where it is not the exact one."""
    return " ".join([row["id"], *([row["case"]] if row["case"] else []), *(["(mc)"] if row["tier"] == "mc" else [])])


def finding(rows: list[dict[Any, Any]]) -> str:
    """One sentence about a block of the comparison: the lowest mean, and what the paired interval says about it."""
    heading, decimals = HEADINGS[rows[0]["metric"]]
    seen = [row for row in rows if row["n"]]
    lowest = min(seen, key=lambda row: row["mean"])
    head = f"{heading}: {lowest['weighting']} is lowest at {number(lowest['mean'], decimals)}"
    if len(seen) < 2:
        return f"{head}, the only one with a result."
    if lowest["best"]:
        return f"{head}, below every other weighting at 95\u00a0%."
    if lowest["verdict"] == "reference":
        return f"{head} (the reference), not separated from every other weighting."
    if lowest["verdict"] == "too few seeds":
        return f"{head}; {plural(lowest['pairs'], 'pair')} of seeds with {lowest['reference']}, no interval."
    against = f"{number(lowest['difference'], decimals, True)} {interval(lowest, decimals)}"
    return f"{head}; against {lowest['reference']} {against}: {lowest['verdict']}."


def plural(n: int, noun: str) -> str:
    """`1 cell`, `2 cells`."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
