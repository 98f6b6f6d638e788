"""Integrals of weights: closed forms, poles that can be integrated and poles that cannot, and cumulative integrals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from reproflow.numerics import cumulative, differences
from reproflow.numerics.quadrature import integral


@pytest.mark.parametrize("p", [-0.9, -0.5, 0.0, 0.3, 3.0])
def test_powers(p: float) -> None:
    found = integral(lambda x: x**p)
    assert found.verdict == "finite"
    assert found.value == pytest.approx(1 / (1 + p), rel=1e-8)
    assert found.poles[0].exponent == pytest.approx(p, abs=1e-6)


@pytest.mark.parametrize("p", [-1.0, -1.5, -3.0])
def test_powers_that_cannot_be_integrated(p: float) -> None:
    """The control: at either end, and inside."""
    for f in (lambda x: x**p, lambda x: (1 - x) ** p, lambda x: np.abs(x - 0.3) ** p):
        found = integral(f)
        assert found.verdict == "infinite"
        assert math.isinf(found.value)


@pytest.mark.parametrize("low", [1e-300, 5e-324, 2.0**-1000])
def test_an_end_beside_zero_has_all_octaves(low: float) -> None:
    """1/sqrt(t) from an end so near to 0 that the width, in units of its last digit, is beyond float64."""
    assert integral(lambda t: t**-0.5, low, 0.5).value == pytest.approx(math.sqrt(2), rel=1e-8)


def test_scipy_agrees_and_a_pole_inside_is_cut_at() -> None:
    for f in (lambda x: np.exp(-x) * np.cos(30 * x), lambda x: 1 / (1e-4 + (x - 0.37) ** 2)):
        oracle = integrate.quad(f, 0, 1, points=[0.37], epsabs=1e-13, limit=400)[0]
        assert integral(f).value == pytest.approx(oracle, rel=1e-9)
    found = integral(lambda x: np.abs(x - 0.3) ** -0.5)
    assert found.verdict == "finite"
    assert found.value == pytest.approx(2 * (math.sqrt(0.3) + math.sqrt(0.7)), rel=1e-5)


def test_cumulative_integrals_and_their_quantiles() -> None:
    below = cumulative.cumulative(stats.beta(2, 3).pdf, (0.0, 1.0), (50, 40), (1.0, 2.0))
    assert below.total == pytest.approx(1, rel=1e-12)
    shares = np.array([0.01, 0.25, 0.5, 0.99])
    assert below.quantile(shares) == pytest.approx(stats.beta(2, 3).ppf(shares), rel=1e-9)
    inside = np.array([0.0, 0.1, 0.7, 1.0])
    assert [below.at(x) for x in inside] == pytest.approx(stats.beta(2, 3).cdf(inside), abs=1e-12)
    assert below.quantile(shares) != pytest.approx(stats.beta(3, 2).ppf(shares), rel=0.01)


def test_pieces_are_cut_where_a_function_jumps() -> None:
    ends = cumulative.resolved(lambda x: np.where(x < 1 / 3, 1.0, 5.0), np.linspace(0.0, 1.0, 11))
    beside = np.searchsorted(ends, 1 / 3)
    assert ends[beside] - ends[beside - 1] < 1e-10
    assert len(cumulative.resolved(np.ones_like, np.linspace(0.0, 1.0, 11))) == 11


def test_derivatives_by_differences() -> None:
    x = np.linspace(0.1, 0.9, 17)
    slope, error = differences.derivative(lambda x: np.exp(2 * x) * np.sin(x), x, np.full_like(x, 0.05))
    closed = np.exp(2 * x) * (2 * np.sin(x) + np.cos(x))
    assert np.abs(slope - closed).max() < 1e-11
    assert error.max() < 1e-9
    kinked, doubt = differences.derivative(lambda x: np.abs(x - 0.5), np.array([0.501]), np.array([0.05]))
    assert np.isfinite(kinked).all()
    assert doubt[0] < 1e-6
    assert (
        differences.derivative(lambda x: np.where(x > 0.5, np.nan, x), np.array([0.5]), np.array([0.05]))[1] == np.inf
    )
