"""Least squares sample by sample, and the table of what it gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from reproflow.auditing.continuous.frames import Frame


@dataclass
class Levels:
    """One number a sample: told time, A, B, k, a, b, k_T, c, and relative residuals of state, target, coefficient."""

    given: np.ndarray
    A: np.ndarray
    B: np.ndarray
    offset: np.ndarray
    a: np.ndarray
    b: np.ndarray
    target_offset: np.ndarray
    c: np.ndarray
    state_error: np.ndarray
    target_error: np.ndarray
    spread: np.ndarray
    order: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @property
    def lam(self) -> np.ndarray:
        """2 log |A / B|."""
        with np.errstate(all="ignore"):
            return 2 * np.log(np.abs(self.A / self.B))

    def at(self, chosen: np.ndarray) -> Levels:
        """Some of the rows."""
        return Levels(**{name: values[chosen] if len(values) else values for name, values in vars(self).items()})


def joined(parts: Sequence[Levels]) -> Levels:
    """Rows of all parts, one after the other."""
    return Levels(**{name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])})


def solve(columns: Sequence[np.ndarray], values: np.ndarray, live: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares of `values` (B, n) on `columns` where `live`: coefficients (B, p), relative residuals (B,)."""
    with np.errstate(all="ignore"):
        weight = live & np.isfinite(values)
        clean, matrix = values, np.stack(columns, axis=1)
        if not weight.all():
            clean, matrix = np.where(weight, clean, 0.0), np.where(weight[:, None], matrix, 0.0)
        gram = matrix @ matrix.transpose(0, 2, 1)
        scale = np.sqrt(np.diagonal(gram, axis1=1, axis2=2) / values.shape[1])
        scale = np.where(scale == 0, 1.0, scale)
        inverse = np.linalg.pinv(gram / scale[:, :, None] / scale[:, None, :], rcond=1e-13, hermitian=True)
        inverse = inverse / scale[:, :, None] / scale[:, None, :]
        found, rest = np.zeros((len(values), len(columns))), clean
        for _ in range(2):  # the second pass mends what the normal equations round
            found += (inverse @ (matrix @ rest[:, :, None]))[:, :, 0]
            rest = clean - (found[:, None] @ matrix)[:, 0]
        size, left = (np.sqrt(np.einsum("bn,bn->b", each, each)) for each in (clean, rest))
        error = np.where(size > 0, left / np.where(size > 0, size, 1), 0.0)
    return found, error


def columns(solved: tuple[np.ndarray, np.ndarray]) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    return tuple(solved[0].T), solved[1]


def graded_target(frames: list[Frame]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Target and graded elements (B, n); coefficient (B,) and its relative spread over a sample's graded elements."""
    target, live, coefficient = (
        np.concatenate([getattr(frame, name) for frame in frames], axis=1) for name in ("target", "live", "coefficient")
    )
    with np.errstate(all="ignore"):
        count = np.maximum(live.sum(axis=1), 1)
        mean = np.where(live, coefficient, 0).sum(axis=1) / count
        spread = np.sqrt(np.where(live, (coefficient - mean[:, None]) ** 2, 0).sum(axis=1) / count) / np.abs(mean)
    return target, live, mean, np.where(np.isfinite(spread), spread, 0.0)
