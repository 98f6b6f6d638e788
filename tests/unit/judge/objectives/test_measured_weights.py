"""A weight known by measured values: what rises by less than it is known to does not rise; the rest is judged."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from reproflow.foundation.errors import UsageError
from reproflow.judge.objectives import measured_weights
from reproflow.judge.objectives.measured_weights import measured, within

LAM = np.linspace(-8, 8, 161)
FALLING = 1 / (1 + np.exp(LAM / 2))


def test_a_rise_within_the_tolerance_is_levelled() -> None:
    w = np.array([3.0, 2.0, 2.01, 1.0, 1.2])
    assert within(w, 0.01) == pytest.approx([3.0, 2.0, 2.0, 1.0, 0.99 * 1.2])
    assert within(FALLING, 0.01) == pytest.approx(FALLING)
    assert np.all(within(w, 0.3) == np.minimum.accumulate(w))


def test_it_differs_by_the_tolerance_at_most() -> None:
    w = np.random.default_rng(0).uniform(1, 2, 50)
    found = within(w, 0.05)
    assert np.all(found <= w)
    assert np.all(found >= 0.95 * w - 1e-12)


def test_a_weight_below_zero_is_left_as_it_is() -> None:
    w = np.array([1.0, -0.5, 0.7])
    assert within(w, 0.5) is w


@pytest.mark.slow
@pytest.mark.parametrize(
    ("w", "tolerance", "said"),
    [
        (FALLING, 5e-3, "certified"),
        (FALLING * (1 + 0.002 * np.sin(40 * LAM)), 5e-3, "certified"),
        (1 + 0.1 * np.tanh(LAM), 5e-3, "falsified"),
        (np.where(LAM > 3, 0.0, FALLING), 5e-3, "certified"),
    ],
    ids=["falling", "rounded", "rising", "noughts"],
)
def test_verdicts(w: np.ndarray, tolerance: float, said: str) -> None:
    found = measured(LAM, w, tolerance)
    assert found.bound["verdict"] == said
    assert "as measured for lam from -8 to 8" in found.bound["reason"]


@pytest.mark.parametrize(
    ("lam", "w"),
    [
        (LAM[:7], FALLING[:7]),
        (LAM[::-1], FALLING),
        (LAM, np.where(LAM > 0, np.nan, FALLING)),
        (np.repeat(LAM[:80], 2), FALLING[:160]),
    ],
)
def test_what_is_no_table_is_refused(lam: np.ndarray, w: np.ndarray) -> None:
    with pytest.raises(UsageError, match="8 or more finite numbers"):
        measured(lam, w, 1e-2)


def test_between_neighbours_the_logarithm_is_linear() -> None:
    """So that there is no rise that the table has not; of a weight with noughts the weight itself."""
    at = torch.tensor([0.5, 1.5], dtype=torch.float64)
    lam, w = np.array([0.0, 1.0, 2.0]), np.array([4.0, 1.0, 0.25])
    assert measured_weights._interpolated(at, at, lam, w).tolist() == pytest.approx([2.0, 0.5])
    w = np.array([4.0, 1.0, 0.0])
    assert measured_weights._interpolated(at, at, lam, w).tolist() == pytest.approx([2.5, 0.5])
