"""The words in which one thing is judged, and a number as JSON can hold it."""

from __future__ import annotations

import math

SUPPORTED = "supported"
REFUTED = "refuted"
INCONCLUSIVE = "inconclusive"


def number(value: float) -> float | str | None:
    """The value, with infinity as "inf" or "-inf" and no number as None: JSON has neither."""
    if math.isnan(value):
        return None
    if math.isfinite(value):
        return value
    return "inf" if value > 0 else "-inf"
