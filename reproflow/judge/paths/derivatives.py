"""The verdicts on a path's derivatives: they are its own, and their squares have a finite integral."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from reproflow.foundation.by_process import ByProcess
from reproflow.foundation.verdicts import INCONCLUSIVE, REFUTED, SUPPORTED, number
from reproflow.judge.paths.discontinuities import Breaks
from reproflow.judge.paths.path_values import NAMES, OCTAVES, Course
from reproflow.numerics.differences import derivative
from reproflow.numerics.quadrature import Integral, Pole, integral

TOLERANCE = 1e-7
GOLDEN = 0.5 * (math.sqrt(5) - 1)
TIMES = 512
FEW = 16
NEAREST = 1e-5
WIDEST = 2.0**-9
LOST = 6
CLOSER = (2.0**-4, 2.0**-8, 2.0**-12)
"""Shares of the steps at which what differences refute is asked for again: what oscillates within a step looks so."""
SINGLE = "the path is computed in single precision, too coarse for differences: keep the type of t, float64"


def velocity(course: Course, breaks: Breaks) -> dict[str, Any]:
    """alpha' and sigma', as the package takes them by differentiating the function, against differences of its values.

    `residual`: the largest distance over 1 + |derivative|. Single times without a derivative (`kinks`) do not count, as
    they do not for the loss; a jump does, since no velocity carries anything across it.
    """
    if course.single:
        return {"verdict": INCONCLUSIVE, "residual": None, "kinks": [], "jumps": [], "reason": SINGLE}
    t = times(TIMES, breaks)
    taken, steps = course.slopes(t), room(t, breaks)
    found, error = derivative(course.values, t, steps)
    with np.errstate(invalid="ignore"):
        apart, scale = np.abs(taken - found), 1 + np.abs(found)
        error = error + 1e-15 / steps
        infinite, other = ~np.isfinite(taken), _differs(taken, found, error)
        unclear = ~(error <= TOLERANCE * scale)
        wrong = infinite | other
        for share in CLOSER if other.any() else ():
            at_share, its_error = derivative(course.values, t, share * steps)
            wrong &= infinite | _differs(taken, at_share, its_error + 1e-15 / (share * steps))
        unclear |= other & ~wrong
        residual = float(np.max(np.where(unclear & ~wrong, 0.0, apart / scale), initial=0.0))
    verdict, reason = _velocity_verdict(t, taken, found, wrong, unclear, breaks)
    largest = number(residual) if math.isfinite(residual) else None
    return {
        "verdict": verdict,
        "residual": "inf" if breaks.jumps else largest,
        "kinks": list(breaks.kinks),
        "jumps": list(breaks.jumps),
        "reason": reason,
    }


def _differs(taken: np.ndarray, found: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Where derivatives differ from differences by more than these can be off."""
    apart = np.abs(taken - found)
    return (apart > TOLERANCE * (1 + np.abs(found))) & (apart > 8 * error)


def _velocity_verdict(
    t: np.ndarray, taken: np.ndarray, found: np.ndarray, wrong: np.ndarray, unclear: np.ndarray, breaks: Breaks
) -> tuple[str, str]:
    if wrong.any():
        which, index = (int(each[0]) for each in np.nonzero(wrong))
        return REFUTED, (
            f"the derivative of {NAMES[which]} at t = {t[index]:.4g} is {found[which, index]:.6g}, and differentiating "
            f"the function gives {taken[which, index]:.6g}: is a part of it detached, rounded, or a root of zero?"
        )
    if breaks.jumps:
        return REFUTED, f"the path jumps {at(breaks.jumps)}: no velocity carries x_t across"
    if unclear.any():
        return INCONCLUSIVE, f"too rough for differences at t = {t[unclear.any(0)][0]:.4g}"
    if len(breaks.suspects):
        return INCONCLUSIVE, f"too rough to be followed near t = {breaks.suspects[0].mean():.4g}"
    kinks = f"; there is none {at(breaks.kinks)}, but single times do not count" if breaks.kinks else ""
    return SUPPORTED, f"the derivatives agree with differences at {len(t)} times{kinks}"


