"""The measured rates of masking as levels, and their canonical weight w(lam) = p(alpha) c m (`naming`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reproflow.auditing.measured_loss import Times
from reproflow.auditing.naming.density import Weight
from reproflow.auditing.reading import MeasuredTokens
from reproflow.auditing.tokens import drawn
from reproflow.numerics import splines

PROCESS = "masked"
LAW = 1e-5
"""The distance in u up to which a law of exact quantiles has a name; of ranks half of one, of draws Kolmogorov's."""
EDGE = 2
"""Steps at either end whose density is not known."""


@dataclass(frozen=True)
class Rates:
    """The measured table without its ends 0 and 1, alpha ascending.

    `u` is the mass of the rates at or above m, `law` the table's; `place` is that of a step, counted from the noise.
    """

    table: MeasuredTokens
    m: np.ndarray
    c: np.ndarray
    u: np.ndarray
    given: np.ndarray
    law: np.ndarray
    place: np.ndarray

    @classmethod
    def of(cls, table: MeasuredTokens) -> Rates:
        place = np.arange(len(table.m), dtype=float) if table.places is None else table.places
        u = table.law
        if table.steps:
            u = np.cumsum(table.law) - 0.5 * table.law if table.places is None else (place + 0.5) / table.count
        kept = (table.m > 0) & (table.m < 1) & np.isfinite(table.c) & (u > 0) & (u < 1)
        kept &= np.append(True, np.diff(table.m) < 0)  # ties are one level
        return cls(table, table.m[kept], table.c[kept], u[kept], table.given[kept], table.law[kept], place[kept])

    @property
    def lam(self) -> np.ndarray:
        """log(alpha / (1 - alpha))."""
        return log_snr(self.m)

    @property
    def certain(self) -> np.ndarray:
        """Where alpha = 1 - m has digits in single precision: the user's own arithmetic loses them near m = 1."""
        return (self.m < 1 - 1e-3) | (self.m <= self.m.min())

    @property
    def law_error(self) -> float:
        """The distance in u that is none."""
        if self.table.draws:
            return drawn.error(self.table.draws)
        if self.table.steps:
            return max(LAW, 0.75 / self.table.count)
        return max(LAW, 0.75 / len(self.table.m)) if self.table.read == "ranks" else LAW


def log_snr(m: np.ndarray) -> np.ndarray:
    """lam of rates m in [0, 1]; infinite at the ends."""
    with np.errstate(divide="ignore"):
        return np.log1p(-m) - np.log(m)


def canonical_weight(rates: Rates) -> Weight:
    """w at the measured lam, with what the reading is off by; of steps by the density of their levels."""
    table = rates.table
    alpha, u = 1 - rates.m, rates.u
    if table.steps:
        slope = splines.through(rates.place, alpha).slope(rates.place)
        density = rates.law / slope
        error = np.abs(np.gradient(alpha, rates.place) / slope - 1) / 2
        use = np.ones(len(alpha), dtype=bool)
        use[:EDGE] = use[-EDGE:] = False
    elif table.draws or table.read in ("ranks", "one a batch"):
        logit = np.log(u / (1 - u))
        knots = np.linspace(logit[0], logit[-1], 12)
        slope = splines.nearest(logit, rates.lam, knots).slope(logit)
        other = splines.nearest(logit, rates.lam, np.linspace(logit[0], logit[-1], 9)).slope(logit)
        density = u * (1 - u) / slope / (alpha * rates.m)
        error = np.abs(other / slope - 1) + (1.5 * np.sqrt(12 / table.draws) if table.draws else 0.0)
        use = slope > 0
    else:
        logit = np.log(u / (1 - u))
        slope = splines.through(logit, rates.lam).slope(logit)
        half = splines.through(logit[::2], rates.lam[::2]).slope(logit)
        density = u * (1 - u) / slope / (alpha * rates.m)
        error = np.abs(half / slope - 1) / 4
        use = slope > 0
    w = density * rates.c * rates.m
    precision = np.hypot(error, 1e-7 / np.minimum(alpha, rates.m))
    bulk = (u > 0.02) & (u < 0.98)
    use &= np.isfinite(w) & np.isfinite(precision)
    low, high = log_snr(np.array(table.ends[::-1])).tolist()
    return Weight(rates.lam[use], w[use], precision[use], bulk[use], _times(table), process=PROCESS, ends=(low, high))


def _times(table: MeasuredTokens) -> Times:
    if table.steps:
        return Times.STEPS
    return Times.DRAWN if table.draws else Times.CONTINUOUS
