"""The cell store: finished work, keyed by what it depends on.

A finished stage of a cell lies in `<results>/store/<stage>/<cell>/<fingerprint>/`, outside what Snakemake declares, so
that neither a failed job nor a re-cut shard loses it. `record.json` is written last and makes the folder finished; it
holds the parts of the fingerprint and a digest of its own content, so that a file from another configuration or an
edited one is told from a true one.
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
from typing import Any

from reproflow.foundation import files
from reproflow.foundation.errors import InterruptedRun
from reproflow.foundation.fingerprint import Fingerprint


@dataclass(frozen=True)
class Slot:
    """The place of one stage of one cell."""

    folder: Path
    fingerprint: Fingerprint

    @property
    def record_path(self) -> Path:
        return self.folder / "record.json"

    def record(self) -> dict[str, Any] | None:
        """The finished record, or None where there is none, or it is damaged, edited or of another fingerprint."""
        stored = read_record(self.record_path)
        return stored if stored and stored["fingerprint"] == self.fingerprint.value else None

    def finish(self, values: dict[str, Any]) -> None:
        """Marks the slot finished with these values."""
        body = {"fingerprint": self.fingerprint.value, "parts": self.fingerprint.parts, **values}
        files.write_json(self.record_path, body | {"digest": files.digest(body)})

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the slot for this process. Raises `InterruptedRun` (exit 75) when another one has it.

        The lock is the kernel's (flock), so it is free as soon as its holder is gone, however it went.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "lock", "a+", encoding="utf-8") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                stream.seek(0)
                raise InterruptedRun(
                    f"{self.folder} is locked by {stream.read() or 'another process'}; wait for it, then run again."
                ) from None
            stream.truncate(0)
            stream.write(f"pid {os.getpid()} on host {socket.gethostname()}")
            stream.flush()
            files.remove_leftovers(self.folder)
            yield


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
