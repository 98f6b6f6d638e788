"""A time law in whatever form it is given: a registered name, a quantile map, a density, or a function that draws."""

from __future__ import annotations

from reproflow.foundation import law_forms
from reproflow.foundation.specs import Spec
from reproflow.theory import time_direction
from reproflow.theory.times import TimeLaw, get_time_law


def time_law(spec: str | Spec, fine: bool = False, turned: bool = False) -> TimeLaw:
    """The time law of a spec; where `turned`, one that is not registered has the data at t = 0.

    Raises `UsageError` as `get_time_law`, for what is no density, and for a function that draws no times.
    """
    kind = law_forms.split(spec)[0] if isinstance(spec, str) else law_forms.QUANTILE
    if kind == law_forms.DENSITY:
        from reproflow.theory.density_laws import density_law

        return density_law(str(spec), turned)
    if kind == law_forms.SAMPLER:
        from reproflow.judge.drawn_laws import drawn_law

        return drawn_law(str(spec), turned)
    law = get_time_law(spec, fine=fine)
    return time_direction.turned_law(law) if turned and not law.is_registered else law
