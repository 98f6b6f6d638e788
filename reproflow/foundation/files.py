"""Files that are whole or absent: written beside their place, flushed, then renamed into it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reproflow.foundation.errors import ReproflowError

CHANGES_NO_NUMBER = "bytes are written and compared as they are"

TEMPORARY = ".part-"


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path in the same folder; on success it is fsynced and renamed to `path`, on failure removed.

    Raises `ReproflowError` with path and errno when the file system refuses (full, read-only, no permission).
    """
    path = Path(path)
    with refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=TEMPORARY, suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            os.chmod(temporary, 0o666 & ~_umask())
            _sync(temporary)
            os.replace(temporary, path)
            _sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def refusals(path: str | Path, action: str = "write", cure: str = "") -> Iterator[None]:
    """Turns what a file system refuses to do with `path` into a `ReproflowError` with path and cause."""
    try:
        yield
    except OSError as error:
        raise refused(path, f"{error.strerror} (errno {error.errno})", action, cure) from error


def refused(path: str | Path, cause: object, action: str = "write", cure: str = "") -> ReproflowError:
    """The error for a file with which nothing can be done."""
    return ReproflowError(f"cannot {action} {path}: {cause}; {cure or 'free space or choose another results folder'}.")


def write_text(path: str | Path, text: str) -> None:
    """Writes text whole."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Writes JSON whole, keys in the order given, NaN refused (use None)."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def remove_leftovers(folder: str | Path) -> None:
    """Removes temporary files that a killed process left in a folder (the caller holds the folder's lock)."""
    for leftover in Path(folder).glob(f"{TEMPORARY}*"):
        leftover.unlink(missing_ok=True)


def entry(path: str | Path) -> dict[str, Any]:
    """What a list of files says of one: its size and SHA-256."""
    return {"size": Path(path).stat().st_size, "sha256": sha256(path)}


def differs(path: Path, listed: dict[str, Any], written: int, read: bool = False) -> str:
    """How a file differs from its entry in a list written at that time (ns), or nothing.

    The bytes are seen with `read`, and where the file is newer than the list; else its size alone. Raises `OSError` for
    a file that is there and cannot be read.
    """
    try:
        about = path.stat()
        if about.st_size != listed["size"]:
            return f"{path.name} has {about.st_size} bytes, not {listed['size']}"
        if (read or about.st_mtime_ns > written) and sha256(path) != listed["sha256"]:
            return f"{path.name} was changed"
    except FileNotFoundError:
        return f"{path.name} is missing"
    return ""


def list_fault(path: Path) -> str:
    """What is wrong with a list of files (name -> entry) that lies beside them, or with a file of it, or nothing."""
    try:
        listed, written = json.loads(path.read_text(encoding="utf-8")), path.stat().st_mtime_ns
        found = (differs(path.parent / name, entry, written) for name, entry in listed.items())
        return next(filter(None, found), "")
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return f"{path.name} cannot be read"


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest(value: Any) -> str:
    """The SHA-256 of a JSON value with sorted keys, hexadecimal."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
