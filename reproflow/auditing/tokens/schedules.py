"""Registered paths on which the rates of masking have times of a law with a name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize_scalar

from reproflow.auditing.naming.laws import line
from reproflow.auditing.naming.numbers import shortest, text
from reproflow.auditing.tokens.rates import PROCESS, Rates
from reproflow.foundation import registry
from reproflow.numerics.derivatives import Mode
from reproflow.theory.log_snr import invert_lam
from reproflow.theory.paths import get_path

POWERS = (0.2, 8.0)
"""Between these the power of a polynomial path is looked for."""


@dataclass(frozen=True)
class Schedule:
    """A registered path on which the law of the times has a name, and that law as a command line says it."""

    path: str
    time: str
    t: np.ndarray
    error: float


def of_rates(rates: Rates) -> Iterator[Schedule]:
    """Paths by the law of their times, the uniform one in full first; a fitted power last of them."""
    found = []
    for spec in _paths(rates):
        path = get_path(spec, PROCESS, Mode.REVERSE)
        t = invert_lam(path, torch.from_numpy(rates.lam)).numpy()
        known = rates.certain & np.isfinite(t)
        if not np.array_equal(known, rates.certain):
            continue
        low, width, error = line(rates.u[known], t[known])
        if error > rates.law_error or width <= 0:
            continue
        low, high = (shortest(each, 1e-4, 2 * rates.law_error) for each in (low, low + width))
        whole = max(abs(low), abs(high - 1)) <= 3 * rates.law_error
        time = "uniform" if whole else f"expr:{low:.6g} + {high - low:.6g}*u"
        found.append(Schedule(spec, time, t, error))
    yield from sorted(found, key=lambda each: (each.time != "uniform", ":" in each.path, each.error))


def _paths(rates: Rates) -> Iterator[str]:
    """The registered paths; the polynomial one with the power that the rates have."""
    for entry in registry.entries("path", PROCESS):
        if "n" not in entry.params:
            yield entry.name
    power = float(minimize_scalar(lambda n: line(rates.u, rates.m ** (1 / n))[2], bounds=POWERS, method="bounded").x)
    if abs(power - 1) > 1e-3:
        yield f"polynomial:n={text(power, 1e-3)}"
