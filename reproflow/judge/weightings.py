"""Judging a weighting: admissible, identified, a bound, and what it is equivalent to.

The verdicts are independent of each other. `admissible` asks for every hypothesis of Lemma 4.7 of 000: with the time
law D and the coefficient w of the loss, w >= 0, E_{t~D}[w] finite, w > 0 almost everywhere, and D dominating Lebesgue's
measure. A canonical weighting names no prediction, so its coefficient is taken on the usual output, the velocity
(masked: the cross-entropy). `identified` asks whether the minimiser is unique (BIL-3, BIL-5): w pi > 0 almost
everywhere. `bound` asks for the bound property of the canonical weight (`theory.bounds`).
"""

from __future__ import annotations

import math
import time as clock
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from reproflow.foundation.errors import UsageError
from reproflow.foundation.specs import Spec
from reproflow.judge import mass as means
from reproflow.judge.objective import WHOLE, Objective
from reproflow.theory import bounds, support
from reproflow.theory.bounds import CERTIFIED, NOT_REPRESENTABLE, Bound
from reproflow.theory.canonical import canonical_at
from reproflow.theory.equivalence import equivalents
from reproflow.theory.paths import get_path
from reproflow.theory.quadrature import Integral
from reproflow.theory.reverse import quick_law, quick_path
from reproflow.theory.support import Interval
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

SUPPORTED, REFUTED, INCONCLUSIVE = "supported", "refuted", "inconclusive"
LAM = tuple(float(lam) for lam in range(-6, 7))
CURVE = np.linspace(-10, 10, 201)
POINTS = 100_001
DEFAULT_PATH = "linear"


@dataclass(frozen=True)
class Judgement:
    """What was found; `as_dict` has the keys of `reproflow check weighting --json`.

    `curve` is the canonical weight for drawing: lam and w, each of shape (P,), NaN out of the path's reach.
    """

    spec: str
    process: str
    path: str
    time: str
    target: str
    range: Interval
    admissible: dict[str, Any]
    identified: dict[str, Any]
    bound: dict[str, Any]
    canonical: dict[str, Any]
    equivalent: list[dict[str, Any]]
    gradient: dict[str, Any] | None
    variance: dict[str, Any] | None
    seconds: float
    curve: tuple[np.ndarray, np.ndarray] = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        """A dictionary that JSON can hold: infinity is "inf", what is out of reach is null."""
        return {key: list(value) if key == "range" else value for key, value in vars(self).items() if key != "curve"}

    @property
    def exit_code(self) -> int:
        """0: supported, supported and certified; 3: something is refuted; 5: something is only inconclusive."""
        verdicts = {self.admissible["verdict"], self.identified["verdict"], self.bound["verdict"]}
        if verdicts <= {SUPPORTED, CERTIFIED}:
            return 0
        return 5 if verdicts <= {SUPPORTED, CERTIFIED, INCONCLUSIVE} else 3


def weighting(
    spec: str | Spec,
    process: str = "gaussian",
    path: str | Spec | None = None,
    time: str | Spec = "uniform",
    target: str | None = None,
    t_range: Interval | None = None,
    lam: Sequence[float] = LAM,
) -> Judgement:
    """The judgement on a weighting.

    The path is `linear` unless given, for a masked process too. `target` is what the weighting multiplies, in place of
    what it says itself. `t_range` is the range of t, by default [1e-4, 1 - 1e-4] for the bound and (0, 1) for the rest.
    `lam` are the log-SNRs at which the canonical weight is told.

    Raises `UsageError` for a name, a file or an expression that cannot be used, and where a value is NaN.
    """
    started = clock.monotonic()
    own = get_weighting(spec, process, target or "")
    subject = Objective(quick_path(get_path(path or DEFAULT_PATH, process)), quick_law(get_time_law(time)), own)
    bound_range = _checked_range(t_range) if t_range else bounds.DEFAULT_RANGE
    fault = subject.fault()
    facts = _no_facts(fault, lam) if fault else _facts(subject, t_range or WHOLE, bound_range, lam)
    return Judgement(
        spec=str(spec),
        process=process,
        path=subject.path.name,
        time=subject.law.name,
        target=own.on,
        range=bound_range,
        **facts,
        gradient=None,
        variance=None,
        seconds=round(clock.monotonic() - started, 3),
    )


