"""What is checked of paths of tokens under uniform noise; objectives are not, there is no example for them yet."""

from __future__ import annotations

import numpy as np

from reproflow.judge.paths.continuity import RESIDUALS, TOKENS
from reproflow.judge.paths.derivatives import SPEEDS, Speed
from reproflow.judge.paths.path_values import Course
from reproflow.numerics.differences import derivative


@RESIDUALS.register("uniform_tokens")
def residual(course: Course, t: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    """The master equation of one token on the mixture path, as `judge.processes.masked` has that of a masked one.

    From every value the token jumps to each other value k at alpha'/sigma times the probability that k is clean.
    """
    (alpha, sigma), (dalpha, _) = course.values(t), course.slopes(t)
    change, error = derivative(lambda t: _joint(course.values(t)).sum(0), t, steps)
    with np.errstate(all="ignore"):
        hazard = np.where(dalpha == 0, 0.0, dalpha / sigma)
        # From the row, the present value, to the column, the clean one; what stays adds to both sums alike.
        flux = hazard * _joint(course.values(t)).swapaxes(0, 1)
        gain = flux.sum(0) - flux.sum(1)
    scale = 1 + np.abs(gain).max(0)
    fault = ""
    if (bad := ~(hazard >= 0)).any():
        fault = f"the rate alpha'/sigma at which tokens become clean is negative at t = {t[bad].min():.4g}"
    if (bad := ~((alpha >= 0) & (sigma >= 0))).any():
        fault = f"alpha and sigma are no probabilities at t = {t[bad].min():.4g}"
    return np.abs(change - gain).max(0) / scale, error.max(0) / scale, fault


def _joint(values: np.ndarray) -> np.ndarray:
    """The probabilities of the clean value and the present one, (3, 3, N), from alpha and sigma (2, N)."""
    size = len(TOKENS)
    alpha, sigma = values
    kernel = alpha * np.eye(size)[..., None] + sigma / size
    joint: np.ndarray = TOKENS[:, None] * kernel
    return joint


@SPEEDS.register("uniform_tokens")
def speed() -> Speed:
    """The rate at which tokens become clean."""
    return Speed("|alpha'|", lambda dalpha, dsigma: np.abs(dalpha))
