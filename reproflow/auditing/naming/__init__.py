"""The parts of a measured loss by name, the canonical weight, and the objective that it is.

`identify` names path, time, law, target and coefficient from the table of levels (`MeasuredLoss`), puts them together,
and has the objective judged; with an expectation it says whether the two are one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from reproflow.auditing.identification import Identification
from reproflow.auditing.measured_loss import MeasuredLoss, Times
from reproflow.auditing.naming import (
    candidates,
    carriers,
    coefficients,
    density,
    expectation,
    laws,
    level_findings,
    paths,
    targets,
    times,
    velocity,
    verdict,
)
from reproflow.auditing.naming.density import Chain, Weight
from reproflow.auditing.naming.levels import Levels, levels_of
from reproflow.auditing.naming.numbers import plain, thinned

if TYPE_CHECKING:
    from reproflow.auditing.expected import Expected
    from reproflow.auditing.findings import Finding
    from reproflow.auditing.reading import Reading

FEWEST = 8
"""Levels that there have to be for names."""
UNBOUND = frozenset(
    (
        "weight-sees-data",
        "weight-by-sample",
        "weight-neighbours",
        "weight-normalised",
        "more-noise",
        "offset-noise",
        "noise-law",
        "noise-mismatch",
    )
)
"""Findings after which the table of levels is not that of a weighted regression on normal noise: no weight is read.

White normal noise beside the main one is read with it, as one noise, and has a weight all the same.
"""


def identify(
    reading: Reading, expect: Expected | None = None, data: tuple[float, float] | None = None
) -> Identification:
    """Names, canonical weight, verdict and expectation of what was read; `data` is the range of the user's data.

    Raises `UsageError` for an expectation that cannot be used.
    """
    measured = reading.measured
    if not isinstance(measured, MeasuredLoss) or len(levels := levels_of(measured, data)) < FEWEST:
        expected = expectation.compared(None, expect)[0] if expect is not None else None
        return Identification(expected=expected)
    parts = _parts(levels)
    path, target, law, coefficient = parts.path, parts.target, parts.law, parts.coefficient
    time = times.name_time(levels, path)
    found = [
        *level_findings.findings(levels, path, time, target, coefficient, {each.id for each in reading.findings}),
        *velocity.findings(levels, path, time, target, parts.slope),
    ]
    names: dict[str, Any] = {
        "path": {"name": path.name, "error": path.error, "table": _table(levels, A=levels.A, B=levels.B)},
        "time": {
            "given_as": time.given_as,
            "name": time.name,
            "error": time.error,
            "law": law.as_dict(),
            "discrete": levels.times is Times.STEPS,
            "per_batch": reading.per_batch,
        },
        "target": _target(levels, target),
        "coefficient": {
            "form": coefficient.form,
            "on": coefficient.on,
            "error": coefficient.error,
            "table": _table(levels, c=levels.c),
        },
    }
    if level_findings.empty(levels) or not _weighted(reading, measured):
        expected = expectation.compared(None, expect)[0] if expect is not None else None
        return Identification(**names, expected=expected, findings=tuple(found))
    if measured.all_noise is not None:
        levels = levels_of(measured.in_one(), data)
        parts = _parts(levels)
    weight, steps = density.weight(levels), density.chain(levels)
    nearest = parts.carrier.name if parts.carrier else None
    same = candidates.same_as(weight, "linear" if parts.path.straight else nearest)
    expected = None
    unlike: tuple[Finding, ...] = ()
    if expect is not None:
        on = expectation.path_of(parts.path, parts.law, expect)
        expected, unlike = expectation.compared(weight, expect, levels, path=on)
    return Identification(
        **names,
        canonical=_canonical(weight, steps),
        same_as=tuple(each.as_dict() for each in same),
        judged=verdict.judge(levels, weight, steps, parts.target, parts.coefficient, parts.law, same),
        expected=expected,
        findings=(*found, *unlike),
    )


@dataclass(frozen=True)
class _Parts:
    """What the parts of a table of levels are called."""

    path: paths.PathName
    slope: times.Slope | None
    law: laws.LawName
    target: targets.TargetName
    carrier: carriers.Carrier | None
    coefficient: coefficients.CoefficientName


def _parts(levels: Levels) -> _Parts:
    path, slope = paths.name_path(levels), times.state_slope(levels)
    law, target = laws.name_law(levels, path), targets.name_target(levels, path, slope)
    carrier = law.on_paths[0].carrier if law.on_paths else None
    own = coefficients.own_divisor(levels)
    coefficient = coefficients.name_coefficient(levels, levels.c, target.name, target.prediction, carrier, own)
    return _Parts(path, slope, law, target, carrier, coefficient)


def _weighted(reading: Reading, measured: MeasuredLoss) -> bool:
    """Whether the loss is a weighted regression, so that it has a canonical weight and a verdict."""
    unbound = UNBOUND if measured.all_noise is None else UNBOUND - {"more-noise"}
    squared = reading.form.form == "squared"
    return squared and not reading.coupled and not any(each.id in unbound for each in reading.findings)


def _table(levels: Levels, **columns: np.ndarray) -> dict[str, list[float | None]]:
    at = thinned(len(levels))
    return {"lam": plain(levels.lam[at]), **{name: plain(values[at]) for name, values in columns.items()}}


def _target(levels: Levels, target: targets.TargetName) -> dict[str, Any]:
    at = thinned(len(levels))
    return {"name": target.name, "error": target.error, "a": plain(levels.a[at]), "b": plain(levels.b[at])}


def _canonical(weight: Weight, steps: Chain | None) -> dict[str, Any]:
    """lam, w and its relative precision: of steps level by level, without the one next to the data."""
    lam, w, precision = weight.lam, weight.w, weight.precision
    if steps is not None:
        at = np.isfinite(steps.w) & np.isfinite(steps.lam)
        lam, w, precision = steps.lam[at], steps.w[at], steps.precision[at]
    at = thinned(len(lam)) if steps is None else np.arange(len(lam))
    return {"lam": plain(lam[at]), "w": plain(w[at]), "precision": float(np.median(precision))}
