"""Tables as the page lays them out: a name, then numbers, then words; what all rows share is said once, above.

The files under tables/ keep every column; here the same text is arranged for the width of a screen. Nothing is lost:
what is taken out of the columns stands in `same` and `empty`, which the page prints over the table.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from reproflow.analysis.formatting import DASH, axis_word
from reproflow.analysis.results import records

_N = r"[+−-]?(?:\d+\.?\d*(?:e[+−-]?\d+)?|∞)"
# A number as the tables print it: `3.16`, `3.16 ± 0.31`, `<0.001`, `+0.05 [−3.59, +3.69]`, an interval alone.
NUMBER = re.compile(rf"[<>]?(?P<first>{_N})(?: ± {_N})?(?: \[{_N}, {_N}\])?|\[(?P<low>{_N}), {_N}\]")
MISSING = ("", DASH)


@dataclass(frozen=True)
class Column:
    """A column beside the name; `number` where it holds numbers, which stand right and never break."""

    title: str
    number: bool


@dataclass(frozen=True)
class Row:
    """One row: its name, the other parts of its name, and its cells; `place` is its place in the frame."""

    place: int
    name: str
    parts: list[str]
    cells: dict[str, str]
    sort: dict[str, str]


@dataclass(frozen=True)
class Table:
    """What the page shows of a frame. `names`: the headings of a row's name, the main one first."""

    names: list[str]
    columns: list[Column]
    rows: list[Row]
    same: list[tuple[str, str]] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)

    @property
    def lead(self) -> str:
        """What was taken out of the columns, in a sentence or two; nothing where nothing was."""
        same = ", ".join(f"{_lower(title)} {value}" for title, value in self.same)
        empty = ", ".join(map(_lower, self.empty))
        said = [f"The same in every row: {same}." if same else "", f"Empty in every row: {empty}." if empty else ""]
        return " ".join(filter(None, said))

    @property
    def shared(self) -> str:
        """What all rows have, as words that the filter of the table finds."""
        return " ".join(value for _, value in self.same)


def arranged(frame: pd.DataFrame, names: Sequence[str], exact: pd.DataFrame | None = None) -> Table:
    """A frame of text as the page shows it: those of `names` that vary name a row, then numbers, then words.

    A column with one value in all of several rows is said once. A measurement, a number with a decimal point, stays
    where it is: that two of them agree is a finding. `exact` has the full digits to sort by, under the same headings.
    """
    same, empty = _shared(frame)
    names = list(dict.fromkeys(names))
    named = [title for title in names if title in frame and title not in (*same, *empty)]
    if not named:  # rows that nothing tells apart still want a name
        named = [title for title in names if title in frame][:1]
        same.pop(named[0], None)
    others = [title for title in map(str, frame) if title not in (*same, *empty, *names)]
    numeric = [title for title in others if holds_numbers(frame[title])]
    columns = [Column(title, True) for title in numeric]
    columns += [Column(title, False) for title in others if title not in numeric]
    rows = [_row(place, row, named, columns) for place, row in enumerate(records(frame))]
    if exact is not None:
        for row, digits in zip(rows, exact.to_dict("records"), strict=True):
            row.sort.update({title: _digits(value) for title, value in digits.items() if title in row.sort})
    return Table(named, columns, rows, list(same.items()), empty)


def _shared(frame: pd.DataFrame) -> tuple[dict[str, str], list[str]]:
    """The columns with one value in all of several rows, and those without any."""
    same: dict[str, str] = {}
    empty: list[str] = []
    for title in map(str, frame) if len(frame) > 1 else ():
        values = set(frame[title])
        if values <= set(MISSING):
            empty.append(title)
        elif len(values) == 1 and not _measured(only := values.pop()):
            same[title] = only
    return same, empty


def _row(place: int, row: dict[str, Any], names: list[str], columns: list[Column]) -> Row:
    parts = [part(title, row[title]) for title in names[1:] if row[title] not in MISSING]
    cells = {column.title: row[column.title] for column in columns}
    return Row(place, row[names[0]], parts, cells, {c.title: sort_key(cells[c.title]) for c in columns if c.number})


def part(title: str, value: str) -> str:
    """A part of a name in words: a bare number says what it is of, such as `seed 0`."""
    return f"{axis_word(title.lower())}\u00a0{value}" if NUMBER.fullmatch(value) else value


def holds_numbers(values: Iterable[str]) -> bool:
    """Whether any value of a column is a number."""
    return any(NUMBER.fullmatch(value) for value in values)


def alike(rows: Sequence[Mapping[str, Any]], keys: Iterable[str]) -> dict[str, Any]:
    """Those of `keys` that have one value in all of several rows, with it."""
    return {key: rows[0][key] for key in keys if len(rows) > 1 and len({row[key] for row in rows}) == 1}


def _lower(title: str) -> str:
    """A heading within a sentence: `Dataset` becomes `dataset`, `NLL, nats` stays."""
    return title[:1].lower() + title[1:] if title[1:2].islower() else title


def _measured(value: str) -> bool:
    return bool(NUMBER.fullmatch(value)) and "." in value


def sort_key(value: str) -> str:
    """What the page's script sorts a number by: its first number in plain digits, nothing where it is missing."""
    found = NUMBER.fullmatch(value)
    if not found:
        return "" if value in MISSING else value
    return (found["first"] or found["low"]).replace("−", "-").replace("∞", "1e308")


def _digits(value: Any) -> str:
    return "" if isinstance(value, float) and math.isnan(value) else f"{value:.17g}"
