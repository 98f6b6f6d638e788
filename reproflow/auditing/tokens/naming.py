r"""The parts of a measured loss of masked tokens by name, its canonical weight, and the objective that it is.

With alpha = 1 - m the probability of being shown, a loss with the coefficient c(m) on the cross-entropy of a masked
token and rates of the density p(alpha) has the weight (`theory.objective`)

.. math:: w(\lambda) = p(\alpha)\, c\, m, \qquad \lambda = \log \frac{\alpha}{1 - \alpha},

whatever path and time law its rates came from; of steps, counted from the data, w_i = pi_i c_i m_i / (m_i - m_{i-1}).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from reproflow.auditing.identification import Identification
from reproflow.auditing.measured_loss import Times
from reproflow.auditing.naming import candidates, expectation, verdict
from reproflow.auditing.naming.comparison import compare
from reproflow.auditing.naming.density import Weight
from reproflow.auditing.naming.laws import line
from reproflow.auditing.naming.numbers import plain, shortest, text, thinned
from reproflow.auditing.reading import MeasuredTokens
from reproflow.foundation import registry
from reproflow.foundation.errors import UsageError
from reproflow.foundation.tables import Table
from reproflow.judge.levels import judgement as chains
from reproflow.judge.levels import schedule
from reproflow.judge.objectives.judgement import objective
from reproflow.numerics import splines
from reproflow.numerics.derivatives import Mode
from reproflow.theory.log_snr import invert_lam
from reproflow.theory.paths import get_path

if TYPE_CHECKING:
    from reproflow.auditing.audit import Expected
    from reproflow.auditing.reading import Reading

PROCESS = "masked"
FEWEST = 8
SAME = 1e-3
"""The relative error up to which a coefficient has a name."""
LAW = 1e-5
"""The distance in u up to which a law of exact quantiles has a name; of ranks half of one, of draws Kolmogorov's."""
KOLMOGOROV = 1.2
EDGE = 2
"""Steps at either end whose density is not known."""


def identify(
    reading: Reading, expect: Expected | None = None, data: tuple[float, float] | None = None
) -> Identification:
    """Names, canonical weight, verdict and expectation of what was read; tokens have no scale, so `data` is not used.

    Raises `UsageError` for an expectation that cannot be used.
    """
    table = reading.measured
    rates = _Rates.of(table) if isinstance(table, MeasuredTokens) else None
    if rates is None or len(rates.m) < FEWEST:
        expected = expectation.compared(None, expect, process=PROCESS)[0] if expect is not None else None
        return Identification(expected=expected)
    schedules = tuple(_schedules(rates))
    form, error, named = _coefficient(rates, schedules)
    names = _names(reading, rates, schedules, form, error)
    if reading.coupled:
        expected = expectation.compared(None, expect, process=PROCESS)[0] if expect is not None else None
        return Identification(**names, expected=expected)
    weight = _weight(rates)
    same = candidates.same_as(weight)
    expected, unlike = expectation.compared(weight, expect, process=PROCESS) if expect is not None else (None, ())
    judged = _by_parts(weight, schedules, named) or verdict.by_candidate(weight, same) or _by_table(rates, weight)
    at = thinned(len(weight.lam))
    return Identification(
        **names,
        canonical={
            "lam": plain(weight.lam[at]),
            "w": plain(weight.w[at]),
            "precision": float(np.median(weight.precision)),
        },
        same_as=tuple(each.as_dict() for each in same),
        judged=judged,
        expected=expected,
        findings=unlike,
    )


@dataclass(frozen=True)
class _Rates:
    """The measured table without its ends 0 and 1, alpha ascending; `u` is the mass of the rates at or above m."""

    table: MeasuredTokens
    m: np.ndarray
    c: np.ndarray
    u: np.ndarray
    given: np.ndarray

    @classmethod
    def of(cls, table: MeasuredTokens) -> _Rates:
        u = np.cumsum(table.law) - 0.5 * table.law if table.steps else table.law
        kept = (table.m > 0) & (table.m < 1) & np.isfinite(table.c) & (u > 0) & (u < 1)
        kept &= np.append(True, np.diff(table.m) < 0)  # ties are one level
        return cls(table, table.m[kept], table.c[kept], u[kept], table.given[kept])

    @property
    def lam(self) -> np.ndarray:
        """log(alpha / (1 - alpha))."""
        return np.log1p(-self.m) - np.log(self.m)

    @property
    def law_error(self) -> float:
        """The distance in u that is none."""
        if self.table.draws:
            return KOLMOGOROV * self.table.draws**-0.5
        ranks = self.table.read in ("ranks", "one a batch") or self.table.steps
        return max(LAW, 0.75 / len(self.m)) if ranks else LAW


