"""The ledger: choosing claims, explaining them, and claims.csv there and back."""

from __future__ import annotations

import collections
import csv
import re
from pathlib import Path
from typing import Any

import pytest

from reproflow.claims import ledger
from reproflow.claims.policy import COLUMNS, Context
from reproflow.foundation import registry
from reproflow.foundation.errors import ReproflowError, UsageError


def row(**changes: Any) -> dict[str, Any]:
    values = dict.fromkeys(COLUMNS, "") | {"id": "X-1", "n": 0, "statistic": 0.1, "tolerance": 1e-13}
    return {**values, "seconds": 1.0, **changes}


def test_ids_choose_claims_in_any_case_and_order() -> None:
    found = {entry.name for entry in ledger.find(["st-9", "loss-1"])}
    assert found == {"ST-9", "LOSS-1", "LOSS-1@mc"}
    assert {entry.name for entry in ledger.find()} >= {"BIL-1", "PATH-3", "PATH-5", "LOSS-5", *found}


def test_the_ledger_is_whole() -> None:
    """65 claims and 26 errata in the exact tier; E22 to E24 are no errata."""
    counts = {"PATH": 10, "LOSS": 12, "BIL": 13, "ST": 16, "TUT": 14}
    claims = {f"{family}-{number}" for family, last in counts.items() for number in range(1, last + 1)}
    errata = {f"E{number:02}" for number in range(1, 30) if number not in (22, 23, 24)}
    assert {entry.name for entry in ledger.find() if entry.meta["claim"].tier == "exact"} == claims | errata
    assert (len(claims), len(errata)) == (65, 26)


def test_the_documentation_counts_what_there_is() -> None:
    root = Path(__file__).parents[2]
    ids = sorted({entry.meta["claim"].id for entry in ledger.find()})
    families = collections.Counter("E" if "-" not in id else id.split("-")[0] for id in ids)
    page = (root / "docs" / "ledger.md").read_text()
    rows = re.findall(r"^\| ([A-Z]+) \| (\d+) \|", page, re.MULTILINE)
    assert {family: int(count) for family, count in rows} == families
    counts = f"{len(ids) - families['E']} claims and {families['E']} errata"
    assert page.split("\n\n")[1].startswith(f"{len(ids)} statements")
    assert counts in page
    assert counts in (root / "README.md").read_text()


def test_unknown_ids_and_tiers_are_usage_errors() -> None:
    with pytest.raises(UsageError, match=r"unknown claim 'LOSS-77'; did you mean 'LOSS-7'\?"):
        ledger.run(["LOSS-77"])
    with pytest.raises(UsageError, match="unknown tier"):
        ledger.run(["LOSS-1"], tier="slow")
    with pytest.raises(UsageError, match="no claim of tier 'mc'"):
        ledger.run(["ST-9"], tier="mc")


def test_a_trained_network_is_asked_for_by_name() -> None:
    rows = ledger.run(["LOSS-1"], tier="mc")
    assert {r["verdict"] for r in rows} == {"inconclusive"}
    assert {r["reason"] for r in rows} == {"needs a trained digits network: pass --network"}


@pytest.mark.parametrize("entry", ledger.find(), ids=lambda entry: entry.name)
def test_every_claim_explains_itself(entry: registry.Entry) -> None:
    found = dict(ledger.statement(entry))
    claim = entry.meta["claim"]
    wanted = {"Statement", "Source"} | (set() if claim.kind == "textual" else {"Assumptions", "Computed", "Refuted by"})
    assert wanted <= set(found)
    assert found[""].startswith(entry.summary)


def test_csv_has_the_columns_sorted_rows_and_all_digits(tmp_path: Path) -> None:
    rows = [row(id="B-1", statistic=1 / 3), row(id="A-1", case="b"), row(id="A-1", case="a", statistic=None)]
    ledger.write_csv(rows, tmp_path / "claims.csv")
    with open(tmp_path / "claims.csv", newline="") as stream:
        lines = list(csv.reader(stream))
    assert tuple(lines[0]) == COLUMNS
    assert [line[0] + line[5] for line in lines[1:]] == ["A-1a", "A-1b", "B-1"]
    statistics = [line[COLUMNS.index("statistic")] for line in lines[1:]]
    assert statistics == ["", "0.10000000000000001", "0.33333333333333331"]


def test_csv_reads_back_as_it_was(tmp_path: Path) -> None:
    rows = [row(case='a "quoted", case', reason="x; y"), row(case="b", statistic="inf", tolerance=None, n=12)]
    ledger.write_csv(rows, tmp_path / "claims.csv")
    back = ledger.read_csv(tmp_path / "claims.csv")
    assert back == [{key: value for key, value in each.items() if key != "seconds"} for each in rows]


@pytest.mark.parametrize(
    "damage", [lambda text: text[:-3], lambda text: text[:-9] + "\n", lambda text: "", lambda text: "a,b\n1,2\n"]
)
def test_a_damaged_csv_is_named(tmp_path: Path, damage) -> None:
    path = tmp_path / "claims.csv"
    ledger.write_csv([row(control="one;two", control_verdict="refuted")], path)
    path.write_text(damage(path.read_text()))
    with pytest.raises(ReproflowError, match=r"claims\.csv"):
        ledger.read_csv(path)


def test_the_same_run_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first.csv", "second.csv"):
        ledger.write_csv(ledger.run(["ST-9", "BIL-1"], context=Context()), tmp_path / name)
    assert (tmp_path / "first.csv").read_bytes() == (tmp_path / "second.csv").read_bytes()
