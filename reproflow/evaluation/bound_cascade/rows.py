"""A row of `cascade.csv`: a quantity at a place, its estimate and what it is compared with, and when the two agree."""

from __future__ import annotations

import math
from typing import Any

from scipy.special import stdtrit

from reproflow.evaluation.bound_cascade.columns import REPLICATES, TOLERANCE
from reproflow.numerics.statistics import Measured

REACH = float(stdtrit(REPLICATES - 1, 0.975))
"""Standard errors on either side of a 95 % interval."""
NOTHING = Measured(math.nan, math.nan)
SUPPORTED = "supported"
REFUTED = "refuted"
INCONCLUSIVE = "inconclusive"


def identity(a: Measured, b: Measured) -> str:
    """Whether two estimates of one number agree to a tenth of it: an equivalence test by the interval of a - b."""
    gap, error, allowed = abs(a.value - b.value), REACH * math.hypot(a.se, b.se), TOLERANCE * abs(b.value)
    if gap + error <= allowed:
        return SUPPORTED
    return REFUTED if gap - error > allowed else INCONCLUSIVE


def row_of(quantity: str, at: str, value: Measured, reference: Measured | None = None) -> dict[str, Any]:
    """The columns of a quantity; verdicts are added where there is something to decide."""
    row = {"quantity": quantity, "at": at, "value": value.value, "se": value.se}
    return row | ({} if reference is None else {"reference": reference.value, "reference_se": reference.se})
