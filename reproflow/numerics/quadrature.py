r"""Integrals of weights: adaptive quadrature that knows a pole it can integrate from one it cannot.

An interval is cut into octaves towards both ends, and every piece is halved until its Gauss-Kronrod rule of 15 points
agrees with the Gauss rule of 7 inside it. What is left of the last octave follows from the exponent p of f ~ x^p there,

.. math:: \int_0^x f = \frac{x f(x)}{1 + p},

where p is a robust slope of log f over the ladder x = 2^-k. A function that halving never resolves has a pole inside,
and so has one that is infinite on a whole piece; the interval is cut there. p <= -1 is infinite. Within 0.01 of -1 the
ladder does not decide, nor does it where p still drifts there like 1/k, as it does for logarithms, nor within three
standard errors of p, which an oscillation makes large.

Two things limit what is seen. A feature between the first pieces' nodes is passed over: so a caller that has looked at
f on a grid of its own passes that grid, and wherever f bends between its times, they end pieces. And halving stops at
`LARGEST` pieces: if what is unresolved then may be more than a thousandth of the whole, the integral is inconclusive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from reproflow.numerics.gauss_rules import GAUSS_WEIGHTS, KRONROD_NODES, KRONROD_WEIGHTS

Function = Callable[[np.ndarray], np.ndarray]

OCTAVES = (50, 40)  # towards 0 numbers keep their digits, towards 1 they do not
NEAR = 34  # a pole's place inside is known to 1e-16: nearer than 1e-11, distances to it have too few digits
RUNGS = 20  # for the slope of a ladder
PATTERN = np.mod((np.arange(16) + 0.5) * 0.6180339887498949, 1)  # places between two rungs, as logarithms
PIECES = 2048  # at least, so that no feature wider than 5e-4 is passed over
MARGIN = 0.01
NOISY = 1e-3  # the standard error of a slope above which it is no power's
ROUNDING = 1e-5
TOLERANCE = 1e-10
UNRESOLVED = 1e-3
BENT = 1e-6
ROUNDS = 60
LARGEST = 200_000
CHUNK = 20_000
CUTS = 40


@dataclass(frozen=True)
class Pole:
    """f ~ |x - place|^exponent; verdict is finite, infinite or inconclusive."""

    place: float
    exponent: float
    verdict: str


@dataclass(frozen=True)
class Integral:
    """Its value (infinite where it diverges), the verdict of its worst pole, and the exponents at ends and poles.

    `error` is how much of it is not known: what halving has left unresolved, and what lies beyond the ladders where f
    swings. `unresolved` is a place where halving broke off, None where too little was left there to matter: where it is
    set the verdict is inconclusive, unless a pole is infinite.
    """

    value: float
    verdict: str
    poles: tuple[Pole, ...]
    error: float = 0.0
    unresolved: float | None = None

    @property
    def worst(self) -> Pole:
        """The pole with the lowest exponent."""
        return min(self.poles, key=lambda pole: pole.exponent)


def integral(
    f: Function,
    low: float = 0.0,
    high: float = 1.0,
    octaves: tuple[int, int] = OCTAVES,
    times: np.ndarray | None = None,
) -> Integral:
    """The integral of f over (low, high); f takes and gives arrays and is never asked at the ends themselves.

    `octaves` says how far towards each end f may be asked, `times` are places in order at which it is looked at first:
    what can be told from f there is in the integral. Where the verdict is inconclusive, the value is what lies between
    the ladders' last steps.
    """
    seen = bends(f, times[(times > low) & (times < high)]) if times is not None else np.zeros(0)
    cuts, parts = [low, high], [_part(f, low, high, octaves, seen)]
    while len(cuts) < CUTS and (index := next((i for i, part in enumerate(parts) if part.poles_inside), -1)) >= 0:
        cuts.insert(index + 1, parts[index].poles_inside[0])
        outer = (octaves[0] if index == 0 else NEAR, octaves[1] if index == len(parts) - 1 else NEAR)
        parts[index : index + 1] = [
            _part(f, cuts[index], cuts[index + 1], (outer[0], NEAR), seen),
            _part(f, cuts[index + 1], cuts[index + 2], (NEAR, outer[1]), seen),
        ]
    poles = tuple(pole for part in parts for pole in part.poles)
    error, places = sum(part.error for part in parts), [part.rough for part in parts if part.rough is not None]
    places = [place for part in parts for place in part.poles_inside] or places
    unresolved = places[0] if places and error > UNRESOLVED * sum(part.size for part in parts) else None
    verdicts = [pole.verdict for pole in poles] + ["inconclusive"] * (unresolved is not None)
    verdict = next((v for v in ("infinite", "inconclusive") if v in verdicts), "finite")
    value = np.inf if verdict == "infinite" else float(sum(part.value for part in parts))
    error += sum(part.tail_error for part in parts)
    return Integral(value, "infinite" if np.isinf(value) else verdict, poles, float(error), unresolved)


def bends(f: Function, t: np.ndarray) -> np.ndarray:
    """The times of a grid in order at which f is not what both neighbours let expect, with these neighbours.

    That is, by more than a millionth of their values, and not negligibly little of the whole.
    """
    if len(t) < 3:
        return t
    v, width = f(t), t[2:] - t[:-2]
    with np.errstate(all="ignore"):
        error = np.abs(v[1:-1] - v[:-2] - (v[2:] - v[:-2]) * ((t[1:-1] - t[:-2]) / width))
        whole = np.nansum(np.where(np.isfinite(v[1:-1]), np.abs(v[1:-1]) * width, 0.0))
        straight = (error <= BENT * np.maximum(np.abs(v[2:]), np.abs(v[:-2]))) | (error * width <= 1e-15 * whole)
    bent = np.flatnonzero(~straight) + 1
    return np.asarray(t[np.unique(np.concatenate([bent - 1, bent, bent + 1]))])


@dataclass(frozen=True)
class _Part:
    """The integral over one interval: `error` of its `size` is not resolved, at `rough`.

    `tail_error` is how far what lies beyond the ladders may be off.
    """

    value: float
    poles: tuple[Pole, ...]
    size: float = 0.0
    error: float = 0.0
    rough: float | None = None
    poles_inside: tuple[float, ...] = ()
    tail_error: float = 0.0


def _part(f: Function, low: float, high: float, octaves: tuple[int, int], seen: np.ndarray) -> _Part:
    """One interval without a known pole inside; an infinite one is not added up."""
    width = high - low
    left = low + width * _ladder(_depth(low, width, octaves[0]))
    right = high - width * _ladder(_depth(high, width, octaves[1]))
    with np.errstate(all="ignore"):
        ends = [_end(f, x, end) for x, end in ((left, low), (right, high))]
        poles = tuple(pole for pole, _, _ in ends)
        if any(pole.verdict == "infinite" for pole in poles):
            return _Part(np.inf, poles)
        middle = np.concatenate([np.linspace(low, high, PIECES + 1), seen])
        middle = middle[(middle > left[-1]) & (middle < right[-1])]
        found = _adaptive(f, np.unique(np.concatenate([left, middle, right])), (low, high), poles)
    return replace(
        found, value=found.value + sum(tail for _, tail, _ in ends), tail_error=sum(error for _, _, error in ends)
    )


def _depth(end: float, width: float, octaves: int) -> int:
    """How many octaves can be told apart from the end itself, to ten bits."""
    if not end:
        return octaves
    with np.errstate(over="ignore"):  # an end beside 0, where all octaves can be told apart
        bits = np.log2(width / np.spacing(abs(end)))
    return max(2, min(octaves, int(min(bits, octaves + 10)) - 10))


def _ladder(octaves: int) -> np.ndarray:
    """1/2, 1/4, .. to 2^-octaves, in smaller steps where those are few."""
    return 2.0 ** -np.linspace(1, octaves, max(octaves, RUNGS))


def _end(f: Function, ladder: np.ndarray, end: float) -> tuple[Pole, float, float]:
    """The pole at an end, and the integral from the ladder's last step to the end (0 unless it is finite) to an error.

    Where the values on the ladder are no power's, f goes by its means between rungs.
    """
    values, steps = f(ladder), np.abs(ladder - end)
    exponent, limit, doubt = _exponents(np.log2(steps), np.log2(np.abs(values)))
    last, away = values[-1:], steps[-1:]
    if doubt > NOISY:
        (exponent, limit, doubt), last, away = _by_means(f, ladder, end)
    powers = doubt <= NOISY and exponent <= -1 + ROUNDING and limit <= -1 + MARGIN / 5
    if powers or max(exponent, limit) + 3 * doubt <= -1 - MARGIN:
        return Pole(end, exponent, "infinite"), 0.0, 0.0
    if min(exponent, limit) - 3 * doubt < -1 + MARGIN:
        return Pole(end, exponent, "inconclusive"), 0.0, 0.0
    if not np.isfinite(exponent):
        return Pole(end, exponent, "finite"), 0.0, 0.0
    beyond = last * (steps[-1] / away) ** exponent * steps[-1] / (1 + exponent)
    beyond = beyond[np.isfinite(beyond)] if len(last) > 1 else beyond
    tail = float(beyond.mean()) if len(beyond) else 0.0
    error = float(beyond.std()) if len(beyond) else 0.0
    return Pole(end, exponent, "finite"), tail, min(error + 3 * doubt / (1 + exponent) * abs(tail), abs(tail))


def _by_means(f: Function, ladder: np.ndarray, end: float) -> tuple[tuple[float, float, float], np.ndarray, np.ndarray]:
    """The exponents of the means of |f| between rungs, and f and the distances from the end between the last two.

    The places between two rungs are of one pattern, so that a power has its slope, and an oscillation is averaged.
    """
    logs = np.log2(np.abs(ladder - end))
    t = end + np.sign(ladder[0] - end) * np.exp2(logs[:-1, None] + np.diff(logs)[:, None] * PATTERN)
    values, away = f(t.ravel()).reshape(t.shape), np.abs(t - end)
    finite = np.isfinite(values)
    size = np.where(finite, np.abs(values), 0.0).sum(1) / np.maximum(finite.sum(1), 1)
    size[~finite.any(1)] = np.inf
    return _exponents(np.log2(away).mean(1), np.log2(size)), values[-1], away[-1]


def _exponents(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """The slope of y over x at the ladder's end, its limit if it drifts like 1/k, and its standard error.

    Slopes are medians over all pairs of a window, which an oscillation does not fool.
    """
    last = len(x)
    if y[-1] == -np.inf:
        return np.inf, np.inf, 0.0
    if y[-1] == np.inf:
        return -np.inf, -np.inf, 0.0
    x_late, y_late = x[last * 3 // 5 :], y[last * 3 // 5 :]
    late = _median_slope(x_late, y_late)
    early = _median_slope(x[last // 5 : last * 3 // 5], y[last // 5 : last * 3 // 5])
    whole = np.isfinite(y_late)
    doubt = float(np.std((y_late - late * x_late)[whole]) / (np.std(x_late) * np.sqrt(whole.sum())))
    return late, 2 * late - early, doubt


def _median_slope(x: np.ndarray, y: np.ndarray) -> float:
    first, second = np.triu_indices(len(x), 1)
    slopes = (y[second] - y[first]) / (x[second] - x[first])
    slopes = slopes[np.isfinite(slopes)]
    return float(np.median(slopes)) if len(slopes) else 0.0


def _adaptive(f: Function, edges: np.ndarray, ends: tuple[float, float], poles: tuple[Pole, ...]) -> _Part:
    """The integral over the edges' span, and the place of a pole if halving does not resolve the function."""
    low, high = edges[:-1], edges[1:]
    value, error, peak, infinite = _rule(f, low, high)
    done, size = 0.0, 0.0
    for _ in range(ROUNDS):
        if infinite.any():
            place = float(0.5 * (low + high)[infinite.argmax()])
            return _Part(np.inf, poles, np.inf, np.inf, place, (place,))
        size = max(size, abs(done) + np.abs(value[np.isfinite(value)]).sum())
        # An argument beside an end is rounded, and a function that is singular at the end feels it.
        rounding = 4 * np.spacing(np.abs(high)) / np.minimum(low - ends[0], ends[1] - high)
        rough = ~(error <= TOLERANCE * size / 50 + rounding * np.abs(value))
        done += value[~rough].sum()
        low, high, value, error, peak = (each[rough] for each in (low, high, value, error, peak))
        tiny = high - low <= 8 * np.spacing(np.maximum(np.abs(low), np.abs(high)))
        if tiny.any():
            place = float(peak[tiny][np.argmax(np.abs(f(peak[tiny])))])
            return _Part(done, poles, size, np.inf, place, (place,))
        if not len(low):
            return _Part(float(done), poles, size)
        if 2 * len(low) > LARGEST:
            break
        middle = 0.5 * (low + high)
        low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
        value, error, peak, infinite = _rule(f, low, high)
    left = np.where(np.isfinite(error), error, np.inf)
    total = float(done + value[np.isfinite(value)].sum())
    return _Part(total, poles, size, float(left.sum()), float(peak[left.argmax()]))


def _rule(f: Function, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Value and error of the rule on each piece, the node where |f| is largest, and whether f is infinite at all.

    Pieces are taken some at a time, so that their nodes fit into little memory.
    """
    starts = range(0, len(low), CHUNK)
    parts = [_some(f, low[at : at + CHUNK], high[at : at + CHUNK]) for at in starts]
    value, error, peak, infinite = (np.concatenate(column) for column in zip(*parts, strict=True))
    return value, error, peak, infinite


def _some(f: Function, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    half = 0.5 * (high - low)
    nodes = 0.5 * (low + high)[:, None] + half[:, None] * KRONROD_NODES
    values = f(nodes.ravel()).reshape(nodes.shape)
    kronrod, gauss = half * (values @ KRONROD_WEIGHTS), half * (values @ GAUSS_WEIGHTS)
    peak = nodes[np.arange(len(nodes)), np.argmax(np.abs(values), axis=1)]
    infinite = np.array(np.isinf(values).all(axis=1))
    return kronrod, np.abs(kronrod - gauss), peak, infinite
