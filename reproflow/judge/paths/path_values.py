"""A path under judgement: alpha, sigma and their derivatives as functions on numpy arrays, NaN refused.

What they are is asked here; whether they are any good is decided by the verdicts.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import torch

from reproflow.foundation.errors import UsageError
from reproflow.numerics import derivatives
from reproflow.numerics.derivatives import Mode
from reproflow.theory.paths import Path
from reproflow.theory.processes.base import get_process

NAMES = ("alpha", "sigma")
POINTS = 100_001
OCTAVES = (50, 40)
RUNGS = ((20, 36, 52), (12, 32, 52))
DIVERGED = 1e3


@dataclass(frozen=True, eq=False)
class Course:
    """A Gaussian path or a masked schedule; times are float64 arrays (N,), answers (2, N): alpha and sigma."""

    path: Path

    def values(self, t: np.ndarray) -> np.ndarray:
        """alpha and sigma at t. Raises `UsageError` naming the first t in (0, 1) at which one is NaN."""
        found = np.stack([each.detach().numpy() for each in self.path(_tensor(t))])
        bad = np.isnan(found).any(0) & (t > 0) & (t < 1)
        if bad.any():
            raise UsageError(
                f"path {self.path.name!r} is NaN at t = {t[bad].min():.6g}; it must be a number everywhere in (0, 1)."
            )
        return found

    def slopes(self, t: np.ndarray) -> np.ndarray:
        """alpha' and sigma' at t as the package takes them, by differentiating the function; may be NaN.

        An expression is differentiated backwards, which is the same and starts at once, unless that gives NaN, as it
        does for a branch that `where` does not take.
        """
        if self.path.entry.meta.get("expression"):
            found = _backwards(self.path, _tensor(t))
            if not np.isnan(found).any():
                return found
        c = self.path.at(_tensor(t))
        return np.stack([each.detach().numpy() for each in (c.dalpha, c.dsigma)])

    def lam(self, t: np.ndarray) -> np.ndarray:
        """log(alpha²/sigma²), whatever their signs (masked: log(alpha/sigma), NaN where one is negative)."""
        alpha, sigma = self.values(t)
        with np.errstate(all="ignore"):
            power = get_process(self.path.process).log_snr_power
            if power % 2 == 0:
                alpha, sigma = np.abs(alpha), np.abs(sigma)
            return power * (np.log(alpha) - np.log(sigma))

    @functools.cached_property
    def times(self) -> np.ndarray:
        """Where it is looked at: uniform in t, and closer and closer to both ends, four times an octave."""
        low, high = (2.0 ** -np.arange(1.0, n + 1) for n in OCTAVES)
        steps = np.array([1, 1.2, 1.4, 1.7])
        near = (np.outer(low, steps).ravel(), 1 - np.outer(high, steps).ravel())
        return np.unique(np.concatenate([np.linspace(0, 1, POINTS)[1:-1], *near]))

    def at_end(self, end: float) -> np.ndarray:
        """alpha and sigma at t = 0 or 1 itself, (2,); NaN where the function, promised the open interval, has none."""
        try:
            return self.values(np.array([end]))[:, 0]
        except UsageError:
            return np.full(2, np.nan)

    def limit(self, end: float) -> tuple[np.ndarray, np.ndarray]:
        """The limits of alpha and sigma at an end, and how far two extrapolations to it differ, (2,) each.

        Values at distances 2^-k that fall geometrically in k are exact for a + b |t - end|^p (Aitken).
        """
        limits = []
        for rungs in RUNGS:
            distance = 2.0 ** -np.array(rungs, dtype=np.float64)
            limits.append(_aitken(*self.values(np.abs(end - distance)).T))
        with np.errstate(invalid="ignore"):
            return limits[0], np.where(np.isinf(limits[0]), 0.0, np.abs(limits[0] - limits[1]))

    @functools.cached_property
    def single(self) -> bool:
        """Whether the values are computed in single precision: all of them have no more digits, and they are many."""
        t = (np.arange(64) + 0.382) / 64
        found = self.values(t)
        return all(bool((row.astype(np.float32) == row).all()) and len(np.unique(row)) > len(t) // 2 for row in found)


def _backwards(path: Path, t: torch.Tensor) -> np.ndarray:
    return np.stack([slope.numpy() for slope in derivatives.with_slopes(path, t, Mode.REVERSE)[1]])


def _aitken(first: np.ndarray, second: np.ndarray, third: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        ratio = (third - second) / (second - first)
        limit = np.where((ratio > 0) & (ratio < 0.9), third + (third - second) * ratio / (1 - ratio), third)
        return np.where((ratio > 1.1) & (np.abs(third) > DIVERGED), np.copysign(np.inf, third), limit)


def _tensor(t: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(t, dtype=np.float64))
