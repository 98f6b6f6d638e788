"""The cell store: finished work, keyed by what it depends on.

A finished stage of a cell lies in `<results>/store/<stage>/<cell>/<fingerprint>/`, outside what Snakemake declares, so
that neither a failed job nor a re-cut shard loses it. `record.json` is written last and makes the folder finished; it
holds the parts of the fingerprint, size and SHA-256 of every file it vouches for, and a digest of its own content, so
that a file from another configuration, an edited one, or one cut short is told from a true one. A record whose files
are not as it says vouches for nothing: its stage is done again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from reproflow.foundation import files
from reproflow.foundation.errors import InterruptedRun
from reproflow.foundation.fingerprint import Fingerprint

CHANGES_NO_NUMBER = "files and records are kept as they were handed over"


@dataclass(frozen=True)
class Slot:
    """The place of one stage of one cell."""

    folder: Path
    fingerprint: Fingerprint

    @property
    def record_path(self) -> Path:
        return self.folder / "record.json"

    def record(self, read: bool = False) -> dict[str, Any] | None:
        """The finished record, or None where there is none, or it is damaged, edited or of another fingerprint, or its
        files are not those it was written for.

        Sizes are always seen. A file's bytes are seen with `read`, and where the file is newer than the record.
        """
        stored = self._stored()
        try:
            return stored if stored and not self.fault(stored, read) else None
        except OSError:
            return None

    def fault(self, stored: dict[str, Any], read: bool = False) -> str:
        """What is wrong with the files of a record, or nothing. A record that lists none was written by an older
        version, of another fingerprint."""
        if "files" not in stored:
            return "its record lists no files"
        written = self.record_path.stat().st_mtime_ns if stored["files"] else 0
        found = (files.differs(self.folder / name, entry, written, read) for name, entry in stored["files"].items())
        return next(filter(None, found), "")

    def finish(self, values: dict[str, Any], *written: str) -> None:
        """Marks the slot finished with these values and the files of these names, which it holds."""
        listed = {name: files.entry(self.folder / name) for name in written}
        body = {"fingerprint": self.fingerprint.value, "parts": self.fingerprint.parts, "files": listed, **values}
        files.write_json(self.record_path, body | {"digest": files.digest(body)})

    def withdraw(self) -> str:
        """Removes a record whose files, read whole, are not as it says, and says what is wrong with them; else nothing.

        What is withdrawn is done again by the next run, which sees sizes only. A file that cannot be read proves
        nothing: `ReproflowError`.
        """
        with files.refusals(self.folder, "read", "ask its owner"):
            if not self._wrong():
                return ""
        with self.locked(), files.refusals(self.record_path):
            if wrong := self._wrong():
                self.record_path.unlink(missing_ok=True)
            return wrong

    def _wrong(self) -> str:
        stored = self._stored()
        return self.fault(stored, read=True) if stored else ""

    def _stored(self) -> dict[str, Any] | None:
        stored = read_record(self.record_path)
        return stored if stored and stored["fingerprint"] == self.fingerprint.value else None

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Holds the slot for this process; see `locked` below."""
        return locked(self.folder)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds a slot's folder for this process. Raises `InterruptedRun` (exit 75) when another one has it.

    The lock is the kernel's (flock), so it is free as soon as its holder is gone, however it went.
    """
    lock = folder / "lock"
    with files.refusals(lock):
        folder.mkdir(parents=True, exist_ok=True)
        stream = open(lock, "a+", encoding="utf-8")  # noqa: SIM115 (closed below, outside of what is refused here)
    with contextlib.closing(stream):
        _hold(stream, folder)
        with files.refusals(lock):
            stream.truncate(0)
            stream.write(f"pid {os.getpid()} on host {socket.gethostname()}")
            stream.flush()
            files.remove_leftovers(folder)
        yield


def _hold(stream: TextIO, folder: Path) -> None:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stream.seek(0)
        raise InterruptedRun(
            f"{folder} is locked by {stream.read() or 'another process'}; wait for it, then run again."
        ) from None


def slot(results: Path, stage: str, key: str, fingerprint: Fingerprint) -> Slot:
    """The slot of a stage of the cell `key` at this fingerprint."""
    return Slot(Path(results) / "store" / stage / key / fingerprint.value, fingerprint)


def read_record(path: Path) -> dict[str, Any] | None:
    """A record whose digest matches its content, else None."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        body = {key: value for key, value in stored.items() if key != "digest"}
        return stored if stored["digest"] == files.digest(body) else None
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None


def newest_record(results: Path, stage: str, key: str) -> dict[str, Any] | None:
    """The record of a cell's stage that was finished last, whatever its fingerprint."""
    found = sorted((Path(results) / "store" / stage / key).glob("*/record.json"), key=lambda path: path.stat().st_mtime)
    return next((record for path in reversed(found) if (record := read_record(path))), None)
