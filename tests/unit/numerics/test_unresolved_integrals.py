"""Integrals that halving does not resolve, and features that only a finer grid sees: closed forms and scipy."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import special

from reproflow.numerics.quadrature import integral

Function = Callable[[np.ndarray], np.ndarray]

GRID = np.linspace(1e-4, 1 - 1e-4, 100_101)
POLES = np.arange(1, 9) / 9


def triangle(t: np.ndarray) -> np.ndarray:
    return np.abs(2 * np.mod(1e4 * t, 1) - 1)


FEATURES: dict[str, tuple[Function, float]] = {
    "a bump of 1e-6": (lambda t: 1 + 1e6 * np.exp(-(((t - 0.3123) / 1e-6) ** 2)), 1 + math.sqrt(math.pi)),
    "another": (lambda t: 1 + 5e4 * np.exp(-(((t - 0.7117) / 3e-6) ** 2)), 1 + 0.15 * math.sqrt(math.pi)),
    "a line of Lorentz": (
        lambda t: 1 + 1e6 / (1 + ((t - 0.2) / 1e-7) ** 2),
        1 + 0.1 * (math.atan(0.8e7) + math.atan(0.2e7)),
    ),
    "a box of 4e-5": (lambda t: np.where(np.abs(t - 0.4321) < 2e-5, 1e4, 1.0), 1 + (1e4 - 1) * 4e-5),
    "two bumps on a slope": (
        lambda t: t + 1e5 * (np.exp(-(((t - 0.31) / 4e-6) ** 2)) + np.exp(-(((t - 0.61) / 4e-6) ** 2))),
        0.5 + 0.8 * math.sqrt(math.pi),
    ),
    "a dip to zero": (lambda t: 1 - np.exp(-(((t - 0.123) / 2e-5) ** 2)), 1 - 2e-5 * math.sqrt(math.pi)),
    "a bump on nothing": (lambda t: np.exp(-(((t - 0.77) / 5e-6) ** 2)), 5e-6 * math.sqrt(math.pi)),
}
FAST: dict[str, tuple[Function, float]] = {
    "2 + sin(3e5 t)": (lambda t: 2 + np.sin(3e5 * t), 2 + (1 - math.cos(3e5)) / 3e5),
    "cos²(2e5 t)": (lambda t: np.cos(2e5 * t) ** 2, 0.5 + math.sin(4e5) / 8e5),
    "ten thousand triangles": (triangle, 0.5),
    "a thousand steps": (lambda t: np.floor(1000 * t), 499.5),
    "sin²(1/t)": (
        lambda t: np.sin(1 / t) ** 2,
        math.sin(1) ** 2 + 0.5 * math.pi - float(special.sici(2)[0]),
    ),
    "a power that swings": (
        lambda t: t**-0.9 * (1.5 + np.cos(8 * np.log(t))),
        15 + (1 / (0.1 + 8j)).real,
    ),
    "8 integrable poles": (
        lambda t: (np.maximum(np.abs(np.subtract.outer(t, POLES)), 1e-300) ** -0.5).sum(-1),
        float((2 * np.sqrt(POLES) + 2 * np.sqrt(1 - POLES)).sum()),
    ),
}
DIVERGES: dict[str, Function] = {
    "|sin(1/t)|/t": lambda t: np.abs(np.sin(1 / t)) / t,
    "sin²(1/t)/t": lambda t: np.sin(1 / t) ** 2 / t,
    "|sin(1/t²)|/t": lambda t: np.abs(np.sin(1 / t**2)) / t,
    "|sin(1/t)|/t^1.5": lambda t: np.abs(np.sin(1 / t)) / t**1.5,
    "(1 + cos(8 log t))/t": lambda t: (1 + np.cos(8 * np.log(t))) / t,
    "|cos(50 log t)|/t": lambda t: np.abs(np.cos(50 * np.log(t))) / t,
    "(2 + sin(1/t))/t": lambda t: (2 + np.sin(1 / t)) / t,
    "at the data end": lambda t: np.sin(1 / (1 - t)) ** 2 / (1 - t),
    "inside": lambda t: np.abs(np.sin(1 / (t - 0.3))) / np.abs(t - 0.3),
    "20 poles": lambda t: (1 / np.abs(np.subtract.outer(t, np.arange(1, 21) / 21))).sum(-1),
}


@pytest.mark.parametrize("name", FEATURES)
def test_what_a_grid_sees_is_in_the_integral(name: str) -> None:
    f, wanted = FEATURES[name]
    found = integral(f, times=GRID)
    assert found.verdict == "finite"
    assert found.value == pytest.approx(wanted, rel=1e-7)


def test_without_the_grid_it_is_missed() -> None:
    """The control."""
    f, wanted = FEATURES["a bump of 1e-6"]
    assert integral(f).value == pytest.approx(1, abs=1e-6)
    assert integral(f).value != pytest.approx(wanted, rel=0.1)


@pytest.mark.parametrize("name", FAST)
def test_what_swings_and_is_finite(name: str) -> None:
    f, wanted = FAST[name]
    found = integral(f, times=GRID)
    assert (found.verdict, found.unresolved) == ("finite", None)
    assert abs(found.value - wanted) <= 1e-5 * wanted + found.error


@pytest.mark.parametrize("name", DIVERGES)
@pytest.mark.default_cases(2)
def test_a_divergent_one_is_never_finite(name: str) -> None:
    with np.errstate(all="ignore"):
        found = integral(DIVERGES[name], times=GRID)
    assert found.verdict in ("infinite", "inconclusive")


def test_halving_that_breaks_off_says_where() -> None:
    """|sin(1/t)| is finite, and |sin(1/t)|/t is not resolved towards t = 0 from some place on."""
    found = integral(DIVERGES["|sin(1/t)|/t"])
    assert found.unresolved is not None
    assert found.unresolved < 1e-3
    assert found.error > 1e-3 * found.value
    assert integral(lambda t: 2 + np.sin(40 * t)).unresolved is None


def test_a_value_comes_with_what_is_unresolved_of_it() -> None:
    """sin²(1/t)/sqrt(t), by x = 1/t: half the integral of x^-1.5 (1 - cos 2x) from 1, the second by Fresnel's."""
    found = integral(lambda t: np.sin(1 / t) ** 2 / np.sqrt(t))
    sine, _ = special.fresnel(2 / math.sqrt(math.pi))
    by_parts = 2 * math.cos(2) - 4 * math.sqrt(math.pi) * (0.5 - sine)
    wanted = 0.5 * (2 - by_parts)
    assert found.verdict == "finite"
    assert abs(found.value - wanted) < max(found.error, 1e-6)
    assert 0 < found.error < 1e-3 * found.value


@pytest.mark.parametrize("p", [-0.9, -0.98, -0.99, -1.0, -1.001, -1.02, -1.1])
@pytest.mark.parametrize(
    "factor",
    [
        np.ones_like,
        lambda t: np.abs(np.sin(1 / t)),
        lambda t: 1.2 + np.cos(8 * np.log(t)),
        lambda t: -np.log(t / 2),
        lambda t: np.abs(np.log(t / 2)) ** -0.5,
    ],
)
@pytest.mark.default_cases(9)
def test_powers_with_a_factor_are_never_taken_for_the_other_kind(p: float, factor: Function) -> None:
    """Whatever slow or bounded factor: finite above -1, infinite at -1 and below; near -1 it may be left open."""
    found = integral(lambda t: factor(t) * t**p).verdict
    assert found != ("infinite" if p > -1 else "finite")
    if abs(p + 1) >= 0.1:
        assert found == ("finite" if p > -1 else "infinite")
