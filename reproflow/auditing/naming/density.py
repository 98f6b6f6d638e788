r"""The canonical weight of a measured loss, w = 2 p(lam) c_eps, with its precision.

Continuous times are known at exact quantiles u, so that p = du/dlam is that of a cubic spline of lam in logit u; times
that the user's code rounds to a grid show as ties, and are smoothed. Of steps the weight is that of each level's term
of the discrete bound (`judge.levels.weights`), counted from the data,

.. math:: w_i = \frac{2 \pi_i c_{\epsilon,i}}{e^{\lambda_{i-1} - \lambda_i} - 1},

without the level next to the data, whose term is the decoder's; the density p = pi_i di/dlam is for comparison with
objectives of continuous time. Draws give a density to a few percent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reproflow.auditing.measured_loss import Times
from reproflow.auditing.naming.levels import Levels
from reproflow.numerics import splines

KNOTS = 12
"""Knots of a spline through rounded times."""
DRAWS_A_KNOT = 800
TIED = 1e-9
BLURRED = 1e-4
"""The relative error of a slope that rounding may leave."""
SHARPEST = 1e-4
"""The least blur by which levels are weighted, as a share of the largest."""
NEARBY = 4
"""Levels on either side whose change counts too."""
WIDEST = (0.0, 0.25, 0.8)
"""Steps of knots in logit u that are tried where rounding blurs the levels; zero is a knot at each."""
EDGE = 2
"""Steps at either end whose density a spline does not know."""
SAME = {Times.CONTINUOUS: 3e-3, Times.STEPS: 4e-2, Times.DRAWN: 4e-2}
"""The relative difference up to which two weights are the same, by how the times were read."""
NEAR = {Times.CONTINUOUS: 0.0, Times.STEPS: 6e-2, Times.DRAWN: 0.2}
"""The same in the bulk, where law and coefficient have names: a schedule's offset and its discretisation change its
ends, and draws do not say much of a density."""
RISE = {Times.CONTINUOUS: 5e-3, Times.STEPS: 5e-2, Times.DRAWN: None}
"""The relative rise of w up to which it does not count; None where none can be claimed."""


@dataclass(frozen=True)
class Weight:
    """The canonical weight at lam, ascending, and what it is off by relative to itself; all (P,).

    `bulk` are the levels between which 96 % of the draws lie; `rounded` says that the times lie on a grid. `ends` are
    the levels at which the law ends, NaN where that is not known: then it is taken to end where it was last read.
    """

    lam: np.ndarray
    w: np.ndarray
    precision: np.ndarray
    bulk: np.ndarray
    times: Times
    rounded: bool = False
    process: str = "gaussian"
    ends: tuple[float, float] = (np.nan, np.nan)

    @property
    def reach(self) -> tuple[float, float]:
        """The least and the greatest level that the loss draws."""
        low, high = self.ends
        return (
            float(self.lam[0] if np.isnan(low) else min(low, self.lam[0])),
            float(self.lam[-1] if np.isnan(high) else max(high, self.lam[-1])),
        )

    @property
    def same(self) -> float:
        """The relative difference up to which another weight is this one."""
        return SAME[self._kind]

    @property
    def near(self) -> float:
        """The difference in the bulk up to which an objective that has all of the named parts is this one."""
        return NEAR[self._kind]

    @property
    def rise(self) -> float | None:
        """The relative rise that does not count; None where no rise can be claimed."""
        return RISE[self._kind]

    @property
    def _kind(self) -> Times:
        return Times.STEPS if self.rounded else self.times


def weight(levels: Levels) -> Weight:
    """The canonical weight as a function of the log-SNR, of steps too (by the density of their levels)."""
    lam, u = levels.lam, levels.cumulative
    tied = levels.times is Times.CONTINUOUS and bool((np.diff(lam) <= TIED).any())
    rounded = levels.whole.rounded or tied
    if levels.times is Times.STEPS:
        density, error = _of_steps(levels)
    elif levels.times is Times.DRAWN or tied:
        density, error = _smoothed(lam, u, levels.whole.draws)
    else:
        density, error = _of_quantiles(lam, u, levels.blur)
    w = 2 * density * levels.eps_coefficient
    use = np.isfinite(w) & np.isfinite(error)
    if levels.times is Times.STEPS:
        use[:EDGE] = use[-EDGE:] = False
    if tied:
        use[1:] &= np.diff(lam) > TIED
    bulk = (u > 0.02) & (u < 0.98)
    total = np.hypot(error, levels.precision)
    return Weight(lam[use], w[use], total[use], bulk[use], levels.times, rounded)


def _of_quantiles(lam: np.ndarray, u: np.ndarray, blur: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """du/dlam of exact quantiles, at each level with the knots that leave least error; `blur` is that of lam, (P,)."""
    logit = np.log(u / (1 - u))
    tried = [_slope(logit, lam, blur, widest) for widest in WIDEST]
    slopes, errors = (np.stack(each) for each in zip(*tried, strict=True))
    best = np.argmin(errors, axis=0), np.arange(len(u))
    with np.errstate(divide="ignore", invalid="ignore"):
        return u * (1 - u) / slopes[best], np.maximum(errors[best], 1e-7)


def _slope(x: np.ndarray, lam: np.ndarray, blur: np.ndarray, widest: float) -> tuple[np.ndarray, np.ndarray]:
    """dlam/dx and its relative error: what half as many knots change, and what is left of the blur."""
    knots = _knots(x, lam, blur, widest)
    weight = np.maximum(blur, SHARPEST * blur.max()) ** -2.0
    matrix = splines.slopes(x, knots, weight)
    slope = matrix @ lam
    coarse = knots if len(knots) < 2 * splines.FEWEST else np.append(knots[:-1:2], knots[-1])
    half = splines.nearest(x, lam, coarse, weight).slope(x)
    with np.errstate(divide="ignore", invalid="ignore"):
        change = np.nan_to_num(np.abs(half / slope - 1), nan=np.inf)
        left = np.nan_to_num(np.sqrt(matrix**2 @ blur**2) / np.abs(slope), nan=np.inf)
    # That two splines cross at a level says nothing of either: the largest change nearby counts.
    padded = np.pad(change, NEARBY, mode="edge")
    change = np.lib.stride_tricks.sliding_window_view(padded, 2 * NEARBY + 1).max(axis=1)
    return slope, np.hypot(change, left)


def _knots(x: np.ndarray, lam: np.ndarray, blur: np.ndarray, widest: float) -> np.ndarray:
    """Knots among x (P,), so far apart that the blur of lam moves a slope by little, and no farther than `widest`."""
    secant = np.abs(np.gradient(lam, x)) + 1e-300
    apart = np.minimum(blur / (BLURRED * secant), widest)
    places = [0]
    for place in range(1, len(x) - 1):
        if min(x[place] - x[places[-1]], x[-1] - x[place]) >= apart[place]:
            places.append(place)
    return x[[*places, len(x) - 1]]


def _smoothed(lam: np.ndarray, u: np.ndarray, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """du/dlam by a spline with few knots: of draws with as many to a knot as keep them to a few percent."""
    logit = np.log(u / (1 - u))
    knots = KNOTS if not draws else int(np.clip(draws // DRAWS_A_KNOT, 6, 24))
    ranks = np.linspace(0, 1, knots)
    place = np.quantile(logit, ranks) if draws else logit[0] + ranks * (logit[-1] - logit[0])
    mass = u * (1 - u) if draws else None
    slope = splines.nearest(logit, lam, place, mass).slope(logit)
    fewer = np.interp(np.linspace(0, 1, max(knots - 3, splines.FEWEST)), ranks, place)
    other = splines.nearest(logit, lam, fewer, mass).slope(logit)
    sampling = 1.5 * np.sqrt(knots / draws) if draws else 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        density = np.where(slope > 0, u * (1 - u) / slope, np.nan)
        return density, np.hypot(np.abs(other / slope - 1), sampling)


def _of_steps(levels: Levels) -> tuple[np.ndarray, np.ndarray]:
    """pi times the steps a unit of lam, by a spline of lam in the step's place."""
    place, _ = levels.places
    lam = levels.lam
    slope = splines.through(place, lam).slope(place)
    with np.errstate(divide="ignore", invalid="ignore"):
        simple = np.gradient(lam, place)
        density = np.where(slope > 0, levels.law / slope, np.nan)
        return density, np.abs(simple / slope - 1) / 2


