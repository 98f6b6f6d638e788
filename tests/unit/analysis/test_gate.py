"""The gate: what fails it, and what leaves it undecided."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from html_page import Page
from synthetic_results import CLAIM_COLUMNS, claims, write_csv

from reproflow.analysis.claim_rows import claims_table
from reproflow.analysis.gate import judge
from reproflow.analysis.results import load_results
from reproflow.analysis.summary import gate_state
from reproflow.foundation.errors import VerdictError
from reproflow.reporting.html import write_report


@pytest.mark.parametrize(
    ("keep", "cells_ok", "state"),
    [
        (("supported", "refuted", "not_applicable"), True, "passes"),
        (("supported", "refuted", "not_applicable"), False, "fails"),
        (("supported", "inconclusive"), True, "undecided"),
        ((), True, "undecided"),
    ],
)
def test_gate_state(reported_copy: Path, keep: tuple[str, ...], cells_ok: bool, state: str) -> None:
    rows = [row for row in claims() if row["verdict"] in keep and row["id"] != "LOSS-2"]
    write_csv(reported_copy / "claims.csv", CLAIM_COLUMNS, rows)
    read = load_results(reported_copy)
    if cells_ok:
        read.cells["status"] = "ok"
    found, reasons = gate_state(read, claims_table(read.claims))
    assert found == state
    assert bool(reasons) == (state != "passes")


def test_a_control_without_effect_fails_the_gate(reported_copy: Path) -> None:
    rows = [row for row in claims() if row["id"] == "LOSS-10"]
    write_csv(reported_copy / "claims.csv", CLAIM_COLUMNS, [rows[0] | {"control_verdict": "supported"}])
    read = load_results(reported_copy)
    read.cells["status"] = "ok"
    assert gate_state(read, claims_table(read.claims))[0] == "fails"


def test_a_bound_that_a_network_contradicts_fails_the_gate(reported_copy: Path) -> None:
    right = [row for row in claims() if row["verdict"] == row["expected"]]
    write_csv(reported_copy / "claims.csv", CLAIM_COLUMNS, right)
    cells = pd.read_csv(reported_copy / "cells.csv")
    cells[cells["status"] == "ok"].to_csv(reported_copy / "cells.csv", index=False)
    judge(reported_copy)
    rows = pd.read_csv(reported_copy / "cascade.csv")
    rows.loc[rows["at"] == "simple", ["value", "verdict"]] = [9.0, "refuted"]
    rows.to_csv(reported_copy / "cascade.csv", index=False)
    with pytest.raises(VerdictError, match=r"1 bound contradicted by a network: .* weighted_sum simple"):
        judge(reported_copy)
    assert "1 bound contradicted by a network" in Page(write_report(reported_copy)).text


@pytest.mark.parametrize("damage", ["gone", "empty", "cut", ""])
def test_a_cascade_that_is_asked_for_and_cannot_be_read_leaves_the_gate_undecided(
    reported_copy: Path, damage: str
) -> None:
    write_csv(
        reported_copy / "claims.csv", CLAIM_COLUMNS, [row for row in claims() if row["verdict"] == row["expected"]]
    )
    config, path = json.loads((reported_copy / "config.json").read_text()), reported_copy / "cascade.csv"
    (reported_copy / "config.json").write_text(json.dumps(config | {"cascade": {"images": 16}}))
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes({"empty": b"", "cut": content[:30], "": content}[damage])
    read = load_results(reported_copy)
    read.cells["status"] = "ok"
    state, reasons = gate_state(read, claims_table(read.claims))
    assert state == ("undecided" if damage else "passes")
    assert bool(damage) == any("cascade.csv" in reason for reason in reasons)
