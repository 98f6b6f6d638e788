"""Why a cell would run again: the parts of its fingerprint that changed since it was last finished."""

from __future__ import annotations

from reproflow.foundation import fingerprint, grid, store
from reproflow.foundation.errors import UsageError, did_you_mean
from reproflow.foundation.results import Results


def why(results: Results, key: str) -> list[str]:
    """Lines that say, stage by stage, whether the cell is finished and otherwise what changed.

    Raises `UsageError` for a cell that the configuration does not have.
    """
    cells = {cell.key: cell for cell in grid.expand(results.config)}
    if key not in cells:
        raise UsageError(
            f"no cell {key!r} in configuration {results.config.name!r};{did_you_mean(key, cells)}"
            " see the column `cell` of cells.csv."
        )
    lines = []
    for stage in fingerprint.STAGES:
        slot = results.slot(stage, cells[key])
        stored = slot.record() or store.newest_record(results.folder, stage, key)
        lines += _stage(stage, slot, stored)
    return lines


def _stage(stage: str, slot: store.Slot, stored: dict | None) -> list[str]:
    if stored is None:
        return [f"{stage}: never finished"]
    if stored["fingerprint"] == slot.fingerprint.value:
        return [f"{stage}: up to date ({slot.fingerprint.value})"]
    before, now = stored["parts"], slot.fingerprint.parts
    changes = [f"{stage}: will run again, because"]
    for part in sorted(before.keys() | now.keys()):
        if before.get(part) != now.get(part):
            changes.append(f"  {part}: {before.get(part, 'absent')} -> {now.get(part, 'absent')}")
    return changes
