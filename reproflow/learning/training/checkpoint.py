"""Checkpoints of one cell: whole or absent, checked, never executed, with the state before kept.

`state.safetensors` holds plain tensors and a header with step, fingerprint, format and a digest; the state before it is
`state.previous.safetensors`. A file that is damaged, of another fingerprint or of another format is never loaded.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from reproflow.foundation.errors import UsageError
from reproflow.foundation.files import refusals
from reproflow.learning.data.tensor_files import read_tensors, write_tensors

CHANGES_NO_NUMBER = "a state is loaded with the bits it was saved with (tests/faults/test_stopped_training.py)"

FORMAT = 1
CURRENT = "state.safetensors"
PREVIOUS = "state.previous.safetensors"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a cell after `step` steps."""

    step: int
    tensors: dict[str, Tensor]


def save(folder: Path, fingerprint: str, checkpoint: Checkpoint) -> None:
    """Replaces the state in `folder`, keeping the one before."""
    current = folder / CURRENT
    with refusals(current):
        if current.exists():
            os.replace(current, folder / PREVIOUS)
    about = {"kind": "state", "format": FORMAT, "fingerprint": fingerprint, "step": checkpoint.step}
    write_tensors(current, checkpoint.tensors, about)


def load(folder: Path, fingerprint: str) -> Checkpoint | None:
    """The newest usable state, or None. Says in the log what it had to pass over."""
    for name in (CURRENT, PREVIOUS):
        path = folder / name
        if not path.exists():
            continue
        try:
            tensors, about = read_tensors(path)
        except UsageError as error:
            log.warning("%s; falling back to the state before it", error)
            continue
        if (about.get("format"), about.get("fingerprint")) != (FORMAT, fingerprint):
            log.warning("%s is of another fingerprint or format; ignored", path)
            continue
        return Checkpoint(about["step"], tensors)
    if any((folder / name).exists() for name in (CURRENT, PREVIOUS)):
        log.warning("no usable state in %s; training starts afresh", folder)
    return None


def clear(folder: Path) -> None:
    """Removes the states of a finished cell."""
    for name in (CURRENT, PREVIOUS):
        with refusals(folder / name, "remove"):
            (folder / name).unlink(missing_ok=True)
