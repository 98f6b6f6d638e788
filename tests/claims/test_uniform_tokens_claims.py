"""The cases that tokens under uniform noise add to BIL-2 and BIL-4, and what their controls break."""

from __future__ import annotations

import pytest

from reproflow.claims import ledger
from reproflow.claims.generator_matching import converse, theorem
from reproflow.claims.policy import Claim, Context, row_ok, run_claim
from reproflow.foundation import registry

CASES = {"BIL-2": 14, "BIL-4": 16}


def added(id: str) -> registry.Entry:
    ledger.load()
    return registry.get("claim", id, "uniform_tokens")


@pytest.mark.parametrize("id", CASES)
def test_every_row_is_as_expected_and_every_control_bites(id: str) -> None:
    rows = run_claim(added(id), Context())
    assert len(rows) == CASES[id]
    for row in rows:
        assert row_ok(row), (row["case"], row["verdict"], row["reason"])
        decided = [float(text) for text in row["control_statistic"].split(";")]
        assert all((each > 1e-3) == (row["expected"] == "supported") for each in decided), row["case"]


@pytest.mark.parametrize(("id", "module"), [("BIL-2", theorem), ("BIL-4", converse)])
def test_the_cases_are_further_ones_of_the_same_claim(id: str, module: object) -> None:
    first, further = registry.get("claim", id, "any").meta["claim"], added(id).meta["claim"]
    assert isinstance(first, Claim)
    assert isinstance(further, Claim)
    assert first.function.__module__ == module.__name__  # type: ignore[attr-defined]
    assert not set(first.cases()) & set(further.cases())
    assert (first.id, first.tier, first.kind) == (further.id, further.tier, further.kind)
    assert not any("uniform" in case for case in first.cases())


def test_asking_for_the_claim_gives_both() -> None:
    found = [(entry.name, entry.process) for entry in ledger.find(["BIL-2"])]
    assert found == [("BIL-2", "any"), ("BIL-2", "uniform_tokens")]


def test_the_page_states_the_claim_and_not_one_processs_cases() -> None:
    from reproflow.reporting import claim_evidence

    (group,) = claim_evidence.groups(run_claim(added("BIL-4"), Context()))
    assert dict(group["statement"])["Statement"].startswith("for a loss with a continuous gradient in b")
