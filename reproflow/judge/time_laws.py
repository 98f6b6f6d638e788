r"""Judging a time law: is its quantile map one, and does the law reach every time?

`valid` asks whether the map Q from u in (0, 1) to t is non-decreasing, into [0, 1]. `dominates_lebesgue` asks whether
every set of times of positive length has positive probability, as Lemma 4.7 of 000 wants: atoms (flat pieces of Q) do
no harm, a gap (a jump of Q, or what it leaves out at an end) refutes it, and a law of atoms alone is all gap. Without a
gap it is supported at the resolution at which the probability was seen to be spread evenly
(`theory.time_law_resolution`). The density is :math:`\pi(t) = 1/Q'(Q^{-1}(t))`.
"""

from __future__ import annotations

import math
import time as clock
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reproflow.foundation.code_limits import Budget
from reproflow.foundation.errors import UsageError
from reproflow.foundation.specs import Spec
from reproflow.foundation.verdicts import INCONCLUSIVE, REFUTED, SUPPORTED, number
from reproflow.judge import law_sources
from reproflow.judge.laws import time_law
from reproflow.judge.time_budget import limited
from reproflow.numerics import derivatives, intervals, monotonicity
from reproflow.numerics.bisection import bisect
from reproflow.numerics.derivatives import Mode
from reproflow.numerics.intervals import Interval
from reproflow.theory import pointwise, time_direction, time_law_densities, time_law_resolution, time_law_support
from reproflow.theory.time_law_resolution import Resolution
from reproflow.theory.times import GAP, TimeLaw

AT = tuple(k / 10 for k in range(1, 10))
POINTS = 16384
SLACK = 1e-12
EPSILON = 2.0**-53
MANY = 1000


@dataclass(frozen=True)
class TimeJudgement:
    """What was found; `as_dict` has the keys of `reproflow check time --json`."""

    spec: str
    valid: dict[str, Any]
    dominates_lebesgue: dict[str, Any]
    atoms: list[dict[str, float]]
    density_at: dict[str, Any]
    seconds: float
    time_runs: str = time_direction.NOISE_TO_DATA
    source: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """A dictionary that JSON can hold: an infinite density is "inf", one that does not exist is null."""
        return dict(vars(self))

    @property
    def exit_code(self) -> int:
        """0: valid, and no gap; 5: valid, in single precision, or from draws with stretches undrawn; 3 otherwise."""
        verdicts = {self.valid["verdict"], self.dominates_lebesgue["verdict"]}
        if verdicts == {SUPPORTED}:
            return 0
        return 5 if INCONCLUSIVE in verdicts else 3


def time(spec: str | Spec, time_runs: str | None = None) -> TimeJudgement:
    """The judgement on a time law: a registered name, `FILE.py:FUNCTION` or an expression in u, or its other forms.

    `density:..` gives an unnormalised density, `sampler:..` a function that draws (`law_forms`); `source` says how well
    the law is known from it.
    With `time_runs` "data-to-noise" a function or an expression has the data at t = 0; the answer has it at t = 1.

    Raises `UsageError` for a spec that cannot be used, and for a map that is NaN, of another shape, random, or raises.
    """
    started = clock.monotonic()
    turn, direction = time_direction.is_turned(time_runs), time_runs or time_direction.NOISE_TO_DATA
    if parts := law_sources.without_map(str(spec), turn):
        return TimeJudgement(str(spec), **parts, seconds=round(clock.monotonic() - started, 3), time_runs=direction)
    law = limited(time_law(spec, fine=True, turned=turn), Budget())
    pointwise.check_time_law(law)
    sampled = _sampled(law)
    valid = _valid(law, sampled)
    good = valid["verdict"] == SUPPORTED
    gaps, atoms = (time_law_support.gaps(law), _atoms(law, sampled)) if good else ((), [])
    pi = _density(law, gaps, atoms) if good else [None] * len(AT)
    return TimeJudgement(
        spec=str(spec),
        valid=valid,
        dominates_lebesgue=_dominates(law, gaps, atoms, sampled) if good else _undefined(valid),
        atoms=[{"t": place, "mass": mass} for place, mass in atoms],
        density_at={"t": list(AT), "pi": pi},
        seconds=round(clock.monotonic() - started, 3),
        time_runs=direction,
        source=law_sources.of_density(law),
    )


