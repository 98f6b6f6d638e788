r"""An objective whose time law is known by its draws: verdicts that stay open where draws cannot tell.

Between neighbouring quantiles z_j of the draws the canonical weight has the mean

.. math:: \bar w_j = \frac{P(T \in (z_j, z_{j+1}))}{\int_{z_j}^{z_{j+1}} |\dot\lambda| / (2 c_\epsilon) \, dt},

an average of w with positive weights. So where w does not rise neither does the mean, and a rise of the means beyond
their sampling error shows that w rises. That it nowhere rises no number of draws can show. The ends of the stretches
come from one half of the draws, the counts from the other.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from reproflow.foundation.verdicts import INCONCLUSIVE, REFUTED, SUPPORTED
from reproflow.judge.drawn_laws import DRAWN, DRAWS, UNSEEN, Draws
from reproflow.judge.objectives.numeric_objective import NumericObjective
from reproflow.numerics import gauss_rules
from reproflow.theory.bounds import NOT_REPRESENTABLE

STRETCHES = 48
NODES = 16
STANDARD_ERRORS = 6.0


def draws_of(subject: NumericObjective) -> Draws | None:
    """The draws that the objective's law is known by, or nothing."""
    found: Draws | None = subject.objective.time.entry.meta.get(DRAWN)
    return found


def revised(subject: NumericObjective, found: Draws, told: dict[str, Any]) -> dict[str, Any]:
    """`admissible`, `identified` and `bound` in the place of those of the smooth law in `told`."""
    return {
        "admissible": _admissible(subject, found, told["admissible"]),
        "identified": _identified(found, told["identified"]),
        "bound": _bound(subject, found, told["bound"]),
    }


def _admissible(subject: NumericObjective, found: Draws, smooth: dict[str, Any]) -> dict[str, Any]:
    """Refuted by a draw with a negative or an infinite weight; else open: a mean of draws is always finite."""
    value = subject.value(np.clip(found.t, 1e-12, 1 - 1e-12))
    mean, error = float(value.mean()), float(value.std()) / math.sqrt(DRAWS)
    if (value < 0).any() or np.isinf(value).any() or (value == 0).mean() > UNSEEN:
        reason = f"w is negative, zero or infinite at times that are drawn: {smooth['reason']}"
        return {**smooth, "verdict": REFUTED, "reason": reason}
    reason = (
        f"the mean of w over {DRAWS} draws is {mean:.5g} +- {error:.1g}; whether what has a probability under "
        f"{UNSEEN:.2g} adds an infinite amount, or is never drawn, draws cannot tell"
    )
    return {**smooth, "verdict": INCONCLUSIVE, "mass": mean if math.isfinite(mean) else "inf", "reason": reason}


def _identified(found: Draws, smooth: dict[str, Any]) -> dict[str, Any]:
    ends = _ends(found)
    own = [each for each in smooth["zero_set"] if not any(low <= each[0] and each[1] <= high for low, high in ends)]
    if own:
        return {**smooth, "zero_set": own}
    if found.undrawn:
        reason = f"no draw in {len(found.undrawn)} stretches of t: they may be trained rarely, or not at all"
        return {**smooth, "verdict": INCONCLUSIVE, "zero_set": [], "reason": reason}
    reason = f"w pi > 0 wherever {DRAWS} draws resolve it, in every thousandth of (0, 1)"
    return {**smooth, "verdict": SUPPORTED, "zero_set": [], "reason": reason}


def _ends(found: Draws) -> list[tuple[float, float]]:
    """Where the smooth law is zero for want of draws: beyond the first and the last."""
    return [(0.0, float(found.t[0]) + 1e-9), (float(found.t[-1]) - 1e-9, 1.0)]


def _bound(subject: NumericObjective, found: Draws, smooth: dict[str, Any]) -> dict[str, Any]:
    empty = {"violation": None, "witness": None, "minorant": None, "advice": None, "flags": None}
    edges, mean, error = means(subject, found)
    bad = ~(np.isfinite(mean) & (mean >= 0))
    if bad.any():
        words = f"w is negative or infinite between t = {edges[:-1][bad][0]:.4g} and {edges[1:][bad][0]:.4g}"
        return {**smooth, **empty, "verdict": NOT_REPRESENTABLE, "reason": words}
    with np.errstate(divide="ignore"):
        low, high = (np.log(mean) + sign * STANDARD_ERRORS / math.sqrt(2) * error for sign in (-1, 1))
    least = np.minimum.accumulate(high)
    risen = np.flatnonzero(low[1:] > least[:-1])
    if len(risen):
        last = int(risen[0]) + 1
        first = int(np.argmin(high[:last]))
        where = f"from t in ({edges[first]:.4g}, {edges[first + 1]:.4g}) to ({edges[last]:.4g}, {edges[last + 1]:.4g})"
        words = (
            f"w rises with lam {where}, from {mean[first]:.4g} to {mean[last]:.4g} on average, by more than six "
            "standard errors of the draws; as a sum of bounds it would need negative coefficients there"
        )
        return {**smooth, **empty, "resolution": len(mean), "verdict": NOT_REPRESENTABLE, "reason": words}
    words = (
        f"the means of w over {len(mean)} stretches of t do not rise by more than the error of the draws, "
        f"{100 * float(error.max()):.2g} % each; that w itself never rises draws cannot tell: give the density"
    )
    return {**smooth, **empty, "resolution": len(mean), "verdict": INCONCLUSIVE, "reason": words}


def means(subject: NumericObjective, found: Draws) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ends of the stretches (J+1,), the mean of w on each (J,), and its standard error relative to itself (J,)."""
    places, counted = found.t[::2], found.t[1::2]
    edges = np.quantile(places, np.arange(STRETCHES + 1) / STRETCHES).clip(1e-9, 1 - 1e-9)
    count = np.histogram(counted, edges)[0]
    # In the logit of t: towards the ends 1/w may go like a power of t or 1 - t, which no polynomial follows.
    logit = (np.log(edges) - np.log1p(-edges)).tolist()
    rules = [gauss_rules.legendre_on(low, high, NODES) for low, high in itertools.pairwise(logit)]
    z, step = (np.stack([rule[part].numpy() for rule in rules]) for part in (0, 1))
    t = 1 / (1 + np.exp(-z))
    step = step * t * (1 - t)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = (subject.density(t.ravel()) / subject.w(t.ravel())).reshape(t.shape)
        return edges, count / len(counted) / (rate * step).sum(1), 1 / np.sqrt(count)
