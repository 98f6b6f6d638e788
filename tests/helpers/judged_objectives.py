"""Objectives as `check weighting` has them, built from specs, and independent forms of their weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from repository import schema
from scipy import stats

from reproflow.judge.objectives.numeric_objective import NumericObjective
from reproflow.numerics.derivatives import Mode
from reproflow.theory.objective import Objective
from reproflow.theory.paths import get_path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

SCHEMA = schema("check-weighting")
KEYS = {
    "spec", "process", "path", "time", "target", "range", "admissible", "identified", "bound", "canonical",
    "equivalent", "gradient", "variance", "seconds",
}  # fmt: skip

Weight = Callable[[np.ndarray], np.ndarray]

MASKED = {"process": "masked", "path": "cosine"}


def objective(
    spec: str, process: str = "gaussian", path: str = "linear", time: str = "uniform", target: str = ""
) -> NumericObjective:
    """Differentiated backwards throughout, which is quick and, for these, the same."""
    own = get_path(path, process, Mode.REVERSE)
    law = get_time_law(time, fine=True, mode=Mode.REVERSE)
    return NumericObjective(Objective(own, law, get_weighting(spec, process, target)))


def quick_objective(
    spec: str, process: str = "gaussian", path: str = "linear", time: str = "uniform", target: str = ""
) -> NumericObjective:
    """Differentiated by the mode that the judge itself would choose for speed."""
    weighting = get_weighting(spec, process, target)
    return NumericObjective(Objective(get_path(path, process), get_time_law(time, fine=True), weighting))


def sech(x: np.ndarray) -> np.ndarray:
    return 1 / np.cosh(x)


def edm(lam: np.ndarray) -> np.ndarray:
    return stats.norm.pdf(lam, 2.4, 2.4) * (np.exp(-lam) + 0.25)


def min_snr(lam: np.ndarray) -> np.ndarray:
    return sech(lam / 2) * np.minimum(1, 5 * np.exp(-lam))


def p2(gamma: float) -> Weight:
    return lambda lam: sech(lam / 2) / (1 + np.exp(lam)) ** gamma


def snr(t: np.ndarray) -> np.ndarray:
    return (t / (1 - t)) ** 2
