"""What a results folder amounts to, in counts and sentences: the head of the report, computed from its tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from reproflow.analysis import control_arms as controls
from reproflow.analysis.bound_cascade import EMPTY, contradicted
from reproflow.analysis.formatting import HEADINGS, axis_word, interval, number, plural
from reproflow.analysis.results import Results, records
from reproflow.claims.policy import INCONCLUSIVE, gate
from reproflow.numerics.paired import NO_RESULT
from reproflow.numerics.relabelling import FEWEST_PAIRS
from reproflow.numerics.simultaneous import TOO_FEW

PASSES = "passes"
FAILS = "fails"
UNDECIDED = "undecided"
STATUSES = ("ok", "diverged", "failed")


@dataclass(frozen=True)
class Summary:
    """Counts of cells by status and of claims by outcome, bounds that a network contradicts, and the gate's state."""

    cells: dict[str, int]
    claims: dict[str, int]
    contradicted: list[str]
    gate: str
    reasons: list[str]
    controls: list[controls.Outcome] = field(default_factory=list)


def summarise(read: Results, claims: pd.DataFrame) -> Summary:
    """The summary of loaded results; `claims` as `tables.claims_table` makes it."""
    bounds, checks = contradicted(read.cascade[0]), controls.outcomes(read)
    state, reasons = _state(read, claims, bounds, checks)
    return Summary(cell_counts(read.cells), claim_counts(claims), bounds, state, reasons, checks)


def cell_counts(cells: pd.DataFrame) -> dict[str, int]:
    """status -> number of cells; the three statuses always, others where they occur."""
    found = {str(name): int(n) for name, n in cells["status"].value_counts().items()}
    return {name: found.get(name, 0) for name in (*STATUSES, *sorted(set(found) - set(STATUSES)))}


def claim_counts(claims: pd.DataFrame) -> dict[str, int]:
    """How many rows of the ledger came out as expected, and how; and how many did not."""
    right, (surprises, undecided) = claims[claims["ok"]], not_ok(claims)
    return {
        "total": len(claims),
        **{name: int((right["verdict"] == name).sum()) for name in ("supported", "refuted", "not_applicable")},
        "undecided": len(undecided),
        "surprises": len(surprises),
    }


def not_ok(claims: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Labels of the rows that were decided other than expected or whose control had no effect, and of the undecided."""
    wrong = records(claims[~claims["ok"]])
    surprises = [row for row in wrong if row["verdict"] != INCONCLUSIVE or row["control_verdict"]]
    return [label(row) for row in surprises], [label(row) for row in wrong if row not in surprises]


def gate_state(read: Results, claims: pd.DataFrame) -> tuple[str, list[str]]:
    """Whether claims, bounds and cells pass the gate, and every reason why not (a baseline is compared elsewhere)."""
    return _state(read, claims, contradicted(read.cascade[0]), controls.outcomes(read))


def _state(
    read: Results, claims: pd.DataFrame, bounds: list[str], checks: list[controls.Outcome]
) -> tuple[str, list[str]]:
    surprises, undecided = not_ok(claims)
    unread = read.cascade[1]
    broken = {name: n for name, n in cell_counts(read.cells).items() if name != "ok" and n}
    inputs = (("claims.csv", claims), ("cells.csv", read.cells))
    said = [read.why_missing(file) or (f"{file}: no rows" if rows.empty else "") for file, rows in inputs]
    # Where the configuration asks for a cascade, it must be there to be judged.
    said += [unread] if read.config.get("cascade") and unread != EMPTY else []
    wanting = [reason for reason in said if reason]
    apart, open_ = ([str(each) for each in checks if each.ok is ok] for ok in (False, None))
    reasons = [
        *([f"{plural(len(surprises), 'claim')} other than expected: {', '.join(surprises)}"] if surprises else []),
        *([f"{plural(len(bounds), 'bound')} contradicted by a network: {', '.join(bounds)}"] if bounds else []),
        *[f"control of a trained block: {each}" for each in apart],
        *([f"{plural(len(undecided), 'claim')} undecided: {', '.join(undecided)}"] if undecided else []),
        *[f"{plural(n, 'cell')} {name or 'without status'}" for name, n in broken.items()],
        *[f"control of a trained block undecided: {each}" for each in open_],
        *wanting,
    ]
    code = gate(records(claims))
    if code == 3 or broken or bounds or apart:
        return FAILS, reasons
    return (UNDECIDED if code or wanting or open_ else PASSES), reasons


def label(row: dict[str, Any]) -> str:
    """A claim's id with what tells its rows apart: case, and the tier where it is not the exact one."""
    return " ".join([row["id"], *([row["case"]] if row["case"] else []), *(["(mc)"] if row["tier"] == "mc" else [])])


def finding(rows: list[dict[str, Any]]) -> str:
    """One sentence about a block of the comparison: the lowest mean, and what the paired interval says about it."""
    heading, decimals = HEADINGS[rows[0]["metric"]]
    axis = rows[0]["axis"]
    seen = [row for row in rows if row["n"]]
    lowest = min(seen, key=lambda row: row["mean"])
    head = f"{heading}: {lowest[axis]} is lowest at {number(lowest['mean'], decimals)}"
    if len(seen) < 2:
        return f"{heading}: {lowest[axis]} has {number(lowest['mean'], decimals)}, nothing to compare it with."
    if lowest["best"]:
        return f"{head}, below every other {axis_word(axis)} at 95\u00a0%."
    if lowest["verdict"] == "reference":
        few = all(row["verdict"] in (TOO_FEW, NO_RESULT) for row in seen if row is not lowest)
        why = f"; no comparison below {FEWEST_PAIRS} pairs of seeds" if few else ", not separated from all others"
        return f"{head} (the reference){why}."
    if lowest["verdict"] == TOO_FEW:
        pairs = plural(lowest["pairs"], "pair")
        return f"{head}; {pairs} of seeds with {lowest['reference']}, no interval below {FEWEST_PAIRS}."
    against = f"{number(lowest['difference'], decimals, True)} {interval(lowest, decimals)}"
    return f"{head}; against {lowest['reference']} {against}: {lowest['verdict']}."