@dataclass(frozen=True)
class Speed:
    """How fast a path moves, of arrays (alpha', sigma'), in words too, and what an infinite integral means."""

    what: str
    of: Callable[[np.ndarray, np.ndarray], np.ndarray]
    if_infinite: str = ""


SPEEDS: ByProcess[Callable[[], Speed]] = ByProcess("speed of a path", __name__)
"""By process: the speed whose integral is finite where the target of training is."""


def integrable(course: Course, breaks: Breaks, velocity: str) -> dict[str, Any]:
    """The integral of alpha'² + sigma'² over uniform t is finite (masked: of |alpha'|).

    For standardised data it is E|alpha' x1 + sigma' eps|², the size of the target that a network is to learn. By
    adaptive quadrature, with the exponents of the ends and of poles (`numerics.quadrature`).
    """
    speed = SPEEDS[course.path.process]()
    what = speed.what
    if breaks.jumps:
        reason = f"the path jumps {at(breaks.jumps)}: {what} has no finite integral across"
        return {"verdict": REFUTED, "integral": "inf", "reason": reason}
    if velocity == REFUTED:
        reason = "differentiating the function does not give the path's derivative (velocity)"
        return {"verdict": INCONCLUSIVE, "integral": None, "reason": reason}

    def integrand(t: np.ndarray) -> np.ndarray:
        dalpha, dsigma = course.slopes(t)
        return np.nan_to_num(speed.of(dalpha, dsigma), nan=np.inf, posinf=np.inf)

    found = integral(integrand, octaves=_octaves(course))
    verdict = {"finite": SUPPORTED, "infinite": REFUTED, "inconclusive": INCONCLUSIVE}[found.verdict]
    return {"verdict": verdict, "integral": number(found.value), "reason": _integral_reason(found, speed)}


def _octaves(course: Course) -> tuple[int, int]:
    """How far towards each end slopes have digits: a root of what has rounded to zero has none, and few before that."""
    found = []
    for end, most in enumerate(OCTAVES):
        t = np.abs(end - 2.0 ** -np.arange(1.0, most + 1))
        lost = np.flatnonzero(~np.isfinite(course.slopes(t)).all(0) & np.isfinite(course.values(t)).all(0))
        found.append(max(2, int(lost[0]) - LOST) if len(lost) else most)
    return found[0], found[1]


def _integral_reason(found: Integral, speed: Speed) -> str:
    what = speed.what
    if found.verdict == "finite":
        return f"the integral of {what} over uniform t is {found.value:.6g}"
    pole: Pole = found.worst
    where = f"{what} ~ |t - {pole.place:.4g}|^{pole.exponent:.3g} at t = {pole.place:.4g}"
    if found.verdict == "inconclusive":
        return f"{where}: too close to -1 to tell whether its integral is finite"
    return f"{where}: its integral is infinite{speed.if_infinite}"


def times(count: int, breaks: Breaks) -> np.ndarray:
    """Times, no round numbers, spread over (0.001, 0.999), and some of the cells left over; none beside a break."""
    spread = 0.001 + 0.998 * (np.arange(1, count + 1) * GOLDEN % 1)
    left = breaks.suspects.mean(1)[:: max(1, len(breaks.suspects) // FEW)]
    t = np.concatenate([spread, left])
    return t[room(t, breaks) > NEAREST]


def room(t: np.ndarray, breaks: Breaks) -> np.ndarray:
    """How far differences may reach from t: a third of the way to the nearest end, jump or kink, and not far at all."""
    edges = np.array([0.0, *breaks.jumps, *breaks.kinks, 1.0])
    return np.minimum(np.abs(t[:, None] - edges).min(1) / 3, WIDEST)


def at(times: tuple[float, ...]) -> str:
    """The first of some times, in words."""
    shown = ", ".join(f"{t:.6g}" for t in times[:3])
    return f"at t = {shown}" + (f" and {len(times) - 3} more" if len(times) > 3 else "")
