r"""Levels of noise by index: what a table of betas, cumulated alphas, sigmas or log-SNRs says, or a path at N times.

Levels are kept from data to noise, whatever the order of the table; `index` is the table's own, from 0. A level may
have no data left in it (SNR 0, as a rescaled schedule ends), and the first may have no noise (sigma 0): that one is the
data. Of a path the levels are those at t = 1 - (i + 1)/N, the last at pure noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from reproflow.foundation.by_process import ByProcess
from reproflow.foundation.errors import UsageError, did_you_mean
from reproflow.foundation.tables import Table
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.paths import Path
from reproflow.theory.processes.base import get_process

FEWEST = 2


@dataclass(frozen=True)
class Reading:
    """What the numbers of a table of one kind say of every level: alpha, sigma and lam, (N,) each.

    `spread` is how far off lam may be where each number is off by a relative 1. `slopes` are (alpha', sigma') where the
    kind has them, as the straight path of flow matching does; else the velocity is not defined.
    """

    alpha: np.ndarray
    sigma: np.ndarray
    lam: np.ndarray
    spread: np.ndarray
    slopes: tuple[float, float] = (np.nan, np.nan)


@dataclass(frozen=True)
class Kind:
    """How a table of one kind is read: (low, high) is the closed range its numbers lie in."""

    read: Callable[[np.ndarray], Reading]
    low: float
    high: float
    what: str


SCHEDULES: ByProcess[Callable[[], dict[str, Kind]]] = ByProcess("schedule by index", __name__)
"""By process: the kinds of tables that give the levels of a chain."""


@dataclass(frozen=True)
class Levels:
    """The levels of a chain from data to noise; arrays have shape (N,).

    `rounding` is how far off each lam may be for the digits of the table; `words` says where the levels come from.
    """

    process: str
    alpha: np.ndarray
    sigma: np.ndarray
    lam: np.ndarray
    slopes: tuple[np.ndarray, np.ndarray]
    rounding: np.ndarray
    index: np.ndarray
    words: str

    def __len__(self) -> int:
        return len(self.lam)

    @property
    def t(self) -> np.ndarray:
        """The times of the levels where a weight or a law asks for one: 1 - (i + 1)/N."""
        return times(len(self))

    @property
    def coefficients(self) -> Coefficients:
        """The levels as a path's coefficients; derivatives are NaN where there are none."""
        values = (self.t, self.alpha, self.sigma, *self.slopes)
        t, alpha, sigma, dalpha, dsigma = (torch.from_numpy(np.array(each)) for each in values)
        return Coefficients(t, alpha, sigma, dalpha, dsigma, self.process)

    def fault(self) -> str:
        """Why this is no chain: a level whose SNR does not fall. In words, or nothing."""
        step = np.diff(self.lam)
        bad = np.flatnonzero(~(step < 0))
        if not len(bad):
            return ""
        first, second = self.index[bad[0]], self.index[bad[0] + 1]
        how = "is that of" if step[bad[0]] == 0 else "does not fall from"
        also = f", and at {len(bad) - 1} more" if len(bad) > 1 else ""
        return f"no chain: the SNR at index {second} {how} index {first}{also}; levels go from data to noise, or back"


def times(count: int) -> np.ndarray:
    """1 - (i + 1)/N, from data to noise."""
    return 1 - np.arange(1, count + 1) / count


def from_table(table: Table, kind: str, process: str) -> Levels:
    """The levels that a table of numbers says. Raises `UsageError` for a number that its kind does not have."""
    kinds = SCHEDULES[process]()
    if kind not in kinds:
        known = ", ".join(kinds)
        raise UsageError(f"a {process} schedule is not given by {kind!r};{did_you_mean(kind, kinds)} known: {known}")
    how = kinds[kind]
    if len(table) < FEWEST:
        raise UsageError(f"table {table.name!r} has one level; a chain has {FEWEST} or more.")
    bad = np.flatnonzero(~((table.values >= how.low) & (table.values <= how.high)))
    if len(bad):
        value, first = table.values[bad[0]], bad[0]
        raise UsageError(
            f"table {table.name!r} is {value:g} at index {first}; {how.what} lie in [{how.low:g}, {how.high:g}]."
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        read = how.read(table.values)
        spread = np.where(np.isfinite(read.lam), table.rounding * read.spread, 0.0)
    index, count = np.arange(len(table)), len(table)
    if read.lam[0] < read.lam[-1]:
        index = index[::-1]
    slopes = tuple(np.full(count, slope) for slope in read.slopes)
    words = f"{count} levels, {kind} of {table.name}"
    alpha, sigma, lam, rounding = (each[index] for each in (read.alpha, read.sigma, read.lam, spread))
    return Levels(process, alpha, sigma, lam, (slopes[0], slopes[1]), rounding, index, words)


def from_path(path: Path, count: int, noise_first: bool = False) -> Levels:
    """The levels of a path at t = 1 - (i + 1)/N; `noise_first` says that index 0 is the noisiest.

    Raises `UsageError` for fewer than two levels, and where the path gives no numbers at one.
    """
    if count < FEWEST:
        raise UsageError(f"--levels {count}: a chain has {FEWEST} or more.")
    t = torch.from_numpy(times(count))
    alpha, sigma = (each.detach().numpy() for each in path(t))
    bad = np.flatnonzero(~(np.isfinite(alpha) & np.isfinite(sigma)))
    if len(bad):
        raise UsageError(f"path {path.name!r} is not finite at t = {float(t[bad[0]]):.6g}, level {bad[0]} of {count}.")
    at = path.at(t)
    with np.errstate(divide="ignore", invalid="ignore"):
        lam = get_process(path.process).log_snr_power * (np.log(alpha) - np.log(sigma))
    index = np.arange(count)[::-1] if noise_first else np.arange(count)
    slopes = at.dalpha.detach().numpy(), at.dsigma.detach().numpy()
    words = f"{count} levels, {path.name} path at t = 1 - (i + 1)/{count}"
    return Levels(path.process, alpha, sigma, lam, slopes, np.zeros(count), index, words)
