"""Splines: against scipy's, on cubics, and how errors of the values go through the slopes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import CubicSpline, make_lsq_spline

from reproflow.numerics import splines

RNG = np.random.default_rng(0)


def uneven(count: int) -> np.ndarray:
    """Places whose distances differ thirtyfold."""
    return np.cumsum(RNG.uniform(0.1, 3, count))


@pytest.mark.parametrize("count", [4, 5, 6, 40, 1000])
def test_through_numbers_is_scipys_not_a_knot_spline(count: int) -> None:
    x, y = uneven(count), RNG.normal(size=count)
    spline, oracle = splines.through(x, y), CubicSpline(x, y)
    at = np.linspace(x[0] - 0.1, x[-1] + 0.1, 501)
    assert spline(at) == pytest.approx(oracle(at), rel=1e-9, abs=1e-9)
    assert spline.slope(at) == pytest.approx(oracle(at, 1), rel=1e-9, abs=1e-9)


def test_a_natural_spline_is_another_one() -> None:
    """The control: other conditions at the ends are told apart."""
    x, y = uneven(8), RNG.normal(size=8)
    assert np.abs(splines.through(x, y).slope(x) - CubicSpline(x, y, bc_type="natural")(x, 1)).max() > 1e-2


@pytest.mark.parametrize("build", [lambda x: splines.through(x, x), lambda x: splines.nearest(x, x, x)])
def test_three_knots_are_too_few(build: object) -> None:
    with pytest.raises(ValueError, match="3 knots: a cubic spline has 4 or more"):
        build(np.arange(3.0))


def test_the_nearest_spline_is_scipys() -> None:
    x, weight = np.sort(RNG.uniform(0, 10, 200)), RNG.uniform(0.5, 2, 200)
    y = np.sin(x) + 0.1 * RNG.normal(size=200)
    knots = x[0] + (x[-1] - x[0]) * np.linspace(0, 1, 9) ** 1.3
    # "Not a knot": the second and the last but one are none of scipy's.
    inner = knots[2:-2]
    oracle = make_lsq_spline(x, y, np.r_[[knots[0]] * 4, inner, [knots[-1]] * 4], w=np.sqrt(weight))
    assert splines.nearest(x, y, knots, weight)(x) == pytest.approx(oracle(x), abs=1e-9)


def test_slopes_is_the_matrix_of_the_nearest_splines_slopes() -> None:
    x, weight = np.sort(RNG.uniform(0, 10, 60)), RNG.uniform(0.5, 2, 60)
    knots = np.linspace(x[0], x[-1], 7)
    matrix = splines.slopes(x, knots, weight)
    for y in (np.sin(x), RNG.normal(size=60)):
        assert matrix @ y == pytest.approx(splines.nearest(x, y, knots, weight).slope(x), abs=1e-9)
    assert matrix @ x**3 == pytest.approx(3 * x**2, abs=1e-7)
    assert matrix @ np.ones(60) == pytest.approx(np.zeros(60), abs=1e-10)


def test_slopes_forget_numbers_of_no_weight() -> None:
    x, knots = np.linspace(0, 1, 40), np.linspace(0, 1, 5)
    weight = np.where(np.arange(40) == 20, 1e-12, 1.0)
    changed = np.where(np.arange(40) == 20, 1.0, 0.0)
    assert np.abs(splines.slopes(x, knots, weight) @ changed).max() < 1e-9
    assert np.abs(splines.slopes(x, knots, np.ones(40)) @ changed).max() > 0.1


def test_slopes_do_not_depend_on_the_weights_scale() -> None:
    x, knots, weight = np.linspace(0, 1, 40), np.linspace(0, 1, 5), RNG.uniform(0.5, 2, 40)
    assert splines.slopes(x, knots, 1e20 * weight) == pytest.approx(splines.slopes(x, knots, weight), abs=1e-10)
