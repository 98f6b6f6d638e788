"""The three verdicts on a weighting, from what was found about it, each with its reason in plain words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from reproflow.foundation.verdicts import INCONCLUSIVE, REFUTED, SUPPORTED, number
from reproflow.judge.objectives import integrability as means
from reproflow.judge.objectives import witnesses
from reproflow.judge.objectives.numeric_objective import WHOLE, NumericObjective
from reproflow.judge.objectives.unseen import Unseen
from reproflow.judge.objectives.unseen import text as text_of
from reproflow.numerics import intervals as on_intervals
from reproflow.numerics.intervals import Interval
from reproflow.numerics.quadrature import Integral
from reproflow.theory import bounds
from reproflow.theory.bounds import CERTIFIED, Bound

FALSIFIED = "falsified"
SHOWN = 1000
"""The most pieces of a rise that are listed."""


def admissible(
    subject: NumericObjective,
    mean: Integral,
    negative: list[Interval],
    zero: list[Interval],
    unseen: Unseen,
    t_range: Interval,
) -> dict[str, Any]:
    """Every hypothesis of Lemma 4.7 of 000, over a range of t, as far as it has been seen."""
    broken = [f"w is negative on {text_of(negative)}"] if negative else []
    gaps = on_intervals.clipped(subject.gaps, t_range)
    if mean.verdict == "infinite":
        broken.append(f"E[w] is infinite: {_pole(mean)}")
    if gaps:
        broken.append(f"the time law never draws t in {text_of(gaps)}, so it does not dominate Lebesgue's measure")
    if own := [each for each in zero if each not in gaps]:
        broken.append(f"w is zero on {text_of(own)}")
    error = "cross-entropy" if subject.output == "ce" else f"{subject.output} error"
    what = f"the coefficient of the {error} under {subject.objective.time.name} time" + _over(t_range)
    doubts = unseen.doubts + ([_doubt(mean)] if mean.verdict == INCONCLUSIVE else [])
    if broken:
        verdict, reason = REFUTED, "; ".join(broken)
    elif doubts:
        verdict, reason = INCONCLUSIVE, "; ".join(doubts)
    else:
        about = f" to {mean.error:.2g}" if mean.error > 1e-6 * abs(mean.value) else ""
        reason = f"w > 0 almost everywhere {unseen.note()}, and {what} has the mean {mean.value:.6g}{about}"
        verdict = SUPPORTED
    return {"verdict": verdict, "mass": number(mean.value), "resolution": unseen.resolution(), "reason": reason}


def _over(t_range: Interval) -> str:
    return "" if t_range == WHOLE else f" on t in [{t_range[0]:g}, {t_range[1]:g}]"


def _doubt(mean: Integral) -> str:
    reasons = []
    if any(pole.verdict == INCONCLUSIVE for pole in mean.poles):
        reasons.append(f"E[w] may be infinite: {_pole(mean)}, too close to t^-1 to tell")
    if mean.unresolved is not None:
        reasons.append(f"around {mean.unresolved:.6g} w pi changes faster than the quadrature can follow")
    return "; ".join(reasons)


def _pole(mean: Integral) -> str:
    pole = mean.worst
    if pole.exponent == -np.inf:
        return f"w pi is infinite, or too large for float64, around t = {pole.place:.4g}"
    return f"w pi ~ |t - {pole.place:.4g}|^{pole.exponent:.3g} at t = {pole.place:.4g}"


def identified(
    negative: list[Interval], zero: list[Interval], infinite: list[Interval], unseen: Unseen
) -> dict[str, Any]:
    """Whether w pi > 0 almost everywhere, as far as seen; `zero` holds the gaps of the time law too."""
    beside = f", as far as a loss that is infinite on {text_of(infinite)} has any" if infinite else ""
    broken = [f"w is negative on {text_of(negative)}: the loss has no minimum there"] if negative else []
    if zero:
        length = sum(high - low for low, high in zero)
        broken.append(f"w pi is zero on {text_of(zero)} (length {length:.4g}): the network may do anything there")
    doubtful = INCONCLUSIVE if unseen.doubts else SUPPORTED
    sound = f"w pi > 0 almost everywhere {unseen.note()}: the minimiser is unique{beside}"
    return {
        "verdict": REFUTED if broken else doubtful,
        "zero_set": [list(each) for each in zero],
        "unresolved": [list(each) for each in unseen.lost],
        "reason": "; ".join(broken or unseen.doubts) or sound,
    }


def bound_property(
    subject: NumericObjective, bound: Bound, bound_range: Interval, lam: Sequence[float], whole: bool = True
) -> dict[str, Any]:
    """The bound property (`theory.bounds`), with a witness where there is one, advice and flags.

    `whole` says that the range is a default, beyond which w goes on.
    """
    searched = witnesses.wanted(bound)
    witness = witnesses.find(subject, bound, whole) if searched else None
    hull, reason = bound.hull, bound.reason + ("" if bound.minorant in (None, 1.0) else _minorant(bound))
    if subject.resolved < bound_range[1] - 1e-6:
        reason += f"; looked at up to t = {subject.resolved:.6g}, beyond which the quantile map has too few digits"
    if witness is not None:
        reason += f"; the inequality itself fails: {witnesses.text(witness)}"
    elif searched:
        reason += f"; no witness against the inequality was found among {witnesses.families(subject.objective.process)}"
    violation = hull and {
        **_ends(hull),
        "intervals": [_ends(each) for each in bound.rises[:SHOWN]],
        "count": len(bound.rises),
    }
    return {
        "verdict": bound.verdict if witness is None else FALSIFIED,
        "violation": violation,
        "witness": witness and witnesses.as_dict(witness),
        "minorant": bound.minorant,
        "resolution": bound.resolution,
        "advice": _advice(bound, lam),
        "flags": _flags(subject, bound),
        "reason": reason,
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


def _flags(subject: NumericObjective, bound: Bound) -> dict[str, Any]:
    """What is worth knowing beside the verdict: whether C_w is finite, and what w tends to at the noise end."""
    constant, limit = means.bound_constant(subject, bound.t), means.noise_limit(subject)
    of_bound = means.BOUND_CONSTANTS[subject.objective.process]()
    what = of_bound.what
    doubt = f"{what} diverges or nearly so"
    if constant.unresolved is not None:
        doubt = f"around t = {constant.unresolved:.6g} w changes faster than the quadrature of {what} can follow"
    reason = {
        "finite": f"C_w is finite: {what} is",
        "infinite": f"{what} is infinite, and C_w with it{of_bound.exception}",
        "inconclusive": doubt,
    }[constant.verdict]
    return {
        "c_w": {"verdict": constant.verdict, "integral": number(constant.value), "reason": reason},
        "noise_end": {"limit": number(limit.value), "reason": limit.reason},
    }
