"""Errata: one function computes a formula as printed and as corrected; each form is a case, and the other's control."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from reproflow.claims.policy import REFUTED, STATEMENT, Context, Measurement, claim

PRINTED = "printed"
CORRECTED = "corrected"
FORMS = (PRINTED, CORRECTED)

Function = Callable[[str, Context], Measurement]


def erratum(
    id: str,
    *,
    title: str,
    source: str,
    tolerance: float,
    controls: tuple[str, ...] = (),
    textual: Mapping[str, str] | None = None,
) -> Callable[[Function], Function]:
    """Decorator: registers `function(form, context) -> Measurement` as a claim of two cases, `printed` and `corrected`.

    The printed form is expected refuted, and its control, the corrected form, supported; the corrected form is expected
    supported, with the printed one and any further `controls` refuted. `form` is printed, corrected, or such a control.
    `textual` are further cases, with their reasons, of what a reader of the page sees and nothing has to compute.
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
            kind="exact",
            tolerance=tolerance,
            cases=FORMS,
            controls=lambda case: (CORRECTED,) if case == PRINTED else (PRINTED, *controls),
            expected={PRINTED: REFUTED},
            textual=textual,
        )(run)
        return function

    return enter
