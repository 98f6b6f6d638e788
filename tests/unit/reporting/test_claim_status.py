"""What a claim of several cases came out as: the worst of them."""

from __future__ import annotations

from typing import Any

import pytest
from synthetic_results import claims

from reproflow.reporting.claim_evidence import status

ROWS = claims()
GOOD = ROWS[0]
UNDECIDED = ROWS[1]
WRONG = ROWS[3]
WORDS = ROWS[6]


@pytest.mark.parametrize(
    ("cases", "word"),
    [
        ([GOOD], "as expected"),
        ([GOOD, WORDS], "as expected"),
        ([WORDS], "nothing to compute"),
        ([GOOD, UNDECIDED], "undecided"),
        ([GOOD, WRONG], "surprise"),
        ([UNDECIDED, WRONG], "surprise"),
        ([UNDECIDED | {"control_verdict": "supported"}], "surprise"),
    ],
)
def test_the_worst_case_counts(cases: list[dict[str, Any]], word: str) -> None:
    assert status(cases) == word