def _sampled(law: TimeLaw) -> monotonicity.Sampled:
    """Q on a grid of u that comes close to both ends, refined where it bends."""

    def quantile(u: np.ndarray) -> np.ndarray:
        return _quantile(law, torch.from_numpy(u)).numpy()

    ends = 2.0 ** -np.arange(2.0, 53.0)
    grid = np.unique(np.concatenate([(np.arange(POINTS) + 0.5) / POINTS, ends, 1 - ends]))
    with np.errstate(all="ignore"):
        return monotonicity.sample(quantile, grid)


def _quantile(law: TimeLaw, u: Tensor) -> Tensor:
    t = law.quantile(u).detach()
    if bool(t.isnan().any()):
        first = float(u[t.isnan()].min())
        raise UsageError(f"time law {law.name!r} is NaN at u = {first:.6g}; it must be a number everywhere in (0, 1).")
    return t


def _valid(law: TimeLaw, sampled: monotonicity.Sampled) -> dict[str, Any]:
    """Whether the map stays in [0, 1] and does not fall by more than rounding, and a stated density is its own."""
    u, t = sampled.t, sampled.v
    broken = []
    outside = ~((t >= 0) & (t <= 1))
    if outside.any():
        first = int(outside.argmax())
        broken.append(f"t = {t[first]:.6g} at u = {u[first]:.6g}, outside [0, 1]")
    highest = np.maximum.accumulate(t)
    with np.errstate(invalid="ignore"):
        fallen = np.nan_to_num(highest - t) - np.maximum(SLACK, 8 * sampled.noise)
    if fallen.max() > 0:
        last = int(fallen.argmax())
        first = int(t[: last + 1].argmax())
        before, after = (f"t = {t[i]:.6g} at u = {u[i]:.6g}" for i in (first, last))
        broken.append(f"the map falls from {before} to {after}; a quantile map does not")
    if not broken and (contradiction := time_law_densities.contradiction(law)):
        broken.append(contradiction)
    sound = f"non-decreasing from t = {t[0]:.4g} to {t[-1]:.4g}, at the {len(u)} u looked at"
    return {"verdict": REFUTED if broken else SUPPORTED, "reason": "; ".join(broken) or sound}


def _atoms(law: TimeLaw, sampled: monotonicity.Sampled) -> list[tuple[float, float]]:
    """The times that have a probability of their own, and that: flat pieces of Q, in order, a thousand at most."""
    if pointwise.vetted(law) and law.entry.meta.get("density"):
        return []
    u, t = sampled.t, sampled.v
    # Rounding flattens a map near u = 0 and 1; an atom is flat over a cell of the grid at least.
    flat = (np.diff(t) == 0) & (np.diff(u) > 0.25 / POINTS)
    places = np.unique(t[:-1][flat])[:MANY]
    if not len(places):
        return []
    low, high = _at_or_above(law, places, strictly=False), _at_or_above(law, places, strictly=True)
    real = (high - low > 0.25 / POINTS) & _leaves(law, places, low, high)
    return [(float(place), float(mass)) for place, mass in zip(places[real], (high - low)[real], strict=True)]


