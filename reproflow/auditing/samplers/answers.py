"""What is answered of a sampler: a defect or a question against it, or why it was not run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reproflow.auditing.samplers.comparison import Compared

TEXTS = {
    "sampler-mismatch": "the sampler does not take the network for what the loss trains: known data do not come out",
    "sampler-sharper": "the sampler favours likely tokens: a temperature, or an order by confidence",
}


def refused(worst: str, more: str, id: str = "sampler-mismatch") -> dict[str, Any]:
    """Known data do not come out: `worst` is the number that is farthest off, `more` what follows from it."""
    evidence = f"{worst}; {more}" if more else worst
    return {
        "verdict": "wrong",
        "reason": evidence,
        "findings": [{"id": id, "text": TEXTS[id], "evidence": evidence}],
    }


def not_run(reason: str) -> dict[str, Any]:
    """Where no minimiser is known."""
    return {
        "verdict": "not run",
        "reason": f"not run: {reason}",
        "steps": None,
        "laws": [],
        "settled": [],
        "findings": [],
    }


def by_law(rows: Sequence[Compared]) -> list[dict[str, Any]]:
    """The compared statistics, law by law, as JSON holds them."""
    names = dict.fromkeys(each.law for each in rows)
    return [{"law": law, "statistics": [each.as_dict() for each in rows if each.law == law]} for law in names]
