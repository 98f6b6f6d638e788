"""Why a cell would run again: the parts of its fingerprint that changed since it was last finished."""

from __future__ import annotations

from reproflow.foundation import fingerprint, grid, store
from reproflow.foundation.errors import UsageError, did_you_mean
from reproflow.foundation.run import Run


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
