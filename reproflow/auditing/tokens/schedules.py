"""Registered paths on which the rates of masking have times of a law with a name.

Where the law ends decides verdicts: one that stops short of t = 0 weights nothing but data there, and is no bound. Each
end is decided by itself: by the law's line in u where quantiles are exact, by the rates at the ends of the draws where
ranks alone are known, by the outermost ones of many draws; what these leave open is left open.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize_scalar

from reproflow.auditing.naming.laws import line
from reproflow.auditing.naming.numbers import shortest, text
from reproflow.auditing.tokens.rates import LAW, PROCESS, Rates, log_snr
from reproflow.foundation import registry
from reproflow.numerics.derivatives import Mode
from reproflow.theory.log_snr import invert_lam
from reproflow.theory.paths import Path, get_path

POWERS = (0.2, 8.0)
"""Between these the power of a polynomial path is looked for."""
ROUNDING = 2e-7
"""What the rates at the ends are off by: three roundings of single precision near 1."""
UNSEEN = 7.0
"""Times 1/N: the mass beyond the outermost of N draws is less, but for one case in a thousand."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Schedule:
    """A registered path on which the law of the times has a name, and that law as a command line says it.

    `widest` and `narrowest` are the laws with the ends as far out, and as far in, as they may be: equal where the ends
    are known.
    """

    path: str
    widest: str
    narrowest: str
    t: np.ndarray
    error: float


def of_rates(rates: Rates) -> Iterator[Schedule]:
    """Paths by the law of their times, the uniform one in full first; a fitted power last of them."""
    found = []
    for spec in _paths(rates):
        path = get_path(spec, PROCESS, Mode.REVERSE)
        t = times(path, rates.m)
        known = rates.certain & np.isfinite(t)
        if not np.array_equal(known, rates.certain):
            continue
        low, width, error = line(rates.u[known], t[known])
        if error > rates.law_error or width <= 0:
            continue
        noise, data = _ends(rates, path, t[known], (low, low + width))
        found.append(Schedule(spec, _law(noise[0], data[1]), _law(noise[1], data[0]), t, error))
    yield from sorted(found, key=lambda each: (each.widest != "uniform", ":" in each.path, each.error))


def times(path: Path, m: np.ndarray) -> np.ndarray:
    """t of rates m; NaN out of the path's reach."""
    return invert_lam(path, torch.from_numpy(log_snr(m))).numpy()


def _law(low: float, high: float) -> str:
    low, high = max(shortest(low, 0.0, 2 * LAW), 0.0), 1 - max(shortest(1 - high, 0.0, 2 * LAW), 0.0)
    return "uniform" if (low, high) == (0.0, 1.0) else f"expr:{low:.6g} + {high - low:.6g}*u"


def _ends(rates: Rates, path: Path, t: np.ndarray, fitted: Interval) -> tuple[Interval, Interval]:
    """Between which times the law begins, and between which it ends."""
    table, slack = rates.table, 2 * rates.law_error
    if table.steps:  # the first and the last of N steps are as near to the ends as steps can be
        low, high = (0.0 if abs(fitted[0]) <= slack else fitted[0]), (1.0 if abs(fitted[1] - 1) <= slack else fitted[1])
        return (low, low), (high, high)
    if table.draws:
        beyond = UNSEEN * np.ptp(t) / len(t)
        return (max(t.min() - beyond, 0.0), t.min() - beyond / UNSEEN), (t.max() + beyond / UNSEEN, t.max() + beyond)
    if rates.law_error <= LAW:
        return (fitted[0], fitted[0]), (fitted[1], fitted[1])
    noise = reached(path, table.ends[1], 0.0)
    data = reached(path, table.ends[0], 1.0)
    # Ends that the law's line denies are those of a draw that breaks down there.
    if not abs(noise[0] - fitted[0]) <= 2 * slack:
        noise = (max(fitted[0] - slack, 0.0), fitted[0] + slack)
    if not abs(data[0] - fitted[1]) <= 2 * slack:
        data = (fitted[1] - slack, min(fitted[1] + slack, 1.0))
    return noise, data


def reached(path: Path, m: float, end: float) -> Interval:
    """The times that a rate at an end of the law may be, its rounding allowed for."""
    t = times(path, np.clip(np.array([m + ROUNDING, m - ROUNDING]), 0.0, 1.0))
    low, high = (float(each) if np.isfinite(each) else end for each in t)
    return low, high


def _paths(rates: Rates) -> Iterator[str]:
    """The registered paths; the polynomial one with the power that the rates have."""
    for entry in registry.entries("path", PROCESS):
        if "n" not in entry.params:
            yield entry.name
    power = float(minimize_scalar(lambda n: line(rates.u, rates.m ** (1 / n))[2], bounds=POWERS, method="bounded").x)
    if abs(power - 1) > 1e-3:
        yield f"polynomial:n={text(power, 1e-3)}"
