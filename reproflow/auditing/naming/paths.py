r"""What the state's coefficients A and B are called: the relation that they obey at every level.

================  ==========================================  =================================
linear            A + B = 1                                   Lipman et al. 2023
linear, sigma_min B = 1 - (1 - sigma_min) A                   Lipman et al. 2023, eq. 20
VP                A² + B² = 1                                 Song et al. 2021
sub-VP            B = 1 - A², log A quadratic in the time     Song et al. 2021
VE                A = 1                                       Song et al. 2021; Karras et al. 2022
VE, scaled        A = 1/sqrt((B/A)² + s²)                     Karras et al. 2022, c_in
================  ==========================================  =================================

A relation says nothing of the time: linear and polynomial paths have one, and so have all that preserve the variance.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from reproflow.auditing.measured_loss import Times
from reproflow.auditing.naming.levels import Levels
from reproflow.auditing.naming.numbers import text


class Relation(StrEnum):
    """Between A and B."""

    LINEAR = "linear"
    SIGMA_MIN = "sigma_min"
    VP = "vp"
    SUB_VP = "sub-vp"
    VE = "ve"
    SCALED = "scaled"
    NONE = "none"


@dataclass(frozen=True)
class PathName:
    """A relation with its name, the largest relative error at a level, and its parameter where it has one."""

    relation: Relation
    name: str | None
    error: float
    parameter: float = 0.0

    @property
    def straight(self) -> bool:
        """Whether the state goes along lines: dS/dA is the same at every level."""
        return self.relation in (Relation.LINEAR, Relation.SIGMA_MIN)


def name_path(levels: Levels) -> PathName:
    """The first relation that holds to the levels' tolerance; the closest one's error where none does."""
    candidates = [*_fixed(levels), *_sub_vp(levels), *_fitted(levels)]
    for each in candidates:
        if each.error <= levels.tolerance:
            return each
    return PathName(Relation.NONE, None, min(each.error for each in candidates))


def _fixed(levels: Levels) -> list[PathName]:
    A, B = levels.A, levels.B
    return [
        PathName(Relation.LINEAR, "linear", _largest(A + B - 1)),
        PathName(Relation.VP, "VP", _largest(A**2 + B**2 - 1)),
        PathName(Relation.VE, "VE (A = 1)", _largest(A - 1)),
    ]


def _sub_vp(levels: Levels) -> list[PathName]:
    """B = 1 - A² where log A is quadratic in a continuous given time; elsewhere a root was forgotten in B."""
    given, log = levels.given, np.log(levels.A)
    if levels.times is Times.STEPS or not np.isfinite(given).all() or np.ptp(given) == 0:
        return []
    x = (given - given.min()) / np.ptp(given)
    curved = _largest(np.polynomial.Polynomial.fit(x, log, 2)(x) - log)
    return [PathName(Relation.SUB_VP, "sub-VP", max(_largest(levels.A**2 + levels.B - 1), curved))]


def _fitted(levels: Levels) -> list[PathName]:
    A, B = levels.A, levels.B
    missing = float(np.median(1 - (1 - B) / A))
    least = f"{text(missing, 1e-3, 1e-6)}"
    name = f"linear with sigma_min {least} (B = 1 - (1 - {least}) A)"
    found = [PathName(Relation.SIGMA_MIN, name, _largest(B - 1 + (1 - missing) * A), missing)] if missing < 0.5 else []
    square = float(np.median(1 / A**2 - levels.ratio**2))
    if square > 0:
        scale = np.sqrt(square)
        error = _largest(A * np.sqrt(levels.ratio**2 + square) - 1)
        name = f"VE, scaled by 1/sqrt(sigma² + {text(scale, 1e-4)}²)"
        found.append(PathName(Relation.SCALED, name, error, float(scale)))
    return found


def _largest(difference: np.ndarray) -> float:
    return float(np.abs(difference).max())