@dataclass(frozen=True)
class _Schedule:
    """A registered path on which the law of the times has a name, and that law as a command line says it."""

    path: str
    time: str
    t: np.ndarray
    error: float


def _schedules(rates: _Rates) -> Iterator[_Schedule]:
    """Paths by the law of their times, the uniform one in full first."""
    found = []
    for spec in _paths(rates):
        path = get_path(spec, PROCESS, Mode.REVERSE)
        t = invert_lam(path, torch.from_numpy(rates.lam)).numpy()
        if not np.isfinite(t).all():
            continue
        low, width, error = line(rates.u, t)
        if error > rates.law_error or width <= 0:
            continue
        low, high = (shortest(each, 1e-4, 2 * rates.law_error) for each in (low, low + width))
        whole = abs(low) < 2e-3 and abs(high - 1) < 2e-3
        time = "uniform" if whole else f"expr:{low:.6g} + {high - low:.6g}*u"
        found.append(_Schedule(spec, time, t, error))
    yield from sorted(found, key=lambda each: (each.time != "uniform", each.error))


def _paths(rates: _Rates) -> Iterator[str]:
    """The registered paths; the polynomial one with the power that the rates have."""
    for entry in registry.entries("path", PROCESS):
        if "n" not in entry.params:
            yield entry.name
    power = line(np.log1p(-rates.u), np.log(rates.m))[1]
    if power > 0 and abs(power - 1) > 1e-3:
        yield f"polynomial:n={text(power, 1e-3)}"


def _coefficient(rates: _Rates, schedules: tuple[_Schedule, ...]) -> tuple[str | None, float, str | None]:
    """(form, error, the spec of the weighting): what c is proportional to, the simplest first."""
    best = np.inf
    for form, spec, value in _forms(rates, schedules):
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = rates.c / value
            error = float(np.nan_to_num(np.abs(ratio / np.median(ratio) - 1), nan=np.inf)[_certain(rates)].max())
        if error <= max(SAME, rates.table.error):
            return form, error, spec
        best = min(best, error)
    return None, best, None


def _certain(rates: _Rates) -> np.ndarray:
    """Where alpha = 1 - m has digits in single precision: the user's own arithmetic loses them near m = 1."""
    return (rates.m < 1 - 1e-3) | (rates.m <= rates.m.min())


def _forms(rates: _Rates, schedules: tuple[_Schedule, ...]) -> Iterator[tuple[str, str, np.ndarray]]:
    m = rates.m
    yield "1", "expr:1", np.ones_like(m)
    yield "1/m", "expr:1/sigma", 1 / m
    yield "m", "expr:sigma", m
    yield "1/m**2", "expr:1/sigma**2", m**-2.0
    yield "(1 - m)/m", "expr:alpha/sigma", (1 - m) / m
    for each in schedules:
        c = get_path(each.path, PROCESS, Mode.REVERSE).at(torch.from_numpy(each.t))
        slope = c.dalpha.detach().numpy()
        yield f"alpha'/(1 - alpha) of the {each.path} path", "expr:dlam*alpha", slope / m
        yield f"(1 - alpha)/alpha' of the {each.path} path", "expr:1/(dlam*alpha)", m / slope
        yield f"1/alpha' of the {each.path} path", "expr:1/(dlam*alpha*sigma)", 1 / slope


