r"""The coefficients of state and target as functions of the number that the network is given for its time.

The loss is read at some of the numbers that it draws; a sampler asks for others, and for those at and beyond the ends
of the law (sigma_max of EDM lies almost five standard deviations out). So the table is continued: the coordinates are
taken in which the outermost levels are best foretold from the others, and what is exact in many codes is kept exact. On
most paths A and B are tied, :math:`\alpha A^p + \beta B^p = 1` with p = 1 or 2 (linear, VP, VE, any state divided by a
standard deviation), and lam alone is continued; most targets are linear in (1, A, B) or in (1, 1/A, 1/B, A/B, B/A).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from reproflow.auditing.measured_loss import MeasuredLoss
from reproflow.foundation.errors import UsageError

Array = np.ndarray
Curve = Callable[[Array], Array]
Pair = Callable[[Array], tuple[Array, Array]]
Basis = Callable[[Array, Array], Array]
Maker = Callable[[Array, Array, Array, bool], Pair | None]
TIED = 1e-4
"""The largest relative residual of a tie of A and B, or of a target's coefficients, that is taken for exact."""
LEAST_POINTS = 6
"""Levels below which nothing can be held out: straight lines between them."""
HELD_OUT = 16
"""One level of so many is held out at each end."""


@dataclass(frozen=True)
class Coefficients:
    """State A x1 + B eps + k and target a x1 + b eps + k_T at some levels, each of their shape."""

    A: Array
    B: Array
    offset: Array
    a: Array
    b: Array
    target_offset: Array


class Levels:
    """The coefficients by the number that is given; raises `UsageError` where that number does not say the level."""

    def __init__(self, measured: MeasuredLoss) -> None:
        good = np.isfinite(measured.lam) & (measured.A != 0)
        columns = {key: getattr(measured, key)[good] for key in ("given", "A", "B", "a", "b")}
        columns |= {key: getattr(measured, key)[good] for key in ("offset", "target_offset")}
        given = columns["given"]
        if not len(given) or not np.isfinite(given).all():
            raise UsageError("the network is not given a time, so its exact answer at a level is not known")
        order = np.argsort(given)
        table = {key: values[order] for key, values in columns.items()}
        kept = np.concatenate([[True], np.diff(table["given"]) > 0])
        table = {key: values[kept] for key, values in table.items()}
        slopes = np.diff(np.log(np.abs(table["A"] / table["B"])))
        if len(slopes) and not ((slopes > 0).all() or (slopes < 0).all()):
            raise UsageError("the time that the network is given does not say the level")
        self.table = table
        self.low, self.high = float(table["given"][0]), float(table["given"][-1])
        self._state = _state(table)
        A, B = table["A"], table["B"]
        scale = np.abs(table["a"]) + np.abs(table["b"])
        self._shift = _tied(table["given"], table["offset"] / A, A, B, 1 + np.abs(table["offset"] / A))
        self._target = [_tied(table["given"], table[key], A, B, scale) for key in ("a", "b")]
        self._target.append(_tied(table["given"], table["target_offset"], A, B, scale))

    def at(self, given: Array) -> Coefficients:
        """The coefficients where the network is given these numbers."""
        A, B = self._state(given)
        a, b, target_offset = (curve(given, A, B) for curve in self._target)
        return Coefficients(A, B, A * self._shift(given, A, B), a, b, target_offset)

    @property
    def centre(self) -> float:
        """The data at which the state's mean is zero: 1/2 where the loss maps data in [0, 1] to 2 x - 1."""
        return float(-np.median(self.table["offset"] / self.table["A"]))


