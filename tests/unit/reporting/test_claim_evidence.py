"""Claims on the page: one row a claim and tier, filters, statements with their code, evidence on its axis."""

from __future__ import annotations

from pathlib import Path

import pytest
from html_page import Page
from synthetic_results import CLAIM_COLUMNS, claims, write_csv

from reproflow.analysis.claim_rows import claims_table
from reproflow.analysis.results import load_results
from reproflow.reporting.claim_evidence import DECADES, by_expectation, groups, place, said
from reproflow.reporting.html import write_report


def test_the_ledger_has_one_row_a_claim_and_tier_and_keeps_every_case(reported_copy: Path) -> None:
    first = claims()[0]
    cases = [first | {"id": "ST-9", "case": f"case_{i}", "statistic": 1e-14 * i} for i in range(9)]
    rows = [*claims(), *cases, first | {"id": "ST-9", "case": "odd_one", "verdict": "refuted", "statistic": 0.3}]
    write_csv(reported_copy / "claims.csv", CLAIM_COLUMNS, rows)
    shown = {
        (row["id"], row["tier"]): row
        for row in groups(claims_table(load_results(reported_copy).claims).to_dict("records"))
    }
    assert set(shown) == {(row["id"], row["tier"]) for row in rows}
    many = shown["ST-9", "exact"]
    assert [case["case"] for case in many["cases"]] == [*(f"case_{i}" for i in range(9)), "odd_one"]
    assert (many["verdict"], many["status"]) == ("9 supported, 1 refuted", "surprise")
    assert shown["E04", "exact"]["status"] == "as expected"
    assert shown["LOSS-1", "mc"]["status"] == "undecided"
    assert shown["E25", "exact"]["status"] == "nothing to compute"
    page = Page(write_report(reported_copy))
    for row in rows:
        assert row["case"] in page.text
        assert row["reason"][1:] in page.text
    assert f"The ledger has {len(rows)} rows" in page.text


def test_cases_that_must_hold_and_cases_that_must_fail_are_apart() -> None:
    """One number against the tolerance for each: the weakest evidence on its own side."""
    first = claims()[0] | {"kind": "exact", "tolerance": 0.1}
    values = {"supported": (0.01, 0.09), "refuted": (5.0, 0.2)}
    rows = [
        first | {"case": f"{word} {value}", "verdict": word, "expected": word, "statistic": value}
        for word, found in values.items()
        for value in found
    ]
    textual = {"kind": "textual", "verdict": "not_applicable", "expected": "not_applicable", "statistic": None}
    parts = by_expectation([*rows, first | textual])
    assert [part["weakest"]["statistic"] for part in parts] == [0.09, 0.2, None]
    assert [part["verdict"] for part in parts] == ["2 supported", "2 refuted", "not applicable"]


def test_the_ledger_can_be_filtered_by_source_family_and_status(reported: Path) -> None:
    page = Page(reported / "report.html")
    rows = {a["id"]: a for tag, a in page.tags if tag == "tr" and a.get("id", "").startswith("claim-")}
    assert rows["claim-LOSS-1-mc"]["data-status"] == "undecided"
    assert {a["data-family"] for a in rows.values()} == {"LOSS", "E"}
    assert rows["claim-LOSS-1"]["data-source"].split("|") == ["002 FM and DM 3", "004 loss formulation"]
    own = [a["data-key"] for tag, a in page.tags if tag == "select" and a["data-filters"] == "claims-table"]
    assert own == ["source", "family", "status"]


def test_a_claim_shows_its_statement_and_names_its_code(reported: Path) -> None:
    text = Page(reported / "report.html").text
    assert "Proof idea." in text
    assert "reproflow/claims/losses/matching.py:" in text


def test_what_is_said_of_a_case_ends_where_its_controls_begin() -> None:
    row = {"reason": "gap 1e-16; no control: none; control L1 loss: refuted at 0.3", "control": "L1 loss"}
    assert said(row) == "gap 1e-16; no control: none"
    assert said(row | {"control": ""}) == row["reason"]
    assert said({"reason": "control L1 loss: refuted at 0.3", "control": "prior;L1 loss"}) == ""


@pytest.mark.parametrize(("value", "decade"), [(1e-17, -17), (1e-12, -12), (0.1, -1), (1.0, 0), (1e7, 7)])
def test_evidence_lies_on_a_logarithmic_axis(value: float, decade: int) -> None:
    low, high = DECADES
    assert place(value) == pytest.approx((decade - low) / (high - low))


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (-3, 0), (1e-30, 0), ("inf", 1), (1e9, 1), ("", None)])
def test_evidence_beyond_the_axis_lies_at_its_ends(value: object, expected: float | None) -> None:
    assert place(value) == expected
    assert place(float("nan")) is None
