"""Which other network would make the user's sampler right? One with the time turned, or of another target."""

from __future__ import annotations

import time as clock
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from reproflow.auditing.samplers.levels import Coefficients, Levels
from reproflow.foundation.errors import UsageError

PATIENCE = 20.0
"""Seconds of processor time after which no further repair is tried."""

Change = Callable[[Coefficients], Coefficients]


def _target(a: Callable[[Coefficients], np.ndarray], b: Callable[[Coefficients], np.ndarray]) -> Change:
    def change(levels: Coefficients) -> Coefficients:
        a_, b_ = (np.broadcast_to(each(levels), levels.A.shape) for each in (a, b))
        return replace(levels, a=a_, b=b_, target_offset=np.zeros_like(levels.A))

    return change


def _one(levels: Coefficients) -> np.ndarray:
    return np.ones_like(levels.A)


def _none(levels: Coefficients) -> np.ndarray:
    return np.zeros_like(levels.A)


TARGETS: dict[str, Change] = {
    "predicts eps": _target(_none, _one),
    "predicts x1": _target(_one, _none),
    "predicts v = A eps - B x1": _target(lambda c: -c.B, lambda c: c.A),
    "predicts x1 - eps": _target(_one, lambda c: -_one(c)),
    "predicts eps - x1": _target(lambda c: -_one(c), _one),
}


class Changed(Levels):
    """Levels with the time the other way round, or with another target."""

    def __init__(self, levels: Levels, change: Change | None = None, turned: bool = False) -> None:
        self.table, self.low, self.high = levels.table, levels.low, levels.high
        self._levels, self._change, self._turned = levels, change, turned

    def at(self, given: np.ndarray) -> Coefficients:
        """The coefficients that another network would have."""
        found = self._levels.at(self.low + self.high - given if self._turned else given)
        return found if self._change is None else self._change(found)


def _negative(levels: Coefficients) -> Coefficients:
    return replace(levels, a=-levels.a, b=-levels.b, target_offset=-levels.target_offset)


def found(levels: Levels, right: Callable[[Levels], bool]) -> str:
    """The first change that makes the sampler right, in words; nothing where none does."""
    changes = [
        ("is given the time the other way round", Changed(levels, turned=True)),
        ("has the other sign", Changed(levels, _negative)),
        ("has the other sign and is given the time the other way round", Changed(levels, _negative, True)),
        *((words, Changed(levels, change)) for words, change in TARGETS.items()),
    ]
    started = clock.process_time()
    for words, changed in changes:
        if clock.process_time() - started > PATIENCE:
            return ""
        try:
            if right(changed):
                return f"it would be right for a network that {words}"
        except UsageError:
            continue
    return ""
