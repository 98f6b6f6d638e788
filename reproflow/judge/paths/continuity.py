"""The verdict on continuity: the velocity, averaged over the posterior, moves the law of x_t.

Gaussian, for three Gaussians on a line (PATH-5): dp/dt + d(p u)/dx = 0 with u(x) = E[alpha' x1 + sigma' eps | x].
Masked, for one token of three values: the Kolmogorov forward equation. Given its value a token is shown at the rate
alpha'/sigma; given that it is masked it has value k with the prior probability q_k. So p = (alpha q, sigma), and value
k gains sigma (alpha'/sigma) q_k, which the mask loses. alpha' and sigma' are those that the package takes, the changes
of p and of p u are differences of values.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from reproflow.foundation.by_process import ByProcess
from reproflow.foundation.verdicts import INCONCLUSIVE, REFUTED, SUPPORTED, number
from reproflow.judge.paths.derivatives import CLOSER, FEW, SINGLE, at, room, times
from reproflow.judge.paths.discontinuities import Breaks
from reproflow.judge.paths.path_values import Course

MOVED = 1e-6
ACROSS = 121
TOKENS = np.array([[0.5], [0.3], [0.2]])
"""The law of one token, (3, 1), on which processes of tokens are checked."""


Residual = Callable[[Course, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, str]]
RESIDUALS: ByProcess[Residual] = ByProcess("continuity equation", __name__)
"""By process: the residual at times t (T,) by differences of these steps, its error, and why it has none."""


def continuity(course: Course, breaks: Breaks) -> dict[str, Any]:
    """d p_t/dt is what the velocity moves, at 16 times.

    `residual`: the largest violation over x (or states), relative to p and to what is moved.
    """
    if course.single:
        return _verdict(INCONCLUSIVE, None, SINGLE)
    if breaks.jumps:
        reason = f"the path jumps {at(breaks.jumps)}, and the law of x_t with it: no velocity moves it there"
        return _verdict(REFUTED, math.inf, reason)
    t = times(FEW, breaks)
    if (bad := ~np.isfinite(course.slopes(t)).all(0)).any():
        return _verdict(REFUTED, None, f"there is no finite velocity at t = {t[bad][0]:.4g}")
    steps = room(t, breaks)
    residual, error, fault = RESIDUALS[course.path.process](course, t, steps)
    value = float(np.nan_to_num(residual, nan=np.inf).max())
    if fault:
        return _verdict(REFUTED, value, fault)
    first = violated = _violated(residual, error)
    for share in CLOSER if first.any() else ():
        violated = violated & _violated(*RESIDUALS[course.path.process](course, t, share * steps)[:2])
    if violated.any():
        worst = int(np.argmax(np.where(violated, residual, 0.0)))
        reason = f"at t = {t[worst]:.4g} the law of x_t changes by other than what the velocity moves"
        return _verdict(REFUTED, float(residual[worst]), reason)
    if (open_ := first | ~(error <= MOVED)).any():
        return _verdict(INCONCLUSIVE, value, f"too rough for differences at t = {t[open_][0]:.4g}")
    return _verdict(SUPPORTED, value, f"the velocity moves the law of x_t at {len(t)} times")


def _violated(residual: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Where the equation fails by more than differences can be off."""
    return (residual > MOVED) & (residual > 8 * error)


def _verdict(verdict: str, residual: float | None, reason: str) -> dict[str, Any]:
    shown = None if residual is None or math.isnan(residual) else number(residual)
    return {"verdict": verdict, "residual": shown, "reason": reason}
