"""The words in which one thing is judged, and a number as JSON can hold it."""

from __future__ import annotations

import math

SUPPORTED, REFUTED, INCONCLUSIVE = "supported", "refuted", "inconclusive"


def number(value: float) -> float | str:
    """The value, with infinity as "inf" or "-inf": JSON has none."""
    return value if math.isfinite(value) else ("inf" if value > 0 else "-inf")
