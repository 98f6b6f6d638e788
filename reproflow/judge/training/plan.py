"""How much `check --train` trains; apart from what does it, so that a check without training imports none of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SEEDS = 8
"""The fewest pairs that are told apart: `numerics.relabelling.FEWEST_PAIRS`."""


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Plan:
    """How much is trained: `seeds` of each arm, `steps` (by process if None), files in `folder` (none if None).

    `alive` is called now and then, so that a host can tell slow work from a loop without an end.
    """

    seeds: int = SEEDS
    steps: int | None = None
    folder: Path | None = None
    alive: Callable[[], None] = _nothing
