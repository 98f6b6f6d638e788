"""A judgement of a chain for the terminal: its levels, the weight from one to the next, and what it equals."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

    from reproflow.judge.levels.judgement import LevelsJudgement

ROWS = 9
COLUMNS = 61
DECADES = 6.0
SHOWN = 6


def about(found: LevelsJudgement) -> str:
    """What the weight multiplies, and the levels."""
    what = f"on {found.target}" if found.target != "canonical" else "canonical"
    return f"{what}; {found.process}, {found.schedule}, {found.time} law"


def plot(found: LevelsJudgement) -> list[Text]:
    """w by level, noise on the left, logarithmic over at most six decades; red where it rises towards the data."""
    from rich.text import Text

    points = [
        (place, math.log10(w))
        for place, w in enumerate(reversed(found.canonical["w"]))
        if isinstance(w, float) and w > 0
    ]
    if len(points) < 2:
        return []
    top = max(w for _, w in points)
    bottom = max(min(w for _, w in points), top - DECADES)
    span, index = max(top - bottom, 0.3), found.canonical["index"][::-1]
    pieces = (found.bound["violation"] or {"intervals": []})["intervals"]
    rising = [sorted(index.index(end) for end in piece["levels"]) for piece in pieces]
    cells = [[(" ", "")] * COLUMNS for _ in range(ROWS)]
    for place, w in points:
        row = round((ROWS - 1) * (top - max(w, bottom)) / span)
        up = any(low <= place <= high for low, high in rising)
        cells[row][round((COLUMNS - 1) * place / (len(index) - 1))] = ("•", "red" if up else "green")
    labels = [f"{10 ** (top - span * row / (ROWS - 1)):8.2g} " if row % 4 == 0 else " " * 9 for row in range(ROWS)]
    lines = [Text.assemble("  ", label, ("│", "dim"), *row) for label, row in zip(labels, cells, strict=True)]
    axis = f"{index[0]:<{COLUMNS - 6}}{index[-1]:>6}"
    return [*lines, Text(" " * 11 + "└" + "─" * COLUMNS, style="dim"), Text(f"{' ' * 12}{axis}  index", style="dim")]


def more(found: LevelsJudgement) -> list[tuple[str, str]]:
    """What stands below the verdicts: (key, words)."""
    equal = [f"{each['weighting']} on {each['on']}" for each in found.equivalent]
    also = f"; and {len(equal) - SHOWN} more" if len(equal) > SHOWN else ""
    rows = [("same as", "; ".join(equal[:SHOWN]) + also if equal else "no constant, no registered weighting")]
    if found.bound["advice"]:
        rows.append(("to certify", found.bound["advice"]["text"]))
    if found.stresses:
        low, _, high = found.stresses["index"]
        rows.append(("stresses", f"half of the loss of a network that knows no data lies at index {low} to {high}"))
    return rows
