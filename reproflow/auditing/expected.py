"""The objective that a loss is meant to be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Expected:
    """The objective that a loss is meant to be, as on the command line of `check weighting`.

    Without a path it is on the one that is measured (tokens: the linear one).
    """

    weighting: str
    on: str | None = None
    path: str | None = None
    time: str = "uniform"
