"""Judgements of divergences that are checked against their schema, for several files of tests."""

from __future__ import annotations

import json

from repository import schema

from reproflow import judge
from reproflow.judge import DivergenceJudgement

SCHEMA = schema("check-divergence")


def judged(spec: str) -> DivergenceJudgement:
    """The judgement; what it says must fit the schema, and its two gradient answers each other."""
    found = judge.divergence(spec)
    SCHEMA.validate(json.loads(json.dumps(found.as_dict(), allow_nan=False)))
    gap = found.gradient["relative_gap"]
    assert (found.gradient["verdict"] == "supported") == (gap != "inf" and gap <= 1e-8)
    assert found.exit_code == (0 if verdicts(found) == ("supported", "supported") else 3)
    return found


def verdicts(found: DivergenceJudgement) -> tuple[str, str]:
    return found.gradient["verdict"], found.identified["verdict"]
