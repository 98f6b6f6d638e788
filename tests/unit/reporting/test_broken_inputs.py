"""The page of broken, empty and missing files: it renders and names what it lacks."""

from __future__ import annotations

from pathlib import Path

import pytest
from html_page import Page

from reproflow.reporting.figures import figures
from reproflow.reporting.html import write_report

INPUTS = ("cells.csv", "claims.csv", "curves.csv", "timings.csv", "provenance.json", "config.json")


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("damage", ["gone", "empty", "cut"])
@pytest.mark.default_cases(4)
def test_page_renders_and_names_what_is_broken(reported_copy: Path, name: str, damage: str) -> None:
    path = reported_copy / name
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(b"" if damage == "empty" else content[: len(content) * 2 // 3 - 1])
    text = Page(write_report(reported_copy)).text
    assert "Missing, or broken and left out" in text
    assert name in text
    assert "How to read a verdict" in text


def test_page_of_an_empty_folder_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "timings.csv").touch()
    text = Page(write_report(tmp_path)).text
    assert "timings.csv : empty" in text
    for name in (*(each for each in INPUTS if each != "timings.csv"), *(f"figures/{figure}" for figure in figures())):
        assert f"{name} : not there" in text
    assert "There is no ledger of claims." in text
    assert "passes" not in text


def test_a_clean_run_misses_nothing(reported: Path) -> None:
    assert not [
        attributes for _, attributes in Page(reported / "report.html").tags if attributes.get("id") == "missing"
    ]
