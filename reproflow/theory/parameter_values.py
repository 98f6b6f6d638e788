"""Parameters from which a registered function computes numbers that float64 does not hold.

What a function makes of its parameters alone, such as high^(1/rho), are Python's numbers: beyond float64 they raise,
whatever the time. So one call tells, where a spec is resolved (`theory.components`). Functions of a file and
expressions are guarded where they are called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from reproflow.foundation.errors import UsageError

MIDDLE = 0.5
ARGUMENTS = {"path": 1, "time": 1, "weighting": 2}
"""The kinds that are functions of t, of u, or of t and the log-SNR: how many numbers they are called with."""


def check(kind: str, name: str, function: Callable[..., Any]) -> None:
    """Of a registered function with its parameters bound. Raises `UsageError` that names its spec."""
    if kind not in ARGUMENTS:
        return
    t = torch.full((1,), MIDDLE, dtype=torch.float64)
    try:
        function(*(t, torch.zeros_like(t))[: ARGUMENTS[kind]])
    except ArithmeticError as error:
        raise UsageError(
            f"{kind} {name!r}: its parameters make a number that float64 does not hold ({type(error).__name__})."
        ) from error
