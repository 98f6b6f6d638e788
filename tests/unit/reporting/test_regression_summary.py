"""A comparison with a baseline in words: which rows are told, how they are counted, and what was required."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from reproflow.analysis.regression_check import Comparison
from reproflow.analysis.shifts import UNTOUCHED, Row
from reproflow.numerics.simultaneous import NOT_SEPARATED, NOT_WORSE, WORSE
from reproflow.reporting import sections
from reproflow.reporting.regression_summary import LISTED, markdown, undecided


def row(what: str, verdict: str) -> Row:
    return Row(what, "fid_test", 1, "3", 1.0, 1.5, 0.5, 0.1, verdict, low=0.4, high=0.6, spread=1.0, p=0.01)


def comparison(*rows: Row, vanished: tuple[str, ...] = ()) -> Comparison:
    return Comparison("main", "mine", True, (3, 3), 0.05, rows, (), vanished, (), (), ())


SAME = [row(f"same {i}", UNTOUCHED) for i in range(3)]
OPEN = row("open", NOT_SEPARATED)
FINE = row("fine", NOT_WORSE)
BAD = row("bad", WORSE)


def test_changed_rows_are_told_and_untouched_ones_counted() -> None:
    text = markdown(comparison(*SAME, BAD, FINE))
    above, below = text.split("<details>")
    assert text.startswith("### mine against baseline main: REGRESSION")
    assert "1 of 2 compared rows are worse" in above
    assert "3 more are untouched" in above
    assert "| bad |" in above
    assert "**worse" in above
    assert "same 0" not in above
    assert "same 0" in below


def test_the_heading_is_the_exit_code_of_what_was_required() -> None:
    found = comparison(*SAME, OPEN)
    assert "no regression found" in markdown(found).splitlines()[0]
    required = markdown(found, requirement="not-worse")
    assert "cannot decide" in required.splitlines()[0]
    assert "1 rows do not show it" in required
    assert "cannot decide" in undecided("mine", "main", "no baseline")


def test_a_long_list_says_how_many_are_left_out() -> None:
    names = tuple(f"cell {i}" for i in range(LISTED + 5))
    text = markdown(comparison(FINE, vanished=names))
    assert f"**Vanished** ({len(names)}):" in text
    assert f"- cell {LISTED - 1}\n- and 5 more" in text
    assert "- and" not in markdown(comparison(FINE, vanished=names[:LISTED]))


def test_the_page_shows_the_first_changed_rows(tmp_path: Path) -> None:
    rows = [*SAME, *(row(f"bad {i}", WORSE) for i in range(4))]
    found = {"rows": [asdict(each) for each in rows], "exit_code": 4}
    assert sections.regression(tmp_path) == {}
    (tmp_path / "regression.json").write_text(json.dumps(found))
    shown = sections.regression(tmp_path, shown=2)
    assert [each["what"] for each in shown["shown"]] == ["bad 0", "bad 1"]
    assert (shown["untouched"], shown["state"]) == (3, "REGRESSION")