def _leaves(law: TimeLaw, t: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Whether Q leaves a flat piece for good at one end at least, or never does.

    A map such as 0.3 + u^4 is flat near u = 0 by rounding alone: a twentieth of the piece beyond its end, it has moved
    by a few last digits.
    """
    step = 0.05 * (high - low)
    whole = (low - step <= 0) & (high + step >= 1)
    for u in (low - step, high + step):
        there = _quantile(law, torch.from_numpy(u.clip(1e-300, 1 - EPSILON))).numpy()
        whole |= (u > 0) & (u < 1) & (np.abs(there - t) > 64 * np.spacing(t))
    return whole


def _at_or_above(law: TimeLaw, t: np.ndarray, strictly: bool) -> np.ndarray:
    """The u from which on Q(u) >= t, or > t."""
    place = torch.from_numpy(t)
    low, high = torch.zeros_like(place), torch.ones_like(place)

    def below(u: Tensor) -> Tensor:
        value = _quantile(law, u)
        return value <= place if strictly else value < place

    return bisect(below, low, high, 52).numpy()


def _dominates(
    law: TimeLaw, gaps: tuple[Interval, ...], atoms: list[tuple[float, float]], sampled: monotonicity.Sampled
) -> dict[str, Any]:
    """The verdict on the gaps: `gap` is the longest, `gaps` all of them."""
    beside = f"; {_atom_words(atoms)}" if atoms else ""
    if not gaps:
        return _seen(time_law_resolution.resolution(law), beside)
    if not atoms and bool((sampled.v == sampled.v.astype(np.float32)).all()):
        words = "the map is computed in single precision, whose steps are gaps themselves; u is float64, keep it so"
        return _answer(INCONCLUSIVE, words)
    length = sum(high - low for low, high in gaps)
    shown = ", ".join(_told(*gap) for gap in gaps[:3])
    shown += f" and {len(gaps) - 3} more" if len(gaps) > 3 else ""
    words = f"never draws t in {shown} (length {length:.4g})"
    if math.isclose(length, 1.0, abs_tol=1e-6):
        words = "a law of atoms alone: it is all gap"
    return _answer(REFUTED, words + beside, gaps)


def _seen(seen: Resolution, beside: str) -> dict[str, Any]:
    """The verdict on a law without gaps: as fine as it has been seen."""
    length, below = seen.within((0.0, 1.0))
    if length is None:
        words = f"no gap longer than 1e-9, but {seen.text((0.0, 1.0))}: sets that are never drawn may lie there"
        return _answer(INCONCLUSIVE, words + beside, (), None, below)
    words = f"every set of positive length has positive probability, {seen.text((0.0, 1.0))}: no gap longer than 1e-9"
    return _answer(SUPPORTED, words + beside, (), length, below)


def _answer(
    verdict: str | None,
    reason: str,
    gaps: tuple[Interval, ...] = (),
    resolution: float | None = None,
    below: float | None = None,
) -> dict[str, Any]:
    longest = max(gaps, key=lambda gap: gap[1] - gap[0], default=None)
    return {
        "verdict": verdict,
        "gap": longest and list(longest),
        "gaps": [list(gap) for gap in gaps],
        "resolution": resolution,
        "below_resolution": below,
        "reason": reason,
    }


def _told(low: float, high: float) -> str:
    first, last = f"{low:.6g}", f"{high:.6g}"
    return f"({first}, {last})" if first != last else f"({first}, {first} + {high - low:.2g})"


def _atom_words(atoms: list[tuple[float, float]]) -> str:
    shown = ", ".join(f"P(t = {place:.4g}) = {mass:.4g}" for place, mass in atoms[:3])
    more = f" and {len(atoms) - 3} more" if len(atoms) > 3 else ""
    return f"{'atoms' if len(atoms) > 1 else 'an atom'}, {shown}{more}"


def _undefined(valid: dict[str, Any]) -> dict[str, Any]:
    return _answer(None, f"no time law: {valid['reason']}")


def _density(law: TimeLaw, gaps: tuple[Interval, ...], atoms: list[tuple[float, float]]) -> list[float | str | None]:
    """pi at `AT`: 0 in a gap, infinite at an atom."""
    t = torch.tensor(AT, dtype=torch.float64)
    pi = law.density(t) if law.entry.meta.get("density") else _from_map(law, t)
    pi = torch.where(intervals.inside(gaps, t), 0.0, pi)
    for place, _ in atoms:
        pi = torch.where((t - place).abs() <= GAP, math.inf, pi)
    return [number(float(value)) for value in pi]


def _from_map(law: TimeLaw, t: Tensor) -> Tensor:
    """1/Q'(u) where Q(u) = t, and 0 where no u gives t."""
    u = law.cdf(t)
    reached, slope = _with_slope(law, u)
    return torch.where((reached - t).abs() <= GAP, 1 / slope, 0.0)


def _with_slope(law: TimeLaw, u: Tensor) -> tuple[Tensor, Tensor]:
    """Q and Q' at u, backwards; by differences where that gives NaN, which `where` passes on from the other branch.

    Forward mode minds only the branch taken, too, and takes five seconds to import.
    """
    value, slope = derivatives.with_slope(law.quantile, u, Mode.REVERSE)
    h = 1e-4 * torch.minimum(u, 1 - u)
    wide, narrow = ((_quantile(law, u + k * h) - _quantile(law, u - k * h)) / (2 * k * h) for k in (2, 1))
    return value, torch.where(slope.isnan(), (4 * narrow - wide) / 3, slope).abs()
