"""Errata: one function computes a formula as printed and as corrected; each form is a case, and the other's control."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from reproflow.claims.policy import REFUTED, STATEMENT, Context, Measurement, claim

PRINTED, CORRECTED = "printed", "corrected"
FORMS = (PRINTED, CORRECTED)

Function = Callable[[str, Context], Measurement]


def erratum(
    id: str, *, title: str, source: str, tolerance: float, kind: str = "exact", controls: tuple[str, ...] = ()
) -> Callable[[Function], Function]:
    """Decorator: registers `function(form, context) -> Measurement` as a claim of two cases, `printed` and `corrected`.

    The printed form is expected refuted, and its control, the corrected form, supported; the corrected form is expected
    supported, with the printed one and any further `controls` refuted. `form` is printed, corrected, or such a control.
    Raises `UsageError` as `claim` does.
    """

    def enter(function: Function) -> Function:
        @functools.wraps(function)
        def run(case: str, variant: str, context: Context) -> Measurement:
            return function(case if variant == STATEMENT else variant, context)

        claim(
            id,
            title=title,
            source=source,
            kind=kind,
            tolerance=tolerance,
            cases=FORMS,
            controls=lambda case: (CORRECTED,) if case == PRINTED else (PRINTED, *controls),
            expected={PRINTED: REFUTED},
        )(run)
        return function

    return enter


def failure(attempt: Callable[[], Any]) -> Measurement:
    """1 and the error's first line where the attempt raises, 0 where it runs: the statistic of errata in code."""
    try:
        attempt()
    except Exception as error:
        return Measurement(1.0, detail=f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}")
    return Measurement(0.0, detail="runs")
