r"""What number the network is given for its time: an affine function of one of a few functions of r = sigma/alpha.

Of the state's own coefficients too, since on a straight path with sigma_min the time is A; and of the times of the
registered paths. The slope of the state in the given time, dS/dtau = A' x1 + B' eps, is exact where A and B are affine
in it, else a spline's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from reproflow.auditing.measured_loss import Times
from reproflow.auditing.naming import carriers
from reproflow.auditing.naming.inverses import times_on
from reproflow.auditing.naming.levels import Levels
from reproflow.auditing.naming.numbers import text
from reproflow.auditing.naming.paths import PathName, Relation
from reproflow.numerics import splines

CONSTANT = 1e-9
ROUNDING = 3.0
"""What a spline's slope makes of the rounding of neighbouring knots, in units of that over their distance."""
SPACING = 0.04
"""The log-SNR between knots, at the least: nearer ones would turn rounding into slopes."""
FLOOR = 2e-6
PATHS = ("vp", "edm", "polynomial")
"""Registered paths whose time is none of the other functions."""


@dataclass(frozen=True)
class TimeName:
    """The given number is `scale` times the function `name` plus `shift`; `name` is None where it is none of them."""

    name: str | None
    given_as: str
    error: float
    scale: float = 1.0
    shift: float = 0.0
    constant: bool = False

    @property
    def logarithmic(self) -> bool:
        """Whether it is a level of noise on a logarithmic scale, which no velocity is a derivative in."""
        return self.name == "log sigma/alpha"


def functions(levels: Levels, path: PathName) -> Iterator[tuple[str, np.ndarray]]:
    """The functions of r with their names, the path's own time first."""
    r = levels.ratio
    linear, cosine = ("t", 1 / (1 + r)), ("t (cosine)", 2 / np.pi * np.arctan2(1, r))
    own = [("t", levels.A)] if path.relation is Relation.SIGMA_MIN else []
    rest = [
        ("sigma/alpha", r),
        ("log sigma/alpha", np.log(r)),
        ("alpha²/(alpha² + sigma²)", 1 / (1 + r**2)),
        ("alpha/sqrt(alpha² + sigma²)", 1 / np.sqrt(1 + r**2)),
        ("sigma/sqrt(alpha² + sigma²)", r / np.sqrt(1 + r**2)),
        ("SNR", r**-2.0),
        ("(sigma/alpha)²", r**2),
        ("(sigma/alpha)^(1/7)", r ** (1 / 7)),
    ]
    first = [cosine, linear] if path.relation is Relation.VP else [linear, cosine]
    yield from [*own, *first, *rest]
    if path.relation is Relation.SUB_VP:
        yield "t (sub-VP)", times_on(carriers.SUB_VP, levels.lam)
    for name in PATHS:
        yield f"t ({name})", times_on(name, levels.lam)


def name_time(levels: Levels, path: PathName) -> TimeName:
    """The function that the given number is, up to a factor and a shift."""
    given = levels.given
    if not np.isfinite(given).all():
        return TimeName(None, "none", 0.0, constant=True)
    spread = float(np.ptp(given))
    if spread <= CONSTANT * max(1.0, float(np.abs(given).max())):
        return TimeName(None, f"constant {text(float(given[0]))}", 0.0, constant=True)
    tolerance = max(FLOOR, levels.tolerance / 30)
    if levels.whole.steps is not None:
        steps = levels.whole.steps[levels.kept].astype(float)
        scale, shift, error = affine(steps, given)
        if error <= tolerance:
            return TimeName("index", formula("i", scale, shift), error, scale, shift)
    best = np.inf
    for name, value in functions(levels, path):
        if not np.isfinite(value).all() or np.ptp(value) == 0:
            continue
        scale, shift, error = affine(value, given)
        if error <= tolerance:
            return TimeName(name, formula(name, scale, shift), error, scale, shift)
        best = min(best, error)
    return TimeName(None, "a function of the level that has no name here", float(best))


def affine(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """(scale, shift, error) of y = scale x + shift in least squares; the largest error relative to y's range."""
    centred = x - x.mean()
    scale = float(centred @ (y - y.mean()) / (centred @ centred))
    shift = float(y.mean() - scale * x.mean())
    return scale, shift, float(np.abs(scale * x + shift - y).max() / np.ptp(y))


def formula(name: str, scale: float, shift: float) -> str:
    """scale name + shift in words, without ones and noughts; scale (1 - name) where that is what it is."""
    offset = shift if abs(shift) > 1e-5 * abs(scale) else 0.0
    inner, size = name, scale
    if offset and abs(offset / scale + 1) < 1e-5:
        inner, size, offset = f"1 - {name}", -scale, 0.0
    factor = text(size)
    if factor in ("1", "-1"):
        words = inner if factor == "1" else f"-({inner})"
    else:
        words = f"{factor} ({inner})" if inner != name else f"{factor} {inner}"
    if not offset:
        return words
    return f"{words} {'+' if offset > 0 else '-'} {text(abs(offset))}"


@dataclass(frozen=True)
class Slope:
    """dS/dtau = A' x1 + B' eps in the given time, (P,) each, with its relative error.

    `exact` where A and B are affine in the given time.
    """

    A: np.ndarray
    B: np.ndarray
    error: np.ndarray
    exact: bool


def state_slope(levels: Levels) -> Slope | None:
    """The state's slope in the number that is given; None where it has none.

    Splines run over what is known exactly and in which A, B and every usual time are smooth, also where dB/dtau is
    infinite: the logit of the quantile, or the step. Of draws that is the log-SNR.
    """
    given = levels.given
    if not np.isfinite(given).all() or len(given) < 2 * splines.FEWEST:
        return None
    step = np.diff(given)
    if not ((step > 0).all() or (step < 0).all()) or (np.diff(levels.lam) <= 0).any():
        return None
    fits = [affine(given, each) if np.ptp(each) > 0 else (0.0, float(each[0]), 0.0) for each in (levels.A, levels.B)]
    if all(error <= levels.tolerance / 3 for _, _, error in fits):
        one = np.ones_like(given)
        return Slope(fits[0][0] * one, fits[1][0] * one, 0 * one, True)
    x, knots = _along(levels)
    if len(knots) < splines.FEWEST:
        return None
    A, B, time = (splines.through(x[knots], each[knots]).slope(x) for each in (levels.A, levels.B, given))
    width = np.interp(x, x[knots], np.gradient(x[knots]))
    with np.errstate(divide="ignore", invalid="ignore"):
        error = ROUNDING * levels.whole.state_error * np.hypot(levels.A, levels.B) / (width * np.hypot(A, B))
        return Slope(A / time, B / time, np.nan_to_num(error, nan=np.inf), False)


def _along(levels: Levels) -> tuple[np.ndarray, np.ndarray]:
    """What splines run over, (P,), ascending, and the places of their knots."""
    if levels.times is Times.STEPS:
        return levels.places[0], np.arange(len(levels))
    u = levels.cumulative
    if levels.times is Times.CONTINUOUS and not levels.whole.rounded and (np.diff(u) > 0).all():
        return np.log(u / (1 - u)), np.arange(len(levels))
    return levels.lam, _apart(levels.lam)


def _apart(lam: np.ndarray) -> np.ndarray:
    """The places of log-SNRs, ascending, that are `SPACING` apart or more, the first and the last among them."""
    places = [0]
    for place in range(1, len(lam) - 1):
        if min(lam[place] - lam[places[-1]], lam[-1] - lam[place]) >= SPACING:
            places.append(place)
    return np.array([*places, len(lam) - 1])
