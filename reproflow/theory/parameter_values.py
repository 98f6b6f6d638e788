"""Parameters from which a registered function computes numbers that float64 does not hold.

What a function makes of its parameters alone, such as high^(1/rho), are Python's numbers: beyond float64 they raise,
whatever the time. So one call tells. Functions of a file and expressions are guarded where they are called.
"""

from __future__ import annotations

import torch

from reproflow.foundation.errors import UsageError
from reproflow.theory.components import Component

MIDDLE = 0.5


def check(component: Component) -> None:
    """Of a path, a time law or a weighting. Raises `UsageError` that names its spec."""
    if not component.is_registered:
        return
    t = torch.full((1,), MIDDLE, dtype=torch.float64)
    of_log_snr = component.entry.kind == "weighting"
    try:
        component.function(*((t, torch.zeros_like(t)) if of_log_snr else (t,)))
    except ArithmeticError as error:
        raise UsageError(
            f"{component.entry.kind} {component.name!r}: its parameters make a number that float64 does not hold "
            f"({type(error).__name__})."
        ) from error
