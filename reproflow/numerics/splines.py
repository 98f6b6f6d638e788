"""Cubic splines through numbers, and the one with few knots that is nearest to many numbers.

Between knots the curve is the cubic that its values and second derivatives say; at the ends the third derivative does
not jump at the last inner knot ("not a knot"), so that cubics are met exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# scipy.interpolate has such splines, and takes a fifth of the time of `import torch` to import with scipy.special: each
# audit needs splines, and is to take little more than that. The tests hold these to scipy's.
FEWEST = 4


@dataclass(frozen=True)
class Spline:
    """A cubic spline: knots x in order (K,), values y (K,), second derivatives (K,)."""

    x: np.ndarray
    y: np.ndarray
    curvature: np.ndarray

    def __call__(self, at: np.ndarray) -> np.ndarray:
        """The value, of at's shape; beyond the ends the last cubic goes on."""
        place, width, left, right = _places(self.x, at)
        low, high = self.curvature[place], self.curvature[place + 1]
        bend = ((left**3 - left) * low + (right**3 - right) * high) * width**2 / 6
        return left * self.y[place] + right * self.y[place + 1] + bend

    def slope(self, at: np.ndarray) -> np.ndarray:
        """The derivative, of at's shape."""
        place, width, left, right = _places(self.x, at)
        low, high = self.curvature[place], self.curvature[place + 1]
        bend = ((1 - 3 * left**2) * low + (3 * right**2 - 1) * high) * width / 6
        return (self.y[place + 1] - self.y[place]) / width + bend


def through(x: np.ndarray, y: np.ndarray) -> Spline:
    """The spline through y (K,) at x (K,), x in order and without ties. Raises `ValueError` for K < 4."""
    return Spline(x, y, _eliminated(x, y))


def nearest(x: np.ndarray, y: np.ndarray, knots: np.ndarray, weight: np.ndarray | None = None) -> Spline:
    """The spline with these knots that is nearest to y (P,) at x (P,) in weighted least squares."""
    matrix = _curvatures(knots)
    basis = _basis(x, knots, matrix)[0]
    root = np.ones_like(x) if weight is None else np.sqrt(weight)
    values = np.linalg.lstsq(basis * root[:, None], y * root, rcond=None)[0]
    return Spline(knots, values, matrix @ values)


def slopes(x: np.ndarray, knots: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The matrix (P, P) from y at x (P,) to the slopes there of `nearest`: errors of y go through it as y does."""
    value, slope = _basis(x, knots, _curvatures(knots))
    root = np.sqrt(weight / weight.max())
    return slope @ (np.linalg.pinv(value * root[:, None], rcond=1e-15) * root)


def _basis(x: np.ndarray, knots: np.ndarray, curvatures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matrices (P, K) from the values at knots to the values, and to the slopes, at x (P,)."""
    unit = np.eye(len(knots))
    place, width, left, right = (each[..., None] if each.dtype != int else each for each in _places(knots, x))
    low, high, first, last = curvatures[place], curvatures[place + 1], unit[place], unit[place + 1]
    bend = ((left**3 - left) * low + (right**3 - right) * high) * width**2 / 6
    slope = (last - first) / width + ((1 - 3 * left**2) * low + (3 * right**2 - 1) * high) * width / 6
    return left * first + right * last + bend, slope


def _places(knots: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, ...]:
    """The interval that each number lies in, its width, and the shares of its left and right knot."""
    place = np.clip(np.searchsorted(knots, at, side="right") - 1, 0, len(knots) - 2)
    width = knots[place + 1] - knots[place]
    right = (at - knots[place]) / width
    return place, width, 1 - right, right


def _eliminated(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The second derivatives (K,) that `_curvatures` has for y (K,), in K steps.

    "Not a knot" gives the ends from the two next to them; what is left is tridiagonal and dominated by its diagonal,
    so that elimination needs no pivots.
    """
    _check(x)
    width = np.diff(x)
    first, second, last, before = width[0], width[1], width[-1], width[-2]
    lower, upper = width[:-1] / 6, width[1:] / 6
    diagonal = (width[:-1] + width[1:]) / 3
    diagonal[0] += first * (first + second) / (6 * second)
    upper[0] -= first**2 / (6 * second)
    diagonal[-1] += last * (last + before) / (6 * before)
    lower[-1] -= last**2 / (6 * before)
    inner = _tridiagonal(lower.tolist(), diagonal.tolist(), upper.tolist(), np.diff(np.diff(y) / width).tolist())
    start = ((first + second) * inner[0] - first * inner[1]) / second
    end = ((last + before) * inner[-1] - last * inner[-2]) / before
    return np.array([start, *inner, end])


def _tridiagonal(lower: list[float], diagonal: list[float], upper: list[float], right: list[float]) -> list[float]:
    """The solution by elimination without pivots; `lower[0]` and `upper[-1]` lie outside."""
    for row in range(1, len(right)):
        factor = lower[row] / diagonal[row - 1]
        diagonal[row] -= factor * upper[row - 1]
        right[row] -= factor * right[row - 1]
    found = right
    found[-1] /= diagonal[-1]
    for row in reversed(range(len(right) - 1)):
        found[row] = (right[row] - upper[row] * found[row + 1]) / diagonal[row]
    return found


def _check(x: np.ndarray) -> None:
    if len(x) < FEWEST:
        raise ValueError(f"{len(x)} knots: a cubic spline has {FEWEST} or more.")


def _curvatures(x: np.ndarray) -> np.ndarray:
    """The matrix (K, K) from values to second derivatives. Raises `ValueError` for fewer than four knots."""
    _check(x)
    count, width = len(x), np.diff(x)
    left, right = np.zeros((count, count)), np.zeros((count, count))
    inner = np.arange(1, count - 1)
    left[inner, inner - 1], left[inner, inner + 1] = width[:-1] / 6, width[1:] / 6
    left[inner, inner] = (width[:-1] + width[1:]) / 3
    right[inner, inner - 1], right[inner, inner + 1] = 1 / width[:-1], 1 / width[1:]
    right[inner, inner] = -1 / width[:-1] - 1 / width[1:]
    for row, first in ((0, 0), (count - 1, count - 3)):
        before, after = width[first], width[first + 1]
        left[row, first : first + 3] = after, -before - after, before
    return np.linalg.solve(left, right)