def _checked_range(t_range: Interval) -> Interval:
    low, high = t_range
    if not 0 <= low < high <= 1:
        raise UsageError(f"range {low:g},{high:g} is not A,B with 0 <= A < B <= 1 (t, from noise to data).")
    return float(low), float(high)


def _facts(subject: Objective, t_range: Interval, bound_range: Interval, lam: Sequence[float]) -> dict[str, Any]:
    t = _times(subject, t_range)
    negative = _widened(support.where(lambda t: subject.value(t) < 0, t), t, t_range)
    zero = support.joined(
        support.clipped([*_widened(support.zeros(subject.value, t), t, t_range), *subject.gaps], t_range)
    )
    low, high = (min(max(end, 1e-12), 1 - 1e-12) for end in bound_range)
    bound = bounds.analyse(subject.w, subject.lam, (low, high))
    return {
        "admissible": _admissible(subject, means.mass(subject, t_range), negative, zero, t_range),
        "identified": _identified(negative, zero),
        "bound": _bound(subject, bound, lam),
        "canonical": {"lam": list(lam), "w": [None if math.isnan(w) else _number(w) for w in _at(subject, lam)]},
        "curve": (CURVE, np.array(_at(subject, CURVE))),
        "equivalent": [dict(vars(each)) for each in equivalents(subject.path, subject.law, subject.weighting)],
    }


def _no_facts(fault: str, lam: Sequence[float]) -> dict[str, Any]:
    """The verdicts where path or time law make the objective void."""
    bound = {"violation": None, "witness": None, "minorant": None, "resolution": 0, "advice": None, "flags": None}
    return {
        "admissible": {"verdict": REFUTED, "mass": None, "reason": fault},
        "identified": {"verdict": REFUTED, "zero_set": [], "reason": fault},
        "bound": {"verdict": NOT_REPRESENTABLE, **bound, "reason": fault},
        "canonical": {"lam": list(lam), "w": [None] * len(lam)},
        "curve": (CURVE, np.full(len(CURVE), np.nan)),
        "equivalent": [],
    }


def _times(subject: Objective, t_range: Interval) -> np.ndarray:
    """Where zeros and negative values are looked for: uniform in t, and closer and closer to both ends."""
    t = np.concatenate([np.linspace(*t_range, POINTS), subject.ladder])
    first, last = max(t_range[0], subject.ladder[0]), min(t_range[1], subject.ladder[-1])
    return np.unique(t[(t >= first) & (t <= last)])


def _widened(intervals: list[Interval], t: np.ndarray, t_range: Interval) -> list[Interval]:
    """Intervals that begin or end with the times looked at begin or end with the range."""
    return [(t_range[0] if low == t[0] else low, t_range[1] if high == t[-1] else high) for low, high in intervals]


def _admissible(
    subject: Objective, mean: Integral, negative: list[Interval], zero: list[Interval], t_range: Interval
) -> dict[str, Any]:
    broken = [f"w is negative on {_intervals(negative)}"] if negative else []
    gaps = support.clipped(subject.gaps, t_range)
    if mean.verdict == "infinite":
        broken.append(f"E[w] is infinite: {_pole(mean)}")
    if gaps:
        broken.append(f"the time law never draws t in {_intervals(gaps)}, so it does not dominate Lebesgue's measure")
    if own := [each for each in zero if each not in gaps]:
        broken.append(f"w is zero on {_intervals(own)}")
    error = "cross-entropy" if subject.output == "ce" else f"{subject.output} error"
    what = f"the coefficient of the {error} under {subject.law.name} time" + _over(t_range)
    if broken:
        verdict, reason = REFUTED, "; ".join(broken)
    elif mean.verdict == "inconclusive":
        verdict, reason = INCONCLUSIVE, f"E[w] may be infinite: {_pole(mean)}, too close to t^-1 to tell"
    else:
        verdict, reason = SUPPORTED, f"w > 0 almost everywhere, and {what} has the mean {mean.value:.6g}"
    return {"verdict": verdict, "mass": _number(mean.value), "reason": reason}


