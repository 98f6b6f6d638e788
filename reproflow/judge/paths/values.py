"""The verdicts on what a path's values are: its ends, the signs of alpha and sigma, whether the SNR rises."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from reproflow.foundation import processes
from reproflow.foundation.verdicts import INCONCLUSIVE, REFUTED, SUPPORTED, number
from reproflow.judge.paths.path_values import NAMES, Course
from reproflow.numerics import intervals, monotonicity
from reproflow.numerics.intervals import Interval

CLOSE = 1e-6
WANTED = {0.0: (0.0, 1.0), 1.0: (1.0, 0.0)}
SUM = 1e-9
TAIL = 1e-7
FARTHEST = 600.0
STILL = 1e-3


def boundary(course: Course) -> dict[str, Any]:
    """alpha(0) = 0, sigma(0) = 1, alpha(1) = 1, sigma(1) = 0 to 1e-6, at the ends themselves or else in the limit.

    An end that is named in the registration's `expects` is missed by design, and does not count.
    """
    found = [_End.of(course, end, index) for end in WANTED for index in range(2)]
    faults = {name: [each for each in found if each.fault == name] for name in ("broken", "open", "by design")}
    extrapolated = [each.name for each in found if not each.given]
    said = [each.reason for each in (*faults["broken"], *faults["open"])]
    if missed := [each.reason for each in faults["by design"]]:
        said.append(f"missed by design, as `expects` says: {', '.join(missed)}")
    said = said or ["x_t is noise at t = 0 and data at t = 1"]
    verdict = INCONCLUSIVE if faults["open"] else SUPPORTED
    return {
        "verdict": REFUTED if faults["broken"] else verdict,
        "values": {each.name: None if math.isnan(each.value) else number(each.value) for each in found},
        "by_design": [each.name for each in faults["by design"]],
        "extrapolated": extrapolated,
        "reason": "; ".join(said + ([f"in the limit: {', '.join(extrapolated)}"] if extrapolated else [])),
    }


@dataclass(frozen=True)
class _End:
    """A coefficient at an end: its value, whether the function gives it there, and what is wrong with it, if at all."""

    name: str
    value: float
    given: bool
    fault: str = ""
    reason: str = ""

    @classmethod
    def of(cls, course: Course, end: float, index: int) -> _End:
        own, (limits, doubts) = float(course.at_end(end)[index]), course.limit(end)
        near, doubt, wanted = float(limits[index]), float(doubts[index]), WANTED[end][index]
        name, given = f"{NAMES[index]}({end:.0f})", math.isfinite(own)
        value = own if given else near
        if given and not abs(own - near) <= CLOSE + 10 * doubt:
            return cls(name, value, given, "broken", f"{name} = {own:.6g}, but {NAMES[index]} tends to {near:.6g}")
        if not given and not doubt <= CLOSE:
            return cls(name, value, given, "open", f"the limit of {name} is not known to 1e-6 (near {near:.6g})")
        if abs(value - wanted) <= CLOSE:
            return cls(name, value, given)
        by_design = any(f"({end:.0f})" in each for each in course.path.entry.meta.get("expects", ()))
        return cls(name, value, given, "by design" if by_design else "broken", f"{name} = {value:.6g}, not {wanted:g}")


def positive(course: Course) -> dict[str, Any]:
    """alpha and sigma are finite and positive inside (0, 1); masked: and add up to 1, as probabilities do."""
    broken = []
    for index, name in enumerate(NAMES):
        found = _where(course, lambda values, index=index: values[index] <= 0)  # type: ignore[misc]
        if found := [each for each in found if not _rounded_away(course, index, each)]:
            broken.append(f"{name} is not positive {_places(found)}")
        if found := _where(course, lambda values, index=index: np.isinf(values[index])):  # type: ignore[misc]
            broken.append(f"{name} is infinite {_places(found)}")
    what = "alpha > 0 and sigma > 0"
    if processes.facts(course.path.process).complementary:
        what += " and alpha + sigma = 1"
        if found := _where(course, lambda values: ~(np.abs(values.sum(0) - 1) <= SUM)):
            broken.append(f"alpha + sigma is not 1 {_places(found)}: they are no probabilities")
    reason = "; ".join(broken) or f"{what} at all of {len(course.times)} times in (0, 1)"
    return {"verdict": REFUTED if broken else SUPPORTED, "reason": reason}


def _where(course: Course, condition: Callable[[np.ndarray], np.ndarray]) -> list[Interval]:
    """The intervals, and the single times looked at, where a condition on (alpha, sigma) holds.

    Intervals that begin or end with the times begin or end at 0 or 1.
    """
    t = course.times
    held = condition(course.values(t))
    found = intervals.where(lambda t: condition(course.values(t)), t) if held.any() else []
    single = [each for each in t[held] if not any(low <= each <= high for low, high in found)]
    return sorted([*(_widened(each, t) for each in found), *((float(each), float(each)) for each in single)])


def _widened(interval: Interval, t: np.ndarray) -> Interval:
    return (0.0 if interval[0] <= t[0] else interval[0], 1.0 if interval[1] >= t[-1] else interval[1])


def _rounded_away(course: Course, index: int, interval: Interval) -> bool:
    """Whether values beside an end are zero by rounding: up to twice as far from the end they are tiny all the same."""
    low, high = interval
    reach = 2 * min(high, 1 - low)
    beside = np.linspace(0, reach, 102)[1:-1]
    return reach < 1 and bool(np.abs(course.values(beside if high < 0.5 else 1 - beside)[index]).max() < TAIL)


def monotone_snr(course: Course) -> dict[str, Any]:
    """lam rises strictly: `violation` is the hull of where it falls by more than 1e-6 relative, or stands still."""
    t = course.times
    t = t[_resolved(course, t)]
    if len(t) < 2:
        reason = "alpha and sigma are nowhere both positive, so there is no SNR"
        return {"verdict": REFUTED, "violation": None, "reason": reason}
    falling = monotonicity.sample(lambda t: -_clipped(course, t), t)
    falls = monotonicity.rises(lambda t: -_clipped(course, t), falling)
    still = _plateaus(falling)
    if not falls and not still:
        reason = f"lam rises from {-falling.v[0]:.4g} to {-falling.v[-1]:.4g} over {len(falling.t)} times"
        return {"verdict": SUPPORTED, "violation": None, "reason": reason + _alpha_falls(course)}
    pieces = [_piece(course, each, t) for each in intervals.joined([*falls, *still])]
    lams = [float(end) for piece in pieces for end in piece["lam"]]
    hull = {"t": [pieces[0]["t"][0], pieces[-1]["t"][1]], "lam": [number(min(lams)), number(max(lams))]}
    said = [f"the SNR falls {_places([_widened(each, t) for each in falls])}"] if falls else []
    said += [f"the SNR stands still {_places([_widened(each, t) for each in still])}"] if still else []
    return {"verdict": REFUTED, "violation": {**hull, "intervals": pieces}, "reason": "; ".join(said)}


def _alpha_falls(course: Course) -> str:
    t = course.times[:: len(course.times) // 8192]
    falls = np.flatnonzero(np.diff(course.values(t)[0]) < -1e-12)
    return f"; but alpha falls at t = {t[falls[0]]:.4g}, and training refuses that" if len(falls) else ""


def _clipped(course: Course, t: np.ndarray) -> np.ndarray:
    return np.nan_to_num(course.lam(t), nan=0.0, posinf=FARTHEST, neginf=-FARTHEST).clip(-FARTHEST, FARTHEST)


def _resolved(course: Course, t: np.ndarray) -> np.ndarray:
    """Where lam has digits: not where a tiny coefficient is a whole number of roundings of 1, as 1 - x is at x ~ 1."""
    small = course.values(t)
    rounded = (np.abs(small) < 1e-10) & (small * 2.0**53 == np.round(small * 2.0**53))
    with np.errstate(invalid="ignore"):
        return ~rounded.any(0) & (np.abs(course.lam(t)) < FARTHEST)


def _plateaus(on: monotonicity.Sampled) -> list[Interval]:
    """Stretches of t longer than 1e-3 over which lam does not change by more than its rounding from step to step."""
    still = np.abs(np.diff(on.v)) <= 4 * np.finfo(float).eps * np.maximum(1, np.abs(on.v[1:]))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], still, [False]]).astype(int)))
    runs = [(float(on.t[a]), float(on.t[b])) for a, b in edges.reshape(-1, 2)]
    return [(low, high) for low, high in intervals.joined(runs) if high - low > STILL]


def _piece(course: Course, interval: Interval, t: np.ndarray) -> dict[str, list[Any]]:
    """An interval with the lam that it covers, infinite beyond 600; at an end of (0, 1), that of the last time seen."""
    inside = np.concatenate([interval, t[(t > interval[0]) & (t < interval[1])]])
    lam = _clipped(course, inside)
    ends = (float(lam.min()), float(lam.max()))
    far = [number(math.copysign(math.inf, end) if abs(end) >= FARTHEST else end) for end in ends]
    return {"t": list(_widened(interval, t)), "lam": far}


def _places(found: list[Interval]) -> str:
    shown = [f"at t = {low:.6g}" if high - low < 1e-9 else f"on ({low:.6g}, {high:.6g})" for low, high in found[:3]]
    return ", ".join(shown) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
