"""A weight that rises is not certified, however little the reading says of the density of the levels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from measured_tables import linear_betas, of_betas, reading, table

from reproflow.auditing.measured_loss import MeasuredLoss, Times
from reproflow.auditing.naming import identify

DRAWS = 20_000


def broad(lam: np.ndarray) -> np.ndarray:
    """From 0 at the noise to 1 at the data."""
    return 0.5 * (1 + np.tanh(lam))


def narrow(lam: np.ndarray) -> np.ndarray:
    """1 at one log-SNR, and 0 at nearly all others."""
    return np.exp(-((lam - 1) ** 2) / 0.02)


def of_draws(rise: Callable[[np.ndarray], np.ndarray], size: float) -> MeasuredLoss:
    """w = 1 + size rise(lam) on the linear path, the uniform times known by draws alone; target eps."""
    t = np.sort(np.random.default_rng(3).random(DRAWS))[31::62]
    rank = (np.arange(DRAWS) + 0.5)[31::62] / DRAWS
    w = 1 + size * rise(2 * np.log(t / (1 - t)))
    # w = 2 p c with p = t (1 - t)/2, the density of lam.
    return table(t, 1 - t, 0.0, 1.0, w / (t * (1 - t)), rank, t, times=Times.DRAWN, draws=DRAWS)


def of_steps(rise: Callable[[np.ndarray], np.ndarray], size: float) -> MeasuredLoss:
    """w_i = 1 + size rise(lam_i) at each of a thousand steps: c_eps = w_i (SNR_{i-1} - SNR_i)/SNR_i."""

    def c(snr: np.ndarray) -> np.ndarray:
        return (1 + size * rise(np.log(snr))) * np.append(np.diff(snr), snr[-1]) / snr

    return of_betas(linear_betas(), c=c)


def bound(measured: MeasuredLoss) -> str | None:
    judged = identify(reading(measured)).judged
    return None if judged is None else judged["bound"]["verdict"]


@pytest.mark.parametrize("measured", [of_draws(broad, 0.0), of_steps(broad, 0.0)], ids=["draws", "steps"])
def test_the_level_weight_is_certified(measured: MeasuredLoss) -> None:
    assert bound(measured) == "certified"


@pytest.mark.parametrize("rise", [broad, narrow])
@pytest.mark.parametrize("size", [0.02, 0.05, 0.1, 0.15])
@pytest.mark.default_cases(2)
def test_a_rise_under_drawn_times_is_not(rise: Callable[[np.ndarray], np.ndarray], size: float) -> None:
    """The density of the levels is known to a few percent; the coefficient is known at each."""
    assert bound(of_draws(rise, size)) is None


@pytest.mark.parametrize("rise", [broad, narrow])
@pytest.mark.parametrize("size", [0.1, 0.15])
@pytest.mark.default_cases(2)
def test_a_rise_over_steps_is_not(rise: Callable[[np.ndarray], np.ndarray], size: float) -> None:
    """Rises of more than the tolerance of a table of steps, 5 %, are told as such."""
    judged = identify(reading(of_steps(rise, size))).judged
    assert judged["by"] == "table"
    assert judged["bound"]["verdict"] == "not_representable"