@dataclass(frozen=True)
class Chain:
    """Steps as the terms of a discrete bound: lam (-inf where no data is left), c_x and pi of each level, (N,), from
    the noise to the data; w and its precision are NaN at the level next to the data."""

    index: np.ndarray
    lam: np.ndarray
    x1_coefficient: np.ndarray
    probability: np.ndarray
    w: np.ndarray
    precision: np.ndarray
    whole: bool


def chain(levels: Levels) -> Chain | None:
    """The exact weight of every level; None unless the times are steps."""
    whole = levels.whole
    if levels.times is not Times.STEPS or whole.steps is None:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        lam = 2 * np.log(whole.A / whole.B)
        lam = np.where(lam < lam[np.isfinite(lam)].min() - 15, -np.inf, lam)
        on_x1 = whole.c * (whole.a - whole.b * whole.A / whole.B) ** 2
        before = _next_to_data(levels, lam)
        # SNR_{i-1} - SNR_i without the digits that a difference of exponentials loses.
        fall = np.where(np.isinf(lam), np.exp(before), np.exp(lam) * np.expm1(before - lam))
        w = 2 * whole.law * on_x1 / fall
        off = 2 * whole.state_error * (1 / whole.A + 1 / whole.B) * np.hypot(whole.A, whole.B)
        step = np.where(np.isinf(lam), 1.0, before - lam)
        precision = whole.coefficient_error + 2 * whole.target_error + 2 * off / np.minimum(step, 1.0)
    precision = np.where(np.isinf(lam), whole.coefficient_error, precision)
    return Chain(whole.steps, lam, on_x1, whole.law, w, precision, whole.complete)


def _next_to_data(levels: Levels, lam: np.ndarray) -> np.ndarray:
    """The log-SNR of the next level towards the data, (N,); of a spline where levels were left out."""
    if levels.whole.complete:
        return np.append(lam[1:], np.nan)
    place, count = levels.places
    curve, at = splines.through(place, levels.lam), np.round(place).astype(int)
    read = dict(zip(at.tolist(), levels.lam.tolist(), strict=True))
    next_lam = [read.get(each + 1, float(curve(np.array([each + 1.0]))[0])) for each in at.tolist()]
    found = np.full(len(lam), np.nan)
    found[levels.kept] = np.where(place + 1 < count, next_lam, np.nan)
    return found
