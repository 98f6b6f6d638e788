r"""The ledger for reading: one row a claim and tier, with its statement, its evidence and the place of its code.

The evidence is drawn on one logarithmic axis for all claims: where the statistic of each case lies, where its
tolerance, and where the statistics of its controls. A statement and its control on the same side of the tolerance are a
surprise at first sight.
"""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reproflow.claims import ledger
from reproflow.claims.policy import INCONCLUSIVE, NOT_APPLICABLE, REFUTED, SUPPORTED, row_ok
from reproflow.foundation import registry

SOURCES = {
    "000": "000 Billera et al.", "001": "001 Shi & Titsias", "002": "002 FM and DM 3",
    "003": "003 FM Training", "004": "004 loss formulation",
}  # fmt: skip
STATUSES = ("as expected", "surprise", "undecided", "nothing to compute")
DECADES = (-17, 7)
"""The axis of the evidence, in powers of ten: from below rounding to far beyond any tolerance."""


def groups(rows: Iterable[Mapping[str, Any]], folder: Path | None = None) -> list[dict[str, Any]]:
    """The rows of a ledger (as `ledger.run` gives them) by id and tier, in their order, each group ready to be shown.

    Keys: id, tier, title, source, sources, family, kind, status, verdict, expected, controls, statement (pairs of
    heading and text), code (text and href), cases (rows with `ok`, `lane`, `said`).
    """
    general = [entry for entry in ledger.find() if entry.process == "any"]
    entries = {(claim.id, claim.tier): entry for entry in general for claim in [entry.meta["claim"]]}
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["id"], row["tier"]), []).append(
            {**row, "ok": row_ok(row), "lane": lane(row), "said": said(row)}
        )
    return [_group(cases, entries.get(key), folder) for key, cases in found.items()]


def _group(cases: list[dict[str, Any]], entry: registry.Entry | None, folder: Path | None) -> dict[str, Any]:
    first = next((row for row in cases if row["kind"] != "textual"), cases[0])
    return {
        **{key: first[key] for key in ("id", "tier", "title", "source", "kind")},
        "sources": [word for number, word in SOURCES.items() if number in first["source"]],
        "family": first["id"].split("-")[0].rstrip("0123456789"),
        "status": status(cases),
        "verdict": _words(cases, "verdict"),
        "expected": _words(cases, "expected"),
        "controls": _words(cases, "control_verdict"),
        "statement": ledger.statement(entry) if entry else [],
        "code": code(entry, folder) if entry else {},
        "cases": cases,
    }


def status(cases: Sequence[Mapping[str, Any]]) -> str:
    """What a group came out as, one of `STATUSES`: the worst of its cases."""
    bad = [row for row in cases if not row_ok(row)]
    if any(row["verdict"] != INCONCLUSIVE or row["control_verdict"] for row in bad):
        return "surprise"
    if bad:
        return "undecided"
    return "nothing to compute" if all(row["verdict"] == NOT_APPLICABLE for row in cases) else "as expected"


