"""Zero or too few digits: functions that are positive, functions that are zero on a set, and what tells them apart."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from mpmath import mp

from reproflow.numerics import intervals
from reproflow.numerics.zero_sets import zero_sets

Function = Callable[[np.ndarray], np.ndarray]

NEAR = np.outer(2.0 ** -np.arange(1.0, 51), [1, 1.2, 1.4, 1.7]).ravel()
GRID = np.unique(np.concatenate([np.linspace(1e-4, 1 - 1e-4, 20_001), NEAR[NEAR < 1], 1 - NEAR[NEAR > 2**-40]]))
GRID = GRID[(GRID > 0) & (GRID < 1)]
ONE = np.float32(1)


def alphas_cumprod(t: np.ndarray) -> np.ndarray:
    """alpha² of the cosine path, as schedules keep it."""
    return np.asarray(np.sin(0.5 * np.pi * t) ** 2)


def snr(t: np.ndarray) -> np.ndarray:
    return np.asarray(alphas_cumprod(t) / (1 - alphas_cumprod(t)))


def single(t: np.ndarray) -> np.ndarray:
    return t.astype(np.float32)


def sets(f: Function) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    with np.errstate(all="ignore"):
        found = zero_sets(lambda t: np.asarray(f(t), dtype=float), GRID)
    return found.zero, found.lost


# Positive almost everywhere, and 0 in float64 on a stretch; where that is by arithmetic in 50 digits where it matters.
POSITIVE: dict[str, Function] = {
    "exp(-1/(t - 1/2)²)": lambda t: np.exp(-1 / (t - 0.5) ** 2),
    "|t - 1/2|^400": lambda t: np.abs(t - 0.5) ** 400,
    "a narrow Gaussian": lambda t: np.exp(-0.5 * ((t - 0.5) / 1e-4) ** 2),
    "sech of a steep log-odds": lambda t: 1 / np.cosh(3000 * (t - 0.2)),
    "exp(-5/t)": lambda t: np.exp(-5 / t),
    "exp(-2000 t)": lambda t: np.exp(-2000 * t),
    "times 1e20": lambda t: 1e20 * np.exp(-1 / (t - 0.5) ** 2),
    "times 1e-200": lambda t: 1e-200 * np.exp(-1 / (t - 0.5) ** 2),
    "a log-normal density": lambda t: np.exp(-8 * np.log(t / (1 - t)) ** 2) / t / (1 - t),
    "1 - exp of an eighth power": lambda t: 1 - np.exp(-1e-3 * (t - 0.5) ** 8),
    "1 - cos": lambda t: 1 - np.cos(1e-4 * t),
    "1 - alphas_cumprod": lambda t: 1 - alphas_cumprod(t),
    "1/SNR": lambda t: 1 / snr(t),
    "min(SNR, 5)/SNR": lambda t: np.minimum(snr(t), 5) / snr(t),
    "1/SNR²": lambda t: snr(t) ** -2.0,
    "SNR^-1/2": lambda t: snr(t) ** -0.5,
    "SNR^-1/4": lambda t: snr(t) ** -0.25,
    "1/(SNR + 1)": lambda t: 1 / (snr(t) + 1),
    "float32: exp(-200 t)": lambda t: np.exp(-200 * single(t)),
    "float32: 1 - t": lambda t: ONE - single(t),
    "float32: 1 - alphas_cumprod": lambda t: ONE - np.sin(np.float32(0.5 * np.pi) * single(t)) ** 2,
    "float32, then float64": lambda t: np.exp(-200 * single(t)).astype(float) * (1 + t),
}

# Really zero, and where.
ZERO: dict[str, tuple[Function, list[tuple[float, float]]]] = {
    "a clamp": (lambda t: np.maximum(t - 0.4, 0), [(GRID[0], 0.4)]),
    "its square": (lambda t: np.maximum(t - 0.4, 0) ** 2, [(GRID[0], 0.4)]),
    "its twentieth power": (lambda t: np.maximum(t - 0.4, 0) ** 20, [(GRID[0], 0.4)]),
    "a step": (lambda t: np.where(t > 0.4, 1.0, 0), [(GRID[0], 0.4)]),
    "a hole": (lambda t: np.where((t > 0.2) & (t < 0.3), 0, np.exp(t)), [(0.2, 0.3)]),
    "a tent": (lambda t: np.maximum(0.1 - np.abs(t - 0.5), 0), [(GRID[0], 0.4), (0.6, GRID[-1])]),
    "a clamp, times 1e-300": (lambda t: 1e-300 * np.maximum(t - 0.4, 0), [(GRID[0], 0.4)]),
    "a clamp beside a spike": (
        lambda t: np.maximum(t - 0.4, 0) + 1e30 * np.exp(-(((t - 0.8) / 1e-3) ** 2)),
        [(GRID[0], 0.4)],
    ),
    "the last 1e-8": (lambda t: np.where(t > 1 - 1e-8, 0.0, 1.0), [(1 - 1e-8, GRID[-1])]),
    "the last 1e-8, by a clamp": (lambda t: np.maximum(1 - 1e-8 - t, 0), [(1 - 1e-8, GRID[-1])]),
    "steps": (lambda t: np.floor(10 * t), [(GRID[0], 0.1)]),
    "a small step and a large one": (
        lambda t: np.where(t < 0.3, 0, np.where(t < 0.5, 1e-17, 1)),
        [(GRID[0], 0.3)],
    ),
    "a small step that does not stay": (
        lambda t: np.where(t < 0.4, 0, np.where(t < 0.6, 1e-8 * (1 + 250 * (t - 0.4)), 1)),
        [(GRID[0], 0.4)],
    ),
    "a hole in a low plain": (
        lambda t: np.where(np.abs(t - 0.2) < 5e-4, 0, np.where(np.abs(t - 0.2) < 0.02, 1e-8, 1)),
        [(0.1995, 0.2005)],
    ),
    "float32: a step": (lambda t: np.where(t < 0.4, 0, np.exp(single(t))), [(GRID[0], 0.4)]),
    "everywhere": (lambda t: 0 * t, [(GRID[0], GRID[-1])]),
}


@pytest.mark.parametrize("name", POSITIVE)
def test_a_positive_function_is_zero_nowhere(name: str) -> None:
    """Each is 0 in floating point on some stretch, or the test would say nothing."""
    with np.errstate(all="ignore"):
        assert intervals.where(lambda t: np.asarray(POSITIVE[name](t), dtype=float) == 0, GRID)
    zero, lost = sets(POSITIVE[name])
    assert zero == []
    assert lost


@pytest.mark.parametrize("name", ZERO)
def test_what_is_zero_on_a_set_stays_so(name: str) -> None:
    f, wanted = ZERO[name]
    zero, lost = sets(f)
    assert zero == [pytest.approx(each, abs=1e-12) for each in wanted]
    assert lost == []


def test_both_in_one_function() -> None:
    zero, lost = sets(lambda t: np.where((t > 0.2) & (t < 0.3), 0, np.exp(-1 / t)))
    assert zero == [pytest.approx((0.2, 0.3), abs=1e-12)]
    assert lost == [pytest.approx((GRID[0], 1 / 745.13), rel=1e-4)]


def test_one_end_without_digits_is_enough() -> None:
    """exp(-1/x²) falls to zero on the left of a stretch that ends by a step: how far the zeros go is not known."""
    zero, lost = sets(lambda t: np.where(t < 0.3, np.exp(-1 / (t - 0.3) ** 2), np.where(t < 0.5, 0, 1)))
    assert zero == []
    assert [high for _, high in lost] == [pytest.approx(0.5, abs=1e-12)]


def test_where_the_digits_end() -> None:
    """exp(-1/x²) falls below the least number, 2^-1074, where 1/x² = 1075 log 2, by arithmetic in 30 digits."""
    ((low, high),) = sets(POSITIVE["exp(-1/(t - 1/2)²)"])[1]
    with mp.workdps(30):
        half = float(1 / mp.sqrt(1075 * mp.log(2)))
        assert float(mp.exp(-1 / mp.mpf(0.5 - low) ** 2)) < 1e-320
    assert (0.5 - low, high - 0.5) == pytest.approx((half, half), rel=1e-6)


def test_single_precision_is_noticed() -> None:
    assert zero_sets(lambda t: np.asarray(ONE - single(t), dtype=float), GRID).single
    assert not zero_sets(lambda t: 1 - t, GRID).single
    assert not zero_sets(np.ones_like, GRID).single


def test_zeros_by_underflow_are_none() -> None:
    grid = np.linspace(0.0005, 0.9995, 1000)
    assert zero_sets(lambda t: np.maximum(t - 0.4, 0), grid).zero == [(grid[0], pytest.approx(0.4, rel=1e-12))]
    assert zero_sets(lambda t: np.exp(-5 / t), grid).zero == []
    assert len(intervals.where(lambda t: np.exp(-5 / t) == 0, grid)) == 1
