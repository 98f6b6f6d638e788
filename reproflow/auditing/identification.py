"""What the parts of a measured loss are called, the canonical weight, and what that is judged to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reproflow.auditing.findings import Finding


@dataclass(frozen=True)
class Identification:
    """The JSON contract's parts that follow from the levels; None for a part that has no meaning.

    path        {name, error, table: {lam, A, B}}
    time        {given_as, name, error, law: {name, error, ks, n}, discrete, per_batch}
    target      {name, error, a, b}
    coefficient {form, on, error, table: {lam, c}}
    canonical   {lam, w, precision}
    same_as     [{name, error_bulk, error_range}], closest first
    judged      the judgement of the objective, as `check weighting --json`, with `by`: parts, same_as or table
    expected    {spec, verdict, factor, ratio: {noise, middle, data}, worst: {lam, ratio}} with --expect
    """

    path: dict[str, Any] | None = None
    time: dict[str, Any] | None = None
    target: dict[str, Any] | None = None
    coefficient: dict[str, Any] | None = None
    canonical: dict[str, Any] | None = None
    same_as: tuple[dict[str, Any], ...] = ()
    judged: dict[str, Any] | None = None
    expected: dict[str, Any] | None = None
    findings: tuple[Finding, ...] = ()
