"""Least squares sample by sample, and the table of what it gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reproflow.auditing.continuous.frames import Frame
from reproflow.auditing.measured_loss import Columns
from reproflow.auditing.precision import ROUNDED


@dataclass(frozen=True)
class Levels(Columns):
    """The levels of B samples: the columns, one number a sample, and how well they were read.

    `state_error`, `target_error` and `spread` (B,) are the relative residuals of state, target and coefficient; `B_all`
    and `b_all` (B,) what `in_one` makes of all noise: B and b where there is one.
    """

    state_error: np.ndarray
    target_error: np.ndarray
    spread: np.ndarray
    B_all: np.ndarray
    b_all: np.ndarray

    def at(self, chosen: np.ndarray) -> Levels:
        """Some of the rows, by their places (P,)."""
        return Levels(**{name: values[chosen] for name, values in vars(self).items()})


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


def in_one(B: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    r"""(B, b): several independent noises of variance 1 as the one that the state shows, (P,) each.

    In S = A x1 + sum_j B_j eps_j the noise is B eps with :math:`B^2 = \sum_j B_j^2`, and the mean of sum_j b_j eps_j
    given it is b eps, :math:`b = \sum_j b_j B_j / B`; what is left of the target is independent of S and only adds a
    constant to the loss.
    """
    total = np.sqrt(sum(each**2 for each in B))
    with np.errstate(all="ignore"):
        return total, sum(aim * each for aim, each in zip(b, B, strict=True)) / total


def graded_target(frames: list[Frame]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Target and graded elements (B, n); coefficient (B,) and its relative spread over a sample's graded elements.

    The spread is at least what the coefficient itself is rounded by.
    """
    target, live, coefficient = (
        np.concatenate([getattr(frame, name) for frame in frames], axis=1) for name in ("target", "live", "coefficient")
    )
    with np.errstate(all="ignore"):
        count = np.maximum(live.sum(axis=1), 1)
        mean = np.where(live, coefficient, 0).sum(axis=1) / count
        spread = np.sqrt(np.where(live, (coefficient - mean[:, None]) ** 2, 0).sum(axis=1) / count) / np.abs(mean)
    rounding = ROUNDED * max(frame.evaluation.epsilon for frame in frames)
    return target, live, mean, np.maximum(np.where(np.isfinite(spread), spread, 0.0), rounding)
