r"""The bound property: is a weighted loss a sum of variational bounds with positive coefficients?

With w the canonical weight and s = 1 - t the noise-time,

.. math:: \int w \ell_\theta - C_w = \int KL(q \| p_\theta^{(s)}) \, \nu(ds) + \dots \ge 0,
          \qquad w(s) = \nu([s_{min}, s]), \quad \nu \ge 0,

so w has to be finite, not negative, and must not rise with t, that is with lam (001 Theorem 2, Kingma & Gao 2023). The
sum is unique for a network that is conditioned on t, so a weight that rises somewhere has no such representation; a
network without time input may do with less. Whatever w >= 0 is, it certifies its running minimum, the greatest weight
below it that never rises; its running maximum from the data end is the smallest certified weight above it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from reproflow.numerics import monotonicity
from reproflow.numerics.monotonicity import Sampled

Function = Callable[[np.ndarray], np.ndarray]

DEFAULT_RANGE = (1e-4, 1 - 1e-4)
POINTS = 100_101
CLOSEST = 8
"""How many times looked at there are from one rise to the next, at the least, for each of them to be counted."""
CERTIFIED = "certified"
NOT_REPRESENTABLE = "not_representable"
TOO_SMALL = "inconclusive"
"""The verdict on a weight that is too small for float64 to tell whether it rises."""
LEAST = 1e-315
SMALL = 1e-300


@dataclass(frozen=True)
class Rise:
    """A stretch on which w rises with lam: its ends in t and in lam."""

    t: tuple[float, float]
    lam: tuple[float, float]


@dataclass(frozen=True)
class Bound:
    """The verdict on a canonical weight, over the t of `range`.

    `rises` are the pieces on which it rises; `minorant` is the share of the integral of w dlam that its running minimum
    holds, None where w is not a weight; `resolution` is the number of times looked at. `lam`, `w` and `majorant` are
    the weight as sampled and its running maximum from the data end, `t` the times.
    """

    verdict: str
    reason: str
    rises: tuple[Rise, ...]
    minorant: float | None
    resolution: int
    lam: np.ndarray
    w: np.ndarray
    majorant: np.ndarray
    t: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @property
    def hull(self) -> Rise | None:
        """From the first rise to the last."""
        if not self.rises:
            return None
        first, last = self.rises[0], self.rises[-1]
        return Rise((first.t[0], last.t[1]), (first.lam[0], last.lam[1]))


def analyse(
    w: Function,
    lam: Function,
    t_range: tuple[float, float] = DEFAULT_RANGE,
    points: int = POINTS,
    times: np.ndarray | None = None,
) -> Bound:
    """The bound property of w(t) on a range of t.

    w and lam are callables on float64 arrays of t, lam increasing. The grid has `points` times uniform in t and as many
    uniform in lam, or it is `times`, in order from end to end of the range; it is refined where w bends.
    """
    on = monotonicity.sample(w, grid(lam, t_range, points) if times is None else times)
    rises = _rises(lam, monotonicity.rises(w, _finite(on)))
    on = _with_ends(w, on, rises)
    fault = _fault(on)
    reason = fault or _risen(rises, on.t) if fault or rises else "w is finite, not negative and nowhere rises with lam"
    verdict = NOT_REPRESENTABLE if fault or rises else CERTIFIED
    if verdict == CERTIFIED and np.median(on.v) < LEAST and on.v.max() < SMALL:
        verdict = TOO_SMALL
        reason = f"w underflows: at most {on.v.max():.3g}, it has too few digits in float64; multiply it by a constant"
    finite = _finite(on).v
    return Bound(
        verdict,
        reason,
        tuple(rises),
        _minorant(lam(on.t), on.v, bool(rises)),
        len(on.t),
        lam(on.t),
        on.v,
        np.maximum.accumulate(finite[::-1])[::-1],
        on.t,
    )


def grid(lam: Function, t_range: tuple[float, float], points: int) -> np.ndarray:
    """Times of which `points` are uniform in t and as many uniform in lam (to interpolation), in order."""
    low, high = t_range
    uniform = np.linspace(low, high, points)
    near = (high - low) * np.geomspace(1e-12, 0.5, 4000)
    known = np.unique(np.concatenate([uniform, low + near, high - near]))
    at = lam(known)
    return np.unique(np.concatenate([uniform, np.interp(np.linspace(at[0], at[-1], points), at, known)]))


def _rises(lam: Function, pieces: list[tuple[float, float]]) -> list[Rise]:
    if not pieces:
        return []
    at = lam(np.array(pieces).ravel()).reshape(-1, 2).tolist()
    return [Rise(piece, (low, high)) for piece, (low, high) in zip(pieces, at, strict=True)]


def _finite(on: Sampled) -> Sampled:
    """Infinite values as very large ones, so that differences stay numbers."""
    large = np.finfo(float).max / 1e10
    return Sampled(on.t, np.nan_to_num(on.v, posinf=large, neginf=-large), on.noise)


def _with_ends(w: Function, on: Sampled, rises: list[Rise]) -> Sampled:
    """The sample with the located ends of every rise."""
    ends = np.setdiff1d(np.array([end for rise in rises for end in rise.t]), on.t)
    at = np.searchsorted(on.t, ends)
    noise = np.insert(on.noise, at, 0.0)
    return Sampled(np.insert(on.t, at, ends), np.insert(on.v, at, w(ends)), noise) if len(ends) else on


def _fault(on: Sampled) -> str:
    """Why w is not a weight at all, or nothing."""
    infinite, negative = ~np.isfinite(on.v), on.v < -8 * on.noise
    if negative.any():
        first, last = on.t[negative][0], on.t[negative][-1]
        least = float(on.v[negative].min())
        return f"w is negative between t = {first:.6g} and {last:.6g}, down to {least:.3g}; a measure is not"
    if infinite.any():
        return f"w is infinite at t = {on.t[infinite][0]:.6g}, inside the range, or too large for float64"
    return "" if (on.v > 0).any() else "zero objective: w is zero everywhere, there is nothing to bound"


def _risen(rises: list[Rise], t: np.ndarray) -> str:
    """What rises, in words; whether there may be more than the times show."""
    low, high = rises[0], rises[-1]
    where = f"lam from {low.lam[0]:.4g} to {high.lam[1]:.4g} (t from {low.t[0]:.4g} to {high.t[1]:.4g})"
    pieces = "" if len(rises) == 1 else f" in {len(rises)} pieces"
    if len(rises) > 1 and np.median(np.diff(np.searchsorted(t, [rise.t[0] for rise in rises]))) <= CLOSEST:
        pieces += " or more (they follow each other as closely as the times looked at)"
    kind = "steps up" if all(rise.t[1] - rise.t[0] < 1e-12 for rise in rises) else "rises"
    return f"w {kind} with lam{pieces}: {where}; as a sum of bounds it would need negative coefficients there"


def _minorant(lam: np.ndarray, w: np.ndarray, rises: bool) -> float | None:
    """The share of the integral of w dlam under its running minimum; infinite values at single times are left out."""
    infinite = np.isinf(w)
    if (w < 0).any() or not (w > 0).any():
        return None
    if (infinite[1:] & infinite[:-1]).any():
        return 0.0
    lam, w = lam[~infinite], w[~infinite]
    return _area(lam, np.minimum.accumulate(w)) / _area(lam, w) if rises else 1.0


def _area(x: np.ndarray, y: np.ndarray) -> float:
    return float((np.diff(x) * (y[1:] + y[:-1])).sum() / 2)