def by_expectation(cases: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cases that are to hold, those that are to fail and those without a number, each apart, as far as there are.

    Keys: verdict and controls in words; `weakest`, the case whose statistic is nearest to the tolerance from its side:
    of those that hold the one that takes up most of it, of those that fail the one that exceeds it least.
    """
    parts = []
    for expected in (SUPPORTED, REFUTED, NOT_APPLICABLE):
        some = sorted((row for row in cases if row["expected"] == expected), key=_taken)
        if some:
            words = {"verdict": _words(some, "verdict"), "controls": _words(some, "control_verdict")}
            parts.append({**words, "weakest": some[0] if expected == REFUTED else some[-1]})
    return parts


def counted(groups: Iterable[Mapping[str, Any]]) -> str:
    """How many claims and cases came out how, in one sentence."""
    groups = list(groups)
    counts = {word: sum(group["status"] == word for group in groups) for word in STATUSES}
    cases = sum(len(group["cases"]) for group in groups)
    seconds = sum(row.get("seconds") or 0.0 for group in groups for row in group["cases"])
    said = ", ".join(f"{n} {word}" for word, n in counts.items() if n)
    claims = "1 claim" if len(groups) == 1 else f"{len(groups)} claims"
    return f"{claims} in {cases} case{'s' * (cases != 1)}: {said}; {seconds:.0f} s."


def short(value: Any) -> str:
    """A statistic for a narrow column."""
    return "" if value is None or value == "" else f"{float(value):.2e}"


def code(entry: registry.Entry, folder: Path | None = None) -> dict[str, str]:
    """Where a claim is computed: `text`, package path and line, and `href` from a folder of the same clone, else ""."""
    file, _, line = entry.where.rpartition(":")
    path, clone = Path(file), Path(__file__).resolve().parents[2]
    text = path.relative_to(clone) if path.is_relative_to(clone) else Path(path.name)
    near = folder is not None and folder.resolve().is_relative_to(clone) and path.is_relative_to(clone)
    href = f"{Path(os.path.relpath(path, folder.resolve())).as_posix()}#L{line}" if folder and near else ""
    return {"text": f"{text.as_posix()}:{line}", "href": href}


def lane(row: Mapping[str, Any]) -> dict[str, Any]:
    """One case on the evidence axis: places in [0, 1] of statistic and tolerance, and of every control by name."""
    names = [name for name in str(row.get("control") or "").split(";") if name]
    values = [value for value in str(row.get("control_statistic") or "").split(";") if value]
    controls = [(name, float(value)) for name, value in zip(names, values, strict=False)]
    return {
        "statistic": place(row["statistic"]),
        "tolerance": place(row["tolerance"]),
        "controls": [{"name": name, "value": value, "place": place(value)} for name, value in controls],
    }


def axis() -> list[tuple[float, str]]:
    """The marks of the evidence axis: every fourth power of ten, as (place, label)."""
    marks = [decade for decade in range(*DECADES) if decade % 4 == 0]
    return [(place(10.0**decade) or 0.0, f"1e{decade}" if decade else "1") for decade in marks]


def said(row: Mapping[str, Any]) -> str:
    """A row's reason as far as it is about the statement; what its controls said follows it in the ledger."""
    reason = str(row["reason"] or "")
    names = (name for name in str(row.get("control") or "").split(";") if name)
    starts = [at for name in names for at in [reason.find(f"control {name}: ")] if at >= 0]
    return reason[: min(starts, default=len(reason))].rstrip("; ")


def place(value: Any) -> float | None:
    """Where a number lies on the axis, in [0, 1]: zero and negative ones at its left end; None for not-a-number."""
    number = math.nan if value is None or value == "" else float(value)
    if math.isnan(number):
        return None
    low, high = DECADES
    edge = high if number > 0 else low
    decade = math.log10(number) if 0 < number < math.inf else edge
    return min(1.0, max(0.0, (decade - low) / (high - low)))


def strip(lane: Mapping[str, Any], width: int = 49) -> str:
    """A case's evidence as one line of text: ● the statement, │ its tolerance, ○ its controls."""
    line = ["·"] * width
    marks = [(lane["tolerance"], "│"), *((each["place"], "○") for each in lane["controls"]), (lane["statistic"], "●")]
    for at, mark in marks:
        if at is not None:
            line[round(at * (width - 1))] = mark
    return "".join(line)


def explain(group: Mapping[str, Any]) -> str:
    """A claim for the terminal: statement, evidence, verdict, controls, tolerance and the place of the code."""
    head = f"{group['id']} ({group['tier']}): {group['title']}"
    said = (f"{heading}: {text}" if heading else text for heading, text in group["statement"])
    lines = [head, "=" * len(head), *(textwrap.fill(each, 118, subsequent_indent="    ") for each in said)]
    lines += [f"Code: {group['code'].get('text', '-')}", "", f"{group['status']}: {group['verdict']}"]
    low, high = (f"1e{decade:+03d}" for decade in DECADES)
    lines += [f"{low} {'● statement  │ tolerance  ○ controls':^39} {high}"]
    for row in group["cases"]:
        lines += [strip(row["lane"]), f"  {_case(row)}"]
        controls = ", ".join(f"{each['name']} {each['value']:.3g}" for each in row["lane"]["controls"])
        lines += [f"  controls {row['control_verdict']}: {controls}"] if controls else []
    return "\n".join(lines)


def _case(row: Mapping[str, Any]) -> str:
    numbers = (
        "" if row["statistic"] is None else f", {float(row['statistic']):.3g} against {float(row['tolerance']):.3g}"
    )
    reason = f" ({row['said']})" if row["said"] else ""
    expected = "" if row["verdict"] == row["expected"] else f" (expected {row['expected']})"
    return f"{row['case'] or 'the statement'}: {row['verdict'].replace('_', ' ')}{expected}{numbers}{reason}"


def _taken(row: Mapping[str, Any]) -> float:
    if row["statistic"] is None or row["statistic"] == "":
        return -math.inf
    statistic, tolerance = float(row["statistic"]), float(row["tolerance"])
    return statistic / tolerance if tolerance > 0 else statistic


def _words(cases: list[dict[str, Any]], key: str) -> str:
    """The values of a column with their counts, such as `13 supported, 1 refuted`; the bare word for a single case."""
    counts: dict[str, int] = {}
    for row in cases:
        word = str(row[key] or "").replace("_", " ")
        counts[word] = counts.get(word, 0) + 1
    if len(counts) == 1:
        word, n = next(iter(counts.items()))
        return word if n == 1 or not word else f"{n} {word}"
    return ", ".join(f"{n} {word or 'not run'}" for word, n in counts.items())
