"""What a measure says of itself: heading, unit, margin, what it is of.

`evaluation.measures.measure` registers the functions that compute; what they declare is committed in `names.json`, so
that tables, regression checks and the schema, which only need to know which measures there are, import none of them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from reproflow.foundation import names

CHANGES_NO_NUMBER = "it says what measures are called; the functions that compute them are roots of the fingerprint"


@dataclass(frozen=True)
class Facts:
    """What a measure declares.

    `heading` and `decimals` are for reading. `margin`: a difference in `unit` that does not matter; with `relative` it
    is a fraction of the mean. `of`: whether drawn samples or the network itself are measured, on which kind of `data`.
    `family`: measures that have their input in common, and cannot be had together. `also`: further columns of
    cells.csv that it fills. `features`: whether numbers on different feature networks are different measures.
    `compared`: whether paired comparisons and rankings show it; they read less as better. `primary`: the one that
    networks on such data are trained for. `required`: a cell without it has failed. `usual`: computed where nothing is
    asked for.
    """

    heading: str
    unit: str
    decimals: int
    margin: float
    of: Literal["samples", "network"]
    data: Literal["images", "points"]
    relative: bool = False
    lower_is_better: bool = True
    family: str = ""
    also: tuple[str, ...] = ()
    features: bool = False
    compared: bool = True
    primary: bool = False
    required: bool = False
    usual: bool = True


@dataclass(frozen=True)
class Measure:
    """A registered measure: its name, which is its column, its facts, and where it is computed by process."""

    name: str
    facts: Facts
    where: dict[str, str]


@functools.cache
def known() -> tuple[Measure, ...]:
    """Every registered measure, in the order of the columns: the usual ones first."""
    found: dict[str, Measure] = {}
    for row in names.known():
        if row.kind == "measure":
            facts = Facts(**row.facts | {"also": tuple(row.facts["also"])})
            measure = found.setdefault(row.name, Measure(row.name, facts, {}))
            found[row.name] = replace(measure, where=measure.where | {row.process: row.where})
    return tuple(sorted(found.values(), key=lambda measure: not measure.facts.usual))


def facts(name: str) -> Facts:
    """What the measure of that name declares. Raises `KeyError` for a name that is none."""
    return _by_name()[name]


@functools.cache
def _by_name() -> dict[str, Facts]:
    return {measure.name: measure.facts for measure in known()}


def columns(name: str) -> tuple[str, ...]:
    """A measure's columns of cells.csv: the number, its standard error, and what it fills besides."""
    return name, f"{name}_se", *facts(name).also


def usual() -> tuple[str, ...]:
    """The measures that are computed where nothing is asked for."""
    return tuple(measure.name for measure in known() if measure.facts.usual)


def further() -> tuple[str, ...]:
    """The measures that are computed only where a configuration asks for them."""
    return tuple(measure.name for measure in known() if not measure.facts.usual)


def family(name: str) -> tuple[str, ...]:
    """The measures of a family."""
    return tuple(measure.name for measure in known() if measure.facts.family == name)


def compared(columns: Iterable[str]) -> tuple[str, ...]:
    """Of the columns of a table of cells, the measures that comparisons and rankings show, in their order."""
    present = set(columns)
    return tuple(each.name for each in known() if each.facts.compared and each.name in present)


def held() -> tuple[str, ...]:
    """The measures that regression checks hold to their margins: those of which less is better."""
    return tuple(each.name for each in known() if each.facts.lower_is_better)


def primary(data: str | None = None) -> tuple[str, ...]:
    """The measures that networks are trained for, on this kind of data or on any."""
    return tuple(m.name for m in known() if m.facts.primary and data in (None, m.facts.data))


def chosen(process: str, images: bool, asked: Iterable[str] = ()) -> tuple[Measure, ...]:
    """The measures of a cell of this process: the usual ones and those asked for, on its kind of data."""
    data, wanted = "images" if images else "points", set(asked)
    return tuple(
        each
        for each in known()
        if process in each.where and each.facts.data == data and (each.facts.usual or each.name in wanted)
    )


def places(process: str, asked: Iterable[str] = ()) -> list[str]:
    """Where the usual measures of a process, and those asked for, are defined: what an evaluation looks up by name."""
    wanted = set(asked)
    return sorted(
        {each.where[process] for each in known() if process in each.where and (each.facts.usual or each.name in wanted)}
    )