def _over(t_range: Interval) -> str:
    return "" if t_range == WHOLE else f" on t in [{t_range[0]:g}, {t_range[1]:g}]"


def _pole(mean: Integral) -> str:
    pole = mean.worst
    return f"w pi ~ |t - {pole.place:.4g}|^{pole.exponent:.3g} at t = {pole.place:.4g}"


def _identified(negative: list[Interval], zero: list[Interval]) -> dict[str, Any]:
    broken = [f"w is negative on {_intervals(negative)}: the loss has no minimum there"] if negative else []
    if zero:
        length = sum(high - low for low, high in zero)
        broken.append(f"w pi is zero on {_intervals(zero)} (length {length:.4g}): the network may do anything there")
    return {
        "verdict": REFUTED if broken else SUPPORTED,
        "zero_set": [list(each) for each in zero],
        "reason": "; ".join(broken) or "w pi > 0 almost everywhere: the minimiser is unique",
    }


def _bound(subject: Objective, bound: Bound, lam: Sequence[float]) -> dict[str, Any]:
    hull = bound.hull
    violation = hull and {
        **_ends(hull),
        "intervals": [_ends(each) for each in bound.rises],
    }
    return {
        "verdict": bound.verdict,
        "violation": violation,
        "witness": None,
        "minorant": bound.minorant,
        "resolution": bound.resolution,
        "advice": _advice(bound, lam),
        "flags": _flags(subject),
        "reason": bound.reason + ("" if bound.minorant in (None, 1.0) else _minorant(bound)),
    }


def _ends(rise: bounds.Rise) -> dict[str, list[float]]:
    return {"lam": list(rise.lam), "t": list(rise.t)}


def _minorant(bound: Bound) -> str:
    assert bound.minorant is not None
    return f"; its running minimum certifies {100 * bound.minorant:.3g} % of its mass all the same"


def _advice(bound: Bound, lam: Sequence[float]) -> dict[str, Any] | None:
    """The smallest certified weight above w, over its largest value; None where w is certified, or is no weight."""
    if bound.verdict == CERTIFIED or bound.minorant is None or bound.hull is None or np.isinf(bound.w).any():
        return None
    scale = bound.majorant[0]
    inside = [each for each in lam if bound.lam[0] <= each <= bound.lam[-1]]
    curve = np.interp(inside, bound.lam, bound.majorant / scale)
    text = (
        "use the running maximum from the data end, max of w(lam') over lam' >= lam: the smallest certified weight "
        f"above this one, level where w rises; here divided by {scale:.4g}, so that it is 1 at the noise end"
    )
    return {"text": text, "lam": inside, "w": curve.tolist()}


def _flags(subject: Objective) -> dict[str, Any]:
    """What is worth knowing beside the verdict: whether C_w is finite, and what w tends to at the noise end."""
    constant, limit = means.bound_constant(subject), means.noise_limit(subject)
    masked = subject.path.process == "masked"
    what = "the integral of w dalpha" if masked else "the integral of w dlam towards the data"
    reason = {
        "finite": f"C_w is finite: {what} is",
        "infinite": f"{what} is infinite, and C_w with it"
        + ("" if masked else " for data with a density, unless lam is cut"),
        "inconclusive": f"{what} diverges or nearly so",
    }[constant.verdict]
    return {
        "c_w": {"verdict": constant.verdict, "integral": _number(constant.value), "reason": reason},
        "noise_end": {"limit": _number(limit.value), "reason": limit.reason},
    }


def _at(subject: Objective, lam: Sequence[float] | np.ndarray) -> list[float]:
    at = torch.tensor(list(lam), dtype=torch.float64)
    return canonical_at(subject.path, subject.law, subject.weighting, at).tolist()


def _intervals(intervals: list[Interval]) -> str:
    shown = ", ".join(f"({low:.4g}, {high:.4g})" for low, high in intervals[:3])
    return shown + (f" and {len(intervals) - 3} more" if len(intervals) > 3 else "")


def _number(value: float) -> float | str:
    """JSON has no infinity."""
    return value if math.isfinite(value) else ("inf" if value > 0 else "-inf")
