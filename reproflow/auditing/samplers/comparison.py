"""What samples have against what their law has, and what chance and discretisation allow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from reproflow.auditing.samplers.minimisers import Statistic

CHANCE = 5.0
"""Standard errors that chance is allowed."""
DISCRETISATION = 1.5
"""Times the change when steps are doubled: what a method of first order has left is once that change."""
WITHOUT_STEPS = 3.0
"""Times the floor where the steps cannot be doubled."""
FIRST_ORDER = 8.0
"""Of its size, times the calls of the network: the most by which a narrow law's width is off where steps are few."""
COARSE = 0.3
"""Of its own size: a statistic that may be off by more settles nothing."""
VAGUE = 1
"""So many statistics may settle nothing: a narrow law is coarse for a method of few steps, and a wide one is not."""


@dataclass(frozen=True)
class Compared:
    """One statistic of samples of a law: at the sampler's own number of steps, and at twice as many if it has them."""

    law: str
    name: str
    wanted: float
    found: float
    doubled: float | None
    allowed: float
    size: float

    @property
    def value(self) -> float:
        """The statistic where the steps are finest."""
        return self.found if self.doubled is None else self.doubled

    @property
    def off(self) -> float:
        """The error by what is allowed: wrong above 1."""
        error = abs(self.value - self.wanted)
        return error / self.allowed if math.isfinite(error) and math.isfinite(self.allowed) else math.inf

    def as_dict(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        return {key: value for key, value in asdict(self).items() if key not in ("law", "size")}


def compared(law: str, statistic: Statistic, runs: Sequence[Tensor], calls: int) -> Compared:
    """A statistic of the samples at the sampler's own steps and, if there is a second run, at twice as many.

    Where there is none, what `calls` of the network leave of a method of first order is allowed.
    """
    values = [float(statistic.of(samples)) for samples in runs]
    allowed = CHANCE * statistic.spread / math.sqrt(runs[0].numel())
    if len(values) > 1:
        allowed += statistic.floor + DISCRETISATION * abs(values[1] - values[0])
    else:
        allowed += WITHOUT_STEPS * statistic.floor + FIRST_ORDER * statistic.size / calls
    doubled = values[1] if len(values) > 1 else None
    return Compared(law, statistic.name, statistic.wanted, values[0], doubled, allowed, statistic.size)


def verdict(rows: Sequence[Compared]) -> tuple[str, str]:
    """right, wrong or undecided (too coarse to tell), and the statistic that is farthest off, in words."""
    worst = max(rows, key=lambda each: each.off)
    words = f"{worst.name} {worst.value:.3g} for {worst.wanted:.3g} of {worst.law}"
    if worst.off > 1:
        return "wrong", words
    vague = [each for each in rows if each.allowed > COARSE * each.size]
    return ("undecided" if len(vague) > VAGUE else "right"), words