def _names(
    reading: Reading, rates: _Rates, schedules: tuple[_Schedule, ...], form: str | None, error: float
) -> dict[str, Any]:
    at = thinned(len(rates.m))
    table = {"lam": plain(rates.lam[at]), "c": plain(rates.c[at])}
    rate = {"lam": plain(rates.lam[at]), "A": plain(1 - rates.m[at]), "B": plain(rates.m[at])}
    first = schedules[0] if schedules else None
    low, width, distance = line(rates.u, rates.m)
    uniform = distance <= rates.law_error
    ends = sorted((low, low + width))
    words = f"m ~ uniform({text(ends[0], 1e-4, 1e-6)}, {text(ends[1], 1e-4, 1e-6)})" if uniform else None
    if rates.table.steps:
        even = np.ptp(rates.table.law) <= 1e-9
        words = f"{'uniform on ' if even else ''}{len(rates.table.m)} values{'' if even else ', not equally likely'}"
    elif words is None and first is not None:
        words = f"{first.time} in t of the {first.path} path"
    draws = rates.table.draws
    law_error = distance if uniform or first is None else first.error
    law = {
        "name": words,
        "error": None if draws else law_error,
        "ks": law_error if draws else None,
        "n": draws or None,
    }
    given_as, given_error = _given(rates, schedules)
    return {
        "path": {"name": first.path if first else None, "error": first.error if first else None, "table": rate},
        "time": {
            "given_as": next((each.name for each in reading.arguments if each.role == "time"), None),
            "name": given_as,
            "error": given_error,
            "law": law,
            "discrete": rates.table.steps,
            "per_batch": reading.per_batch,
        },
        "target": {"name": "x1", "error": None, "a": None, "b": None},
        "coefficient": {"form": form, "on": "ce", "error": error, "table": table},
    }


def _given(rates: _Rates, schedules: tuple[_Schedule, ...]) -> tuple[str | None, float | None]:
    """What the number that the network gets is of the rate, up to a factor and a constant."""
    given = rates.given
    if not np.isfinite(given).all():
        return None, None
    if np.ptp(given) == 0:
        return "a constant", 0.0
    known = {
        "the rate m": rates.m,
        "sigma = -log(1 - m)": -np.log1p(-rates.m),
        "log(1 - m)": np.log1p(-rates.m),
        "lam": rates.lam,
    } | {f"t of the {each.path} path": each.t for each in schedules}
    errors = {name: _affine(value, given) for name, value in known.items()}
    name = min(errors, key=lambda each: errors[each])
    return (name, errors[name]) if errors[name] <= SAME else (None, errors[name])


def _affine(x: np.ndarray, z: np.ndarray) -> float:
    """How far z is from affine in x, relative to its range, at the levels where 1 - m has digits."""
    slope = float((x - x.mean()) @ (z - z.mean()) / ((x - x.mean()) @ (x - x.mean())))
    apart = np.abs(z - z.mean() - slope * (x - x.mean()))
    return float(apart.max() / np.ptp(z))


def _weight(rates: _Rates) -> Weight:
    """w at the measured lam, with what the reading is off by; of steps by the density of their levels."""
    table = rates.table
    alpha, u = 1 - rates.m, rates.u
    if table.steps:
        place = np.arange(len(alpha), dtype=float)
        slope = splines.through(place, alpha).slope(place)
        density = table.law[(table.m > 0) & (table.m < 1)][: len(alpha)] / slope
        error = np.abs(np.gradient(alpha, place) / slope - 1) / 2
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
    precision = np.hypot(error, 1e-7 / np.minimum(alpha, rates.m) + table.error * (table.draws > 0))
    bulk = (u > 0.02) & (u < 0.98)
    times = Times.STEPS if table.steps else Times.DRAWN if table.draws else Times.CONTINUOUS
    use &= np.isfinite(w) & np.isfinite(precision)
    return Weight(rates.lam[use], w[use], precision[use], bulk[use], times, process=PROCESS)


def _by_parts(weight: Weight, schedules: tuple[_Schedule, ...], named: str | None) -> dict[str, Any] | None:
    """The judgement of path, law and coefficient put together, where that has the measured weight."""
    for each in schedules if named is not None else ():
        spec = {"weighting": named, "on": "ce", "path": each.path, "time": each.time}
        subject = verdict.objective_of(spec, PROCESS)
        found = compare(weight, subject.signature(torch.from_numpy(weight.lam)).numpy())
        if found is not None and found.excess <= weight.same:
            return verdict.facts(objective(subject), "parts", spec, found.error_range)
    return None


def _by_table(rates: _Rates, weight: Weight) -> dict[str, Any] | None:
    """The measured weight's own judgement: of steps as a chain, of quantiles as a function of lam."""
    table = rates.table
    if not table.steps:
        return verdict.by_values(weight)
    levels = schedule.from_table(
        Table("the measured levels", np.clip(1 - table.m, 0.0, 1.0)), "alphas_cumprod", PROCESS
    )
    asked = chains.Asked(Table("the measured weights", table.c), "ce", Table("the measured law", table.law))
    try:
        found = chains.judge(asked, levels)
    except UsageError:
        return None
    return {**found.as_dict(), "exit_code": found.exit_code, "by": "table", "spec": None}
