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
import torch

from reproflow.exact.mixture import Mixture
from reproflow.foundation.by_process import ByProcess
from reproflow.foundation.verdicts import INCONCLUSIVE, REFUTED, SUPPORTED, number
from reproflow.judge.paths.derivatives import FEW, SINGLE, at, room, times
from reproflow.judge.paths.discontinuities import Breaks
from reproflow.judge.paths.path_values import Course
from reproflow.numerics.differences import derivative
from reproflow.theory.coefficients import Coefficients

MOVED = 1e-6
ACROSS = 121

MIXTURE = Mixture(
    torch.tensor([0.35, 0.4, 0.25], dtype=torch.float64),
    torch.tensor([[-1.25], [0.5], [1.5]], dtype=torch.float64),
    torch.tensor([0.5, 0.25, 0.375], dtype=torch.float64),
)
TOKENS = np.array([[0.5], [0.3], [0.2]])


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
    residual, error, fault = RESIDUALS[course.path.process](course, t, room(t, breaks))
    worst = int(np.argmax(np.nan_to_num(residual, nan=np.inf)))
    value = float(residual[worst])
    if fault:
        return _verdict(REFUTED, value, fault)
    if value > MOVED and value > 8 * error[worst]:
        reason = f"at t = {t[worst]:.4g} the law of x_t changes by other than what the velocity moves"
        return _verdict(REFUTED, value, reason)
    if (open_ := ~(error <= MOVED)).any():
        return _verdict(INCONCLUSIVE, value, f"too rough for differences at t = {t[open_][0]:.4g}")
    return _verdict(SUPPORTED, value, f"the velocity moves the law of x_t at {len(t)} times")


def _verdict(verdict: str, residual: float | None, reason: str) -> dict[str, Any]:
    shown = None if residual is None or math.isnan(residual) else number(residual)
    return {"verdict": verdict, "residual": shown, "reason": reason}


def gaussian_residual(course: Course, t: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    """|dp/dt + d(p u)/dx| over x from end to end of the mixture, largest at each of the times (T,), and its error."""
    alpha, sigma = course.values(t)
    variance = alpha**2 * MIXTURE.stds.numpy()[:, None] ** 2 + sigma**2
    if (bad := ~((variance > 0) & np.isfinite(variance)).all(0)).any():
        return np.full(len(t), np.nan), np.full(len(t), np.inf), f"x_t has no density at t = {t[bad][0]:.4g}"
    means, reach = alpha * MIXTURE.means.numpy(), 4 * np.sqrt(variance.max(0))
    x = np.linspace(means.min(0) - reach, means.max(0) + reach, ACROSS).ravel()
    values, slopes = np.tile(course.values(t), ACROSS), np.tile(course.slopes(t), ACROSS)
    widths = np.tile(np.sqrt(variance.min(0)), ACROSS)
    change, first = derivative(lambda t: _density(course.values(t), x), np.tile(t, ACROSS), np.tile(steps, ACROSS))
    moved, second = derivative(lambda x: _flux(values, slopes, x), x, widths / 2)
    change, moved, error, p = (
        each.reshape(ACROSS, len(t)) for each in (change, moved, first + second, _density(values, x))
    )
    scale = np.abs(change).max(0) + np.abs(moved).max(0) + p.max(0)
    return np.abs(change + moved).max(0) / scale, error.max(0) / scale, ""


def _density(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    return MIXTURE.log_density(torch.from_numpy(x)[:, None], _coefficients(values, values)).exp().numpy()


def _flux(values: np.ndarray, slopes: np.ndarray, x: np.ndarray) -> np.ndarray:
    """p u with u the posterior average of alpha' x1 + sigma' eps."""
    column = torch.from_numpy(x)[:, None]
    velocity = MIXTURE.marginal_velocity(column, _coefficients(values, slopes))[:, 0]
    return _density(values, x) * velocity.numpy()


def _coefficients(values: np.ndarray, slopes: np.ndarray) -> Coefficients:
    alpha, sigma, dalpha, dsigma = (torch.from_numpy(np.array(row)) for row in (*values, *slopes))
    return Coefficients(torch.zeros_like(alpha), alpha, sigma, dalpha, dsigma, "gaussian")


def masked_residual(course: Course, t: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    """|dp/dt - what the rates move| over the states, largest at each of the times (T,), and its error."""
    (alpha, sigma), (dalpha, _) = course.values(t), course.slopes(t)
    change, error = derivative(lambda t: _law(course.values(t)), t, steps)
    with np.errstate(all="ignore"):
        rates = np.where(dalpha == 0, 0.0, dalpha / sigma) * TOKENS
        gain = np.concatenate([sigma * rates, -(sigma * rates).sum(0, keepdims=True)])
    scale = 1 + np.abs(gain).max(0)
    fault = ""
    if (bad := ~(rates >= 0).all(0)).any():
        fault = f"the rate alpha'/sigma at which tokens are shown is negative at t = {t[bad].min():.4g}"
    if (bad := ~((alpha >= 0) & (sigma >= 0))).any():
        fault = f"alpha and sigma are no probabilities at t = {t[bad].min():.4g}"
    return np.abs(change - gain).max(0) / scale, error.max(0) / scale, fault


def _law(values: np.ndarray) -> np.ndarray:
    """The probabilities of three values and the mask, (4, N)."""
    return np.concatenate([TOKENS * values[0], values[1:]])
