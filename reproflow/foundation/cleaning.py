"""Removing finished work, so that the next run does it anew, and removing a whole results folder.

Whether results are reproducible shows only where they are computed again: a job that is merely run again finds its
cells in the store. Nothing is removed while another process works on any of it.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from reproflow.foundation import files, fingerprint, grid, store
from reproflow.foundation.errors import UsageError, did_you_mean
from reproflow.foundation.run import Run


def clean(run: Run, stage: str = fingerprint.STAGES[0], keys: Sequence[str] = ()) -> list[Path]:
    """Removes a stage and those that follow from it, of these cells or of all, and returns the removed folders.

    All fingerprints are removed, states of unfinished trainings too. Raises `UsageError` for an unknown stage or cell,
    `InterruptedRun` (exit 75) when another process holds a cell; nothing is removed then.
    """
    _known("stage", [stage], fingerprint.STAGES)
    _known("cell", keys, [cell.key for cell in grid.expand(run.config)])
    stages = fingerprint.STAGES[fingerprint.STAGES.index(stage) :]
    found = [folder for each in stages for folder in sorted((run.folder / "store" / each).glob("*/*"))]
    found = [folder for folder in found if not keys or folder.parent.name in keys]
    _free(found)
    for folder in found:
        with store.locked(folder):
            _remove(folder)
    return found


def remove(run: Run) -> None:
    """Removes a results folder with all that is in it.

    Raises `UsageError` for a folder that no run has written, `InterruptedRun` when a process works in it.
    """
    if not (run.folder / "config.json").is_file():
        raise UsageError(f"{run.folder} is no results folder: it has no config.json; nothing was removed.")
    _free(sorted((run.folder / "store").glob("*/*/*")))
    # What marks it as ours goes last; a link to another disk stays, as an empty folder.
    for path in sorted(run.folder.iterdir(), key=lambda path: path.name == "config.json"):
        _remove(path)
    if not run.folder.is_symlink():
        _remove(run.folder)


def _known(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            shown = ", ".join(known) if len(known) < 8 else "see the column `cell` of cells.csv"
            raise UsageError(f"no {what} {name!r};{did_you_mean(name, known)} known: {shown}.")


def _free(folders: Sequence[Path]) -> None:
    """Raises `InterruptedRun` for the first folder that a process holds. One at a time: open files are few."""
    for folder in folders:
        with store.locked(folder):
            pass


def _remove(path: Path) -> None:
    with files.refusals(path, "remove", "ask its owner"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
