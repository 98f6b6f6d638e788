r"""The levels of a measured loss as they are named: data standardised, signs settled, without ends that have no lam.

Data in [LO, HI] is x1 = (LO + HI)/2 + h z with h = (HI - LO)/2 and z in [-1, 1]: on z the state has h A, the target h
a, so that the scale of the data shifts lam by 2 log h. A state -S is as good as S, and noise -eps as eps: A and B are
made positive.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from reproflow.auditing.measured_loss import Columns, MeasuredLoss, Times

TIGHTEST = 3e-4
LOOSEST = 2e-2
SAFETY = 10
"""How many times the measured residual an error has to be before it counts."""
FARTHEST = 40.0
"""The log-SNR beyond which a level is pure data or pure noise."""


@dataclass(frozen=True)
class Levels(Columns):
    """The levels of `whole` with a finite lam, ascending, and their `law` (P,) as there.

    `kept` are their places in `whole`, which holds all levels, standardised, from the noise to the data.
    """

    law: np.ndarray
    whole: MeasuredLoss
    kept: np.ndarray

    def __len__(self) -> int:
        return len(self.A)

    @property
    def times(self) -> Times:
        """How the levels were read."""
        return self.whole.times

    @property
    def ratio(self) -> np.ndarray:
        """sigma/alpha, (P,)."""
        return self.B / self.A

    @property
    def determinant(self) -> np.ndarray:
        """Delta = a B - b A, (P,)."""
        return self.a * self.B - self.b * self.A

    @property
    def sine(self) -> np.ndarray:
        """The sine of the angle between the target and the state as vectors of (x1, eps), (P,)."""
        size = np.hypot(self.a, self.b) * np.hypot(self.A, self.B)
        return self.determinant / np.where(size > 0, size, 1.0)

    @property
    def eps_coefficient(self) -> np.ndarray:
        """c_eps = c (Delta/A)², (P,)."""
        return self.c * (self.determinant / self.A) ** 2

    @property
    def x1_coefficient(self) -> np.ndarray:
        """c_x = c (Delta/B)², (P,)."""
        return self.c * (self.determinant / self.B) ** 2

    @property
    def tolerance(self) -> float:
        """The relative error up to which a state or a target is one that has a name."""
        measured = max(self.whole.state_error, self.whole.target_error)
        return min(max(TIGHTEST, SAFETY * measured), LOOSEST)

    @property
    def precision(self) -> np.ndarray:
        """How far off c_eps may be, relative to itself, for the residuals of the three readings, (P,)."""
        state, target = self.whole.state_error, self.whole.target_error
        parts = np.abs(self.a * self.B) + np.abs(self.b * self.A)
        with np.errstate(divide="ignore", invalid="ignore"):
            lost = np.nan_to_num(parts / np.abs(self.determinant), posinf=1e12)
        size = np.hypot(self.A, self.B)
        return self.whole.coefficient_error + 2 * (state + target) * lost + 2 * state * size / self.A

    @property
    def blur(self) -> np.ndarray:
        """How far off the log-SNR may be by the rounding of the state, (P,)."""
        size = np.hypot(self.A, self.B)
        return 2 * max(self.whole.state_error, 1e-16) * size * (1 / self.A + 1 / self.B)

    @property
    def cumulative(self) -> np.ndarray:
        """The mass of the times up to the middle of each level in lam, in (0, 1), (P,)."""
        if self.times is not Times.STEPS:
            return self.law
        whole = self.whole
        if whole.complete:
            return (np.cumsum(whole.law) - 0.5 * whole.law)[self.kept]
        place, count = self.places
        return (place + 0.5) / count

    @property
    def places(self) -> tuple[np.ndarray, int]:
        """The place of each step, counted from the noise, and how many steps there are, by their equal probability."""
        assert self.whole.steps is not None
        steps = self.whole.steps.astype(float)
        if self.whole.complete:
            return np.arange(len(steps), dtype=float)[self.kept], len(steps)
        count = round(1 / float(np.median(self.whole.law)))
        place = steps - steps.min() if steps[-1] > steps[0] else steps.max() - steps
        return place[self.kept], max(count, int(place.max()) + 1)


def levels_of(measured: MeasuredLoss, data: tuple[float, float] | None = None) -> Levels:
    """The levels of a loss, of standardised data where `data` is the range that it has."""
    whole = _ordered(_standardised(measured, data))
    with np.errstate(divide="ignore", invalid="ignore"):
        lam = 2 * np.log(whole.A / whole.B)
    parts = (whole.A, whole.B, whole.a, whole.b, whole.c)
    finite = np.all([np.isfinite(each) for each in parts], axis=0)
    kept = np.flatnonzero(finite & np.isfinite(lam) & (np.abs(lam) < FARTHEST))
    return Levels(**whole.columns(kept), law=whole.law[kept], whole=whole, kept=kept)


def _standardised(measured: MeasuredLoss, data: tuple[float, float] | None) -> MeasuredLoss:
    low, high = data or (-1.0, 1.0)
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    sign, noise = np.where(measured.A < 0, -1.0, 1.0), np.where(measured.A * measured.B < 0, -1.0, 1.0)
    return replace(
        measured,
        A=sign * half * measured.A,
        B=sign * noise * measured.B,
        offset=sign * (measured.offset + middle * measured.A),
        a=half * measured.a,
        b=noise * measured.b,
        target_offset=measured.target_offset + middle * measured.a,
    )


def _ordered(measured: MeasuredLoss) -> MeasuredLoss:
    """From the noise to the data, whatever order the levels come in."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.nan_to_num(measured.B / measured.A, nan=np.inf, posinf=np.inf)
    order = np.argsort(-ratio, kind="stable")
    law = measured.law[order] if measured.times is Times.STEPS else np.sort(measured.law)
    steps = None if measured.steps is None else measured.steps[order]
    columns: dict[str, Any] = measured.columns(order)
    return replace(measured, **columns, law=law, steps=steps)
