"""The exit code of a judgement, by the verdicts in it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reproflow import judge
from reproflow.judge.objectives.judgement import Judgement


@pytest.fixture(scope="module")
def sound() -> Judgement:
    found = judge.weighting("uniform")
    assert found.exit_code == 0
    return found


@pytest.mark.parametrize(
    ("admissible", "identified", "code"),
    [
        ("supported", "supported", 0),
        ("inconclusive", "supported", 5),
        ("refuted", "supported", 3),
        ("refuted", "inconclusive", 3),
        ("inconclusive", "refuted", 3),
    ],
)
def test_what_is_refuted_is_not_hidden_by_what_is_open(
    admissible: str, identified: str, code: int, sound: Judgement
) -> None:
    assert replace(sound, admissible={"verdict": admissible}, identified={"verdict": identified}).exit_code == code


@pytest.mark.parametrize(("verdict", "code"), [("same", 0), ("inconclusive", 5), ("different", 3)])
def test_of_a_comparison(verdict: str, code: int, sound: Judgement) -> None:
    refuted = replace(sound, admissible={"verdict": "refuted"}, against={"verdict": verdict})
    assert refuted.exit_code == code
