r"""The parts of a measured loss of masked tokens by name, its canonical weight, and the objective that it is.

With alpha = 1 - m the probability of being shown, a loss with the coefficient c(m) on the cross-entropy of a masked
token and rates of the density p(alpha) has the weight (`theory.objective`)

.. math:: w(\lambda) = p(\alpha)\, c\, m, \qquad \lambda = \log \frac{\alpha}{1 - \alpha},

whatever path and time law its rates came from; of steps, counted from the data, w_i = pi_i c_i m_i / (m_i - m_{i-1}).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from reproflow.auditing import told_time
from reproflow.auditing.findings import Finding
from reproflow.auditing.identification import Identification
from reproflow.auditing.naming import candidates, expectation, verdict
from reproflow.auditing.naming.candidates import Candidate
from reproflow.auditing.naming.comparison import compare
from reproflow.auditing.naming.density import Weight
from reproflow.auditing.naming.laws import line
from reproflow.auditing.naming.level_findings import SIGNIFICANT
from reproflow.auditing.naming.numbers import plain, text, thinned
from reproflow.auditing.naming.times import affine
from reproflow.auditing.reading import MeasuredTokens
from reproflow.auditing.tokens.rates import PROCESS, Rates, canonical_weight, log_snr
from reproflow.auditing.tokens.schedules import Schedule, of_rates, reached
from reproflow.foundation.errors import UsageError
from reproflow.foundation.tables import Table
from reproflow.foundation.verdicts import INCONCLUSIVE
from reproflow.judge.levels import judgement as chains
from reproflow.judge.levels import schedule
from reproflow.judge.objectives.judgement import Judgement, objective
from reproflow.numerics.derivatives import Mode
from reproflow.theory import bounds
from reproflow.theory.paths import Path, get_path

if TYPE_CHECKING:
    from reproflow.auditing.expected import Expected
    from reproflow.auditing.reading import Reading

FEWEST = 8
SAME = 1e-3
"""The relative error up to which a coefficient has a name."""
ROUNDING = 1e-6
"""The distance from affine that single precision of the rates accounts for."""


def identify(
    reading: Reading, expect: Expected | None = None, data: tuple[float, float] | None = None
) -> Identification:
    """Names, canonical weight, verdict and expectation of what was read; tokens have no scale, so `data` is not used.

    Raises `UsageError` for an expectation that cannot be used.
    """
    table = reading.measured
    rates = Rates.of(table) if isinstance(table, MeasuredTokens) else None
    if rates is None or len(rates.m) < FEWEST:
        expected = expectation.compared(None, expect, process=PROCESS)[0] if expect is not None else None
        return Identification(expected=expected)
    schedules = tuple(of_rates(rates))
    form, error, named = _coefficient(rates, schedules)
    names = _names(reading, rates, schedules, form, error)
    found = (*told_time.finding(rates.given, rates.lam), *_negative(rates))
    if reading.coupled:
        expected = expectation.compared(None, expect, process=PROCESS)[0] if expect is not None else None
        return Identification(**names, expected=expected, findings=found)
    weight = canonical_weight(rates)
    same = candidates.same_as(weight)
    expected, unlike = expectation.compared(weight, expect, process=PROCESS) if expect is not None else (None, ())
    judged = _by_parts(weight, schedules, named) or _by_candidate(rates, weight, same) or _by_table(rates, weight)
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
        findings=(*found, *unlike),
    )


def _negative(rates: Rates) -> Iterator[Finding]:
    place, size = int(np.argmin(rates.c)), float(np.abs(rates.c).max())
    if rates.c[place] < -SIGNIFICANT * size:
        words = "The loss has a negative coefficient: there the network is trained away from the data."
        yield Finding(
            "negative-weight", words, f"{rates.c[place] / size:.3g} of the largest, at m = {rates.m[place]:.3g}"
        )


def _coefficient(rates: Rates, schedules: tuple[Schedule, ...]) -> tuple[str | None, float, str | None]:
    """(form, error, the spec of the weighting): what c is proportional to, the simplest first."""
    best = np.inf
    for form, spec, value in _forms(rates, schedules):
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = rates.c / value
            error = float(np.nan_to_num(np.abs(ratio / np.median(ratio) - 1), nan=np.inf)[rates.certain].max())
        if error <= max(SAME, rates.table.error):
            return form, error, spec
        best = min(best, error)
    return None, best, None


def _forms(rates: Rates, schedules: tuple[Schedule, ...]) -> Iterator[tuple[str, str, np.ndarray]]:
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
    reading: Reading, rates: Rates, schedules: tuple[Schedule, ...], form: str | None, error: float
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
        words = f"{'uniform on ' if even else ''}{rates.table.count} values{'' if even else ', not equally likely'}"
    elif words is None and first is not None:
        words = f"{first.widest} in t of the {first.path} path"
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


def _given(rates: Rates, schedules: tuple[Schedule, ...]) -> tuple[str | None, float | None]:
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
    errors = {name: affine(value, given)[2] for name, value in known.items()}
    # What is equal but for rounding goes by the first name.
    name = min(errors, key=lambda each: max(errors[each], ROUNDING))
    return (name, errors[name]) if errors[name] <= SAME else (None, errors[name])


def _by_parts(weight: Weight, schedules: tuple[Schedule, ...], named: str | None) -> dict[str, Any] | None:
    """The judgement of path, law and coefficient put together, where that has the measured weight."""
    for each in schedules if named is not None else ():
        times = dict.fromkeys((each.widest, each.narrowest))
        specs = [{"weighting": named, "on": "ce", "path": each.path, "time": time} for time in times]
        subjects = [verdict.objective_of(spec, PROCESS) for spec in specs]
        found = compare(weight, subjects[0].signature(torch.from_numpy(weight.lam)).numpy())
        if found is not None and (found.excess <= weight.same or found.error_bulk <= weight.near):
            judged = agreed([objective(subject, mode=Mode.REVERSE) for subject in subjects])
            return verdict.facts(judged, "parts", specs[0], found.error_range)
    return None


def agreed(found: Sequence[Judgement]) -> Judgement:
    """The first judgement; a verdict that the others do not share is inconclusive."""
    changed = {}
    for part in ("admissible", "identified", "bound"):
        verdicts = {each.time: getattr(each, part)["verdict"] for each in found}
        if len(set(verdicts.values())) > 1:
            words = ", ".join(f"{said} with times {time}" for time, said in verdicts.items())
            reason = f"where the law of the rates ends was not measured closely enough: {words}"
            changed[part] = getattr(found[0], part) | {"verdict": INCONCLUSIVE, "reason": reason}
    return replace(found[0], **changed)


def _by_candidate(rates: Rates, weight: Weight, same: Sequence[Candidate]) -> dict[str, Any] | None:
    """The judgement of an objective that has the measured weight, and draws rates from 0 to 1 as the loss does."""
    near = [each for each in same if each.comparison.excess <= weight.same]
    return verdict.by_candidate(weight, [each for each in near if _whole(rates, each.objective().path)])


def _whole(rates: Rates, path: Path) -> bool:
    """Whether the rates are known to reach both ends of a path, as near as its bound is looked at; steps need not."""
    ends, (low, high) = rates.table.ends, bounds.DEFAULT_RANGE
    if rates.table.steps or not np.isfinite(ends).all():
        return rates.table.steps
    return reached(path, ends[1], 0.0)[0] <= low and reached(path, ends[0], 1.0)[1] >= high


def _to_the_end(rates: Rates, weight: Weight) -> Weight:
    """The weight, with the zero where the largest rate is known to leave some of the noise out."""
    largest = rates.table.ends[1]
    end = log_snr(np.array([largest]))
    if not largest < 1 - bounds.DEFAULT_RANGE[0] or end[0] >= weight.lam[0]:
        return weight
    zero = np.zeros(1)
    lam, w, precision = (np.append(*each) for each in ((end, weight.lam), (zero, weight.w), (zero, weight.precision)))
    return replace(weight, lam=lam, w=w, precision=precision, bulk=np.append(False, weight.bulk))


def _by_table(rates: Rates, weight: Weight) -> dict[str, Any] | None:
    """The measured weight's own judgement: of steps as a chain, of quantiles as a function of lam."""
    table = rates.table
    if not table.steps or not table.complete:
        return verdict.by_values(_to_the_end(rates, weight))
    levels = schedule.from_table(
        Table("the measured levels", np.clip(1 - table.m, 0.0, 1.0)), "alphas_cumprod", PROCESS
    )
    asked = chains.Asked(Table("the measured weights", table.c), "ce", Table("the measured law", table.law))
    try:
        found = chains.judge(asked, levels)
    except UsageError:
        return None
    return {**found.as_dict(), "exit_code": found.exit_code, "by": "table", "spec": None}
