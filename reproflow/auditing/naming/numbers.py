"""Numbers as names show them: the shortest decimal that a measured number is, and lists that JSON can hold."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

RELATIVE = 2e-5
SHOWN = 401


def shortest(value: float, relative: float = RELATIVE, absolute: float = 0.0) -> float:
    """The decimal of fewest digits, up to six, that is within the tolerances of a value."""
    if not math.isfinite(value) or abs(value) <= absolute:
        return 0.0 if math.isfinite(value) else value
    for digits in range(1, 7):
        found = float(f"{value:.{digits}g}")
        if abs(found - value) <= relative * abs(value) + absolute:
            return found
    return float(f"{value:.6g}")


def text(value: float, relative: float = RELATIVE, absolute: float = 0.0) -> str:
    """`shortest` as text."""
    return f"{shortest(value, relative, absolute):g}"


def plain(values: Iterable[float]) -> list[float | None]:
    """Floats for JSON: None for what is no finite number."""
    return [float(each) if math.isfinite(each) else None for each in values]


def thinned(count: int) -> np.ndarray:
    """The places of at most `SHOWN` of `count` numbers, both ends among them."""
    return np.arange(count) if count <= SHOWN else np.unique(np.linspace(0, count - 1, SHOWN).round().astype(int))
