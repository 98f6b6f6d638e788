"""What a child has imported before its limits begin: all that its verb needs, and nothing for other verbs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

CODE = """
import json, sys
from reproflow.cli import child_imports
child_imports.import_ahead(json.loads(sys.argv[1]))
print(json.dumps([name for name in json.loads(sys.argv[2]) if name in sys.modules]))
"""
WATCHED = ["torch", "reproflow.judge.training.experiment", "reproflow.learning.preflight"]
AUDITS = ["reproflow.auditing.continuous.instrument", "reproflow.auditing.tokens.instrument"]


@pytest.mark.parametrize(
    ("arguments", "imported"),
    [
        (["check", "time", "own.py:f"], ["torch"]),
        (["check", "weighting", "--train", "--", "own.py:f"], WATCHED[:2]),
        (["resolve", "--config", "a.yaml"], [WATCHED[0], WATCHED[2]]),
        (["audit", "--shape", "8", "--", "own--vocab.py:loss"], [WATCHED[0], AUDITS[0]]),
        (["audit", "--shape=8", "--vocab=9", "--mask=9", "--", "own.py:loss"], [WATCHED[0], AUDITS[1]]),
        (["list"], []),
        (["check", "field"], []),
    ],
)
@pytest.mark.default_cases(2)
def test_what_is_imported_ahead(arguments: list[str], imported: list[str]) -> None:
    command = [sys.executable, "-W", "ignore", "-c", CODE, json.dumps(arguments), json.dumps([*WATCHED, *AUDITS])]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(answer.stdout)
    assert set(imported) <= set(found)
    assert {WATCHED[1], *AUDITS} & set(found) <= set(imported)
    assert bool(found) == bool(imported)
