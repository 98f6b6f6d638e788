"""Words and numbers as people read them, in tables, captions and on the page; the CSVs hold every digit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from reproflow.foundation import measures

# metric -> its heading, and the decimals shown in prose tables (the CSV is never rounded)
HEADINGS = {each.name: (each.facts.heading, each.facts.decimals) for each in measures.known() if each.facts.compared}
# noun -> what it is called in prose
AXIS_WORDS = {"time": "time law"}
# what a noun is where nothing else is said; labels leave it out
USUAL = {"path": "linear", "time": "uniform", "coupling": "independent", "divergence": "squared"}
DASH = "–"


def axis_word(axis: str) -> str:
    """The axis of a comparison in prose: weighting, time law, path, .."""
    return AXIS_WORDS.get(axis, axis)


def label(names: Mapping[str, Any], keys: Iterable[str] = ("path", "time")) -> str:
    """A weighting, and what is unusual among `keys`: `uniform`, `uniform · vp path`, `uniform · mode law`."""
    said = [(key, text(names[key])) for key in keys if names[key] not in ("", USUAL.get(key))]
    return " · ".join([names["weighting"], *(f"{value} {'law' if key == 'time' else key}" for key, value in said)])


def number(value: float, decimals: int | None = None, signed: bool = False, digits: int = 4) -> str:
    """A number for reading: fixed decimals, else significant digits; a dash where there is none."""
    if math.isnan(value):
        return DASH
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if signed and value == 0:
        return "0"
    sign = "+" if signed else ""
    form = f".{digits}g" if decimals is None else f".{decimals}f"
    if decimals is not None and value != 0 and round(value, decimals) == 0:
        form = ".1g"  # never reads as zero: "−0.00" would hide on which side of zero an interval ends
    return f"{value:{sign}{form}}".replace("-", "−")


def p_text(value: float) -> str:
    """A p-value for reading; never "0"."""
    return "<0.001" if value < 1e-3 else number(value, 3)


def with_error(row: dict[str, Any], decimals: int) -> str:
    """A paired difference with its standard error, where it has one."""
    error = row["difference_se"]
    found = number(row["difference"], decimals, True)
    return found if math.isnan(error) else f"{found} ± {number(error, decimals)}"


def interval(row: dict[str, Any], decimals: int) -> str:
    """`[low, high]` of a difference, or a dash."""
    if math.isnan(row["difference_low"]):
        return DASH
    return f"[{number(row['difference_low'], decimals, True)}, {number(row['difference_high'], decimals, True)}]"


def text(value: Any) -> str:
    """Any value of a table for reading: whole numbers without a point, a dash where there is none."""
    if value == "" or (isinstance(value, float) and math.isnan(value)):
        return DASH
    if isinstance(value, float):
        return f"{int(value)}" if value == int(value) and abs(value) < 1e9 else number(value)
    return str(value)


def plural(n: int, noun: str) -> str:
    """`1 cell`, `2 cells`, `2 classes`."""
    if n == 1:
        return f"{n} {noun}"
    ending = "es" if noun.endswith("s") else "s"
    return f"{n} {noun}{ending}"


def listed(words: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
