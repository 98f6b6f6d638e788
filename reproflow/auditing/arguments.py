"""The numbers that a network is given beside its state: one a sample, and which of them move."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from reproflow.auditing.evaluation import Evaluation


def numbers(value: object, batch: int) -> np.ndarray | None:
    """An argument that is one number a sample, as float64 of shape (B,); None for any other."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return np.full(batch, float(value))
    if not isinstance(value, Tensor) or value.dtype == torch.bool or value.is_complex():
        return None
    if value.numel() == 1:
        return np.full(batch, float(value))
    if value.numel() % batch or value.numel() == 0:
        return None
    rows = value.detach().double().cpu().reshape(batch, -1).numpy()
    return rows[:, 0] if value.shape[0] == batch and np.all(rows == rows[:, :1]) else None


def given(evaluation: Evaluation, graded: int) -> dict[str, np.ndarray]:
    """All arguments of the graded call that are one number a sample, by name: float64 (B,)."""
    call = evaluation.calls[graded]
    batch = len(evaluation.x1)
    found = {name: numbers(value, batch) for name, value in call.arguments().items() if name != call.state_name}
    return {name: value for name, value in found.items() if value is not None}


def moved_arguments(before: Evaluation, after: Evaluation, graded: int) -> set[str]:
    """Names of the graded call's arguments, the state apart, that differ between two evaluations."""
    first, second = _others(before, graded), _others(after, graded)
    numbers_first, numbers_second = given(before, graded), given(after, graded)
    names = {name for name in first if name not in second or not torch.equal(first[name], second[name])}
    return names | {
        name
        for name in numbers_first
        if name not in numbers_second or not np.array_equal(numbers_first[name], numbers_second[name])
    }


def _others(evaluation: Evaluation, graded: int) -> dict[str, Tensor]:
    call = evaluation.calls[graded]
    return {
        name: value for name, value in call.arguments().items() if name != call.state_name and isinstance(value, Tensor)
    }
