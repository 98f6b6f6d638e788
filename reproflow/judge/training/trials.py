"""The small problem of each process on which `check --train` compares weightings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reproflow.foundation.by_process import ByProcess


@dataclass(frozen=True)
class Trial:
    """The small problem of a process: about a minute on one core, imports and measuring included.

    `settings` are keys of an `Experiment`, and `caution` says what was trained.
    """

    steps: int
    settings: dict[str, Any]
    caution: str


TRIALS: ByProcess[Callable[[], Trial]] = ByProcess("trial of training", __name__)
"""By process: the problem on which weightings are trained."""