def _state(table: dict[str, Array]) -> Pair:
    """(A, B) by the given number, in the coordinates that foretell the outermost levels best."""
    given, A, B = table["given"], table["A"], table["B"]
    makers: list[Maker] = [_direct, _logarithms, _by_snr]
    logs = (False, True) if given[0] > 0 else (False,)
    if len(given) < LEAST_POINTS:
        return _direct(given, A, B, False)
    out = max(1, len(given) // HELD_OUT)
    ends = np.r_[:out, len(given) - out : len(given)]
    inner = slice(out, len(given) - out)
    best: Maker = _direct
    least = (np.inf, False)
    for make in makers:
        for log in logs:
            curve = make(given[inner], A[inner], B[inner], log)
            if curve is not None:
                foretold = curve(given[ends])
                wrong = np.abs(foretold[0] - A[ends]) + np.abs(foretold[1] - B[ends])
                error = float(np.nanmax(wrong / np.hypot(A[ends], B[ends]), initial=0.0))
                if error < least[0]:
                    best, least = make, (error, log)
    found = best(given, A, B, least[1])
    assert found is not None
    return found


def _direct(given: Array, A: Array, B: Array, log: bool) -> Pair:
    """Cubic splines of A and B."""
    x = _coordinate(given, log)
    curves = [_spline(x(given), each, straight=False) for each in (A, B)]
    return lambda t: (curves[0](x(t)), curves[1](x(t)))


def _logarithms(given: Array, A: Array, B: Array, log: bool) -> Pair | None:
    """Cubic splines of log A and log B with straight ends; none where one is zero or changes sign."""
    if not all((each > 0).all() or (each < 0).all() for each in (A, B)):
        return None
    x, signs = _coordinate(given, log), (np.sign(A[0]), np.sign(B[0]))
    curves = [_spline(x(given), np.log(np.abs(each)), straight=True) for each in (A, B)]
    return lambda t: (signs[0] * np.exp(curves[0](x(t))), signs[1] * np.exp(curves[1](x(t))))


def _by_snr(given: Array, A: Array, B: Array, log: bool) -> Pair | None:
    """log(A/B) by a cubic spline with straight ends, A and B from the tie between them; none where there is none."""
    if not all((each > 0).all() or (each < 0).all() for each in (A, B)):
        return None
    x, signs = _coordinate(given, log), (np.sign(A[0]), np.sign(B[0]))
    for power in (1, 2):
        columns = np.stack([np.abs(A) ** power, np.abs(B) ** power], 1)
        weights, *_ = np.linalg.lstsq(columns, np.ones(len(A)), rcond=None)
        if np.abs(columns @ weights - 1).max() < TIED:
            half = _spline(x(given), np.log(np.abs(A / B)), straight=True)
            return functools.partial(_on_tie, x, half, (float(weights[0]), float(weights[1])), power, signs)
    return None


def _on_tie(
    x: Curve, half: Curve, weights: tuple[float, float], power: int, signs: tuple[float, float], given: Array
) -> tuple[Array, Array]:
    """(A, B) of the ratio A/B with weights[0] A^power + weights[1] B^power = 1."""
    ratio = np.exp(np.clip(half(x(given)), -60, 60))
    size = np.maximum(weights[0] * ratio**power + weights[1], 1e-300) ** (-1 / power)
    return signs[0] * ratio * size, signs[1] * size


def _coordinate(given: Array, log: bool) -> Curve:
    least = given[0] * 1e-6
    return (lambda t: np.log(np.maximum(t, least))) if log else (lambda t: t)


def _spline(x: Array, y: Array, straight: bool) -> Curve:
    """A cubic spline, continued by its own polynomial or by straight lines."""
    from scipy.interpolate import CubicSpline

    if len(x) < LEAST_POINTS:
        return lambda t: np.interp(t, x, y)
    curve = CubicSpline(x, y)
    if not straight:
        return curve
    slopes = curve(x[[0, -1]], 1)

    def continued(t: Array) -> Array:
        inside = np.clip(t, x[0], x[-1])
        return curve(inside) + slopes[0] * np.minimum(t - x[0], 0) + slopes[1] * np.maximum(t - x[-1], 0)

    return continued


def _tied(given: Array, values: Array, A: Array, B: Array, scale: Array) -> Callable[[Array, Array, Array], Array]:
    """A coefficient as a function of A and B where it is one of a few, else by a spline in the given number.

    `scale` is what its residual is compared with at each level.
    """
    scale = np.maximum(scale, 1e-12)
    for basis in (_linear, _inverse):
        columns = basis(A, B)
        if not np.isfinite(columns).all():
            continue
        weights, *_ = np.linalg.lstsq(columns / scale[:, None], values / scale, rcond=1e-12)
        if np.abs((columns @ weights - values) / scale).max() < TIED:
            return functools.partial(_combined, basis, weights)
    curve = _spline(given, values, straight=False)
    return lambda t, A, B: curve(t)


def _combined(basis: Basis, weights: Array, given: Array, A: Array, B: Array) -> Array:
    return basis(A, B) @ weights


def _linear(A: Array, B: Array) -> Array:
    return np.stack([np.ones_like(A), A, B], -1)


def _inverse(A: Array, B: Array) -> Array:
    """Scores are -1/B; what is divided by alpha or by the SNR's root is here, too."""
    with np.errstate(all="ignore"):
        small = 1e-9
        A, B = np.where(np.abs(A) < small, small, A), np.where(np.abs(B) < small, small, B)
    return np.stack([np.ones_like(A), 1 / A, 1 / B, A / B, B / A], -1)
