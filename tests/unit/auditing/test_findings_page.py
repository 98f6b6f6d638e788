"""docs/audit_findings.md has a section for each finding, under its level, and no other."""

from __future__ import annotations

import re

import pytest
from repository import ROOT

from reproflow.auditing.findings import LEVELS, Finding, Level
from reproflow.foundation.errors import UsageError

PAGE = (ROOT / "docs" / "audit_findings.md").read_text()
PARTS = {Level.DEFECT: "Defects", Level.QUESTION: "Questions", Level.NOTE: "Notes"}


@pytest.mark.parametrize("level", list(Level))
def test_sections_and_findings_agree(level: Level) -> None:
    (part,) = re.findall(rf"^## {PARTS[level]}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    sections = dict(re.findall(r"^### (\S+)\n(.*?)(?=^### |\Z)", part, re.MULTILINE | re.DOTALL))
    assert list(sections) == [id for id, known in LEVELS.items() if known is level]
    for text in sections.values():
        assert "*Usual cause:*" in text
        assert "*What to do:*" in text


def test_an_unknown_finding_is_none() -> None:
    with pytest.raises(UsageError, match="did you mean 'time-shift'"):
        Finding("time-shifted", "no such")
