"""Why a cell would run again: the parts of its fingerprint that changed since it was last finished."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reproflow.foundation import fingerprint, grid, store
from reproflow.foundation.errors import UsageError, did_you_mean
from reproflow.foundation.fingerprint import SOURCE, SOURCES
from reproflow.foundation.run import Run

ABSENT = "absent"


def why(run: Run, key: str) -> list[str]:
    """Lines that say, stage by stage, whether the cell is finished and otherwise what changed.

    Raises `UsageError` for a cell that the configuration does not have.
    """
    cells = {cell.key: cell for cell in grid.expand(run.config)}
    if key not in cells:
        raise UsageError(
            f"no cell {key!r} in configuration {run.config.name!r};{did_you_mean(key, cells)}"
            " see the column `cell` of cells.csv."
        )
    lines = []
    for stage in fingerprint.STAGES:
        slot = run.slot(stage, cells[key])
        stored = slot.record() or store.newest_record(run.folder, stage, key)
        lines += _stage(stage, slot, stored)
    return lines


def _stage(stage: str, slot: store.Slot, stored: dict[str, Any] | None) -> list[str]:
    if stored is None:
        return [f"{stage}: never finished"]
    if stored["fingerprint"] == slot.fingerprint.value:
        return [f"{stage}: up to date ({slot.fingerprint.value})"]
    changes = changed(stored["parts"], slot.fingerprint.parts)
    return [f"{stage}: will run again, because", *(f"  {change}" for change in changes)]


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What differs between the parts of two fingerprints; of sources, the definitions that are not the same.

    A record of an earlier version has its sources file by file: they cannot be compared with definitions.
    """
    settings = sorted(part for part in before.keys() | now.keys() if not part.startswith(SOURCE) and part != SOURCES)
    lines = [_line(part, before.get(part), now.get(part)) for part in settings if before.get(part) != now.get(part)]
    if SOURCES not in before:
        return [*lines, "sources: recorded by an earlier version of reproflow, file by file"]
    if before[SOURCES] == now[SOURCES]:
        return lines
    definitions = list(_definitions(_sources(before), _sources(now)))
    # Where no definition differs, one of them now calls another of them than before.
    return [*lines, *(definitions or [_line("sources, by what their names stand for", before[SOURCES], now[SOURCES])])]


def _sources(parts: Mapping[str, str]) -> dict[str, str]:
    return {part.removeprefix(SOURCE): value for part, value in parts.items() if part.startswith(SOURCE)}


def _definitions(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """Definitions (`module:name` -> digest) that changed, came or went; one that only lies elsewhere did not."""
    gone = {place: text for place, text in sorted(before.items()) if place not in now}
    new = {place: text for place, text in sorted(now.items()) if place not in before}
    for place in sorted(before.keys() & now.keys()):
        if before[place] != now[place]:
            yield _line(SOURCE + place, before[place], now[place])
    for same_text in (True, False):
        for place, text in list(new.items()):
            origin = next((p for p in gone if _name(p) == _name(place) and (gone[p] == text or not same_text)), None)
            if origin is not None:
                if gone[origin] != text:
                    yield f"{_line(SOURCE + place, gone[origin], text)} (it was {origin})"
                del gone[origin], new[place]
    for place in sorted(gone.keys() | new.keys()):
        yield _line(SOURCE + place, gone.get(place), new.get(place))


def _name(place: str) -> str:
    return place.rpartition(":")[2]


def _line(part: str, before: str | None, now: str | None) -> str:
    return f"{part}: {before or ABSENT} -> {now or ABSENT}"
