"""Plots in the terminal: high above low, noise on the left, red where a weight rises."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from rich.text import Text

from reproflow.cli import check_levels_terminal, check_terminal

NOTHING = {"violation": None}


def dots(lines: list[Text]) -> list[tuple[int, int, str]]:
    """Column, row and colour of every dot of a plot, from left to right."""
    found = []
    for row, line in enumerate(lines):
        for span in line.spans:
            if line.plain[span.start : span.end] == "•":
                found.append((span.start, row, str(span.style)))
    return sorted(found)


def test_a_weight_over_lam() -> None:
    """Falls over three decades, rises over two."""
    lam = np.linspace(-10, 10, 21)
    w = 10 ** np.where(lam <= 0, -0.3 * (lam + 10), -3 + 0.2 * lam)
    rises = {"violation": {"intervals": [{"lam": [0.5, 10.0]}]}}
    found = dots(check_terminal._plot(SimpleNamespace(curve=(lam, w), bound=rises)))
    assert len(found) == 21
    rows = [row for _, row, _ in found]
    assert (rows[0], rows[10]) == (0, check_terminal.ROWS - 1)
    assert rows[:11] == sorted(rows[:11])
    assert rows[10:] == sorted(rows[10:], reverse=True)
    assert [colour for *_, colour in found] == ["green"] * 11 + ["red"] * 10


def test_a_weight_over_levels() -> None:
    """Index 0 is at the data: the noise, with the largest weight, is on the left."""
    rises = {"violation": {"intervals": [{"levels": [2, 0]}]}}
    canonical = {"w": [1.0, 0.5, 0.25, 10.0, 100.0], "index": [0, 1, 2, 3, 4]}
    found = dots(check_levels_terminal.plot(SimpleNamespace(canonical=canonical, bound=rises)))
    assert [colour for *_, colour in found] == ["green", "green", "red", "red", "red"]
    rows = [row for _, row, _ in found]
    assert (rows[0], max(rows)) == (0, rows[2])


def test_nothing_to_draw() -> None:
    lam = np.linspace(-1, 1, 3)
    for w in (np.full(3, np.nan), np.array([0.0, 0.0, 1.0])):
        assert check_terminal._plot(SimpleNamespace(curve=(lam, w), bound=NOTHING)) == []


def test_a_density_as_bars() -> None:
    found = SimpleNamespace(density_at={"t": [0.1, 0.5, 0.8, 0.9], "pi": [2.0, 1.0, "inf", None]})
    lines = [line.plain for line in check_terminal._density_plot(found)]
    bars = [line.count(check_terminal.BAR) for line in lines]
    assert bars[:2] == [check_terminal.COLUMNS, round(check_terminal.COLUMNS / 2)]
    assert lines[1].startswith("  π(0.5) ")
    assert lines[1].endswith(" 1")
    assert lines[2].endswith("an atom")
    assert lines[3].endswith(" -")


@pytest.mark.parametrize(
    ("word", "colour"),
    [("supported", "green"), ("certified", "green"), ("refuted", "red"), ("falsified", "red"),
     ("not_representable", "red"), ("inconclusive", "yellow"), ("different", "red")],
)  # fmt: skip
def test_a_verdict_has_the_colour_of_what_it_says(word: str, colour: str) -> None:
    assert check_terminal.STYLES[word].endswith(colour)


def test_verdicts_are_the_fields_with_verdict_and_reason() -> None:
    found = SimpleNamespace(spec="x", bound={"verdict": "certified", "reason": "falls"}, variance={"reason": "finite"})
    assert check_terminal.verdicts(found) == [("bound", found.bound)]
