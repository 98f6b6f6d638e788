r"""A loss at one set of draws, as a function of the answer y: dL/dy = 2 c (y - T), read at two answers.

Per element c = (g(y) - g(0)) / (2 y) and T = -g(0) / (2 c). The answer's size follows the target's, sample by sample:
with one much smaller than T the difference of the two gradients is rounded away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reproflow.auditing.evaluation import Evaluation, Evaluator, shape_message
from reproflow.auditing.precision import ROUNDED
from reproflow.foundation.errors import UsageError

MOST_COLUMNS = 4096
"""Numbers of a sample that are looked at; more add nothing."""
SIZE = 4.0
"""The answer's size, in units of the target's."""
SIZE_OF_CLAMPED = 0.1
FEWEST_GRADED = 8
"""Numbers of a sample that a clamp must leave for its level to be read."""


@dataclass(frozen=True)
class Frame:
    """One set of draws: state, coefficient and target, float64 of shape (B, D); x1 and the arguments that went in."""

    x1: np.ndarray
    state: np.ndarray
    coefficient: np.ndarray
    target: np.ndarray
    evaluation: Evaluation

    @property
    def live(self) -> np.ndarray:
        """Elements that the loss grades, bool (B, D)."""
        return self.coefficient != 0


@dataclass
class Bench:
    """A loss under examination: its evaluator, the evaluation that all others vary, and which call is graded."""

    evaluator: Evaluator
    base: Evaluation
    graded: int
    limits: list[str] = field(default_factory=list)
    clamped: bool = False
    """The answer is clamped: small answers are compared, and elements without a gradient at either left out."""
    rounding: float = 0.0
    read: Callable[..., Frame] | None = None
    """Reads a frame of a loss that is not squared; None for two gradients, as above."""
    spread: dict[tuple[int, ...], tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    """By the shape of a draw with fewer samples than the batch: whose numbers each sample gets, and their sign."""

    def __post_init__(self) -> None:
        size = int(np.prod(self.base.x1.shape[1:]))
        generator = np.random.default_rng(0)
        few = np.sort(generator.permutation(size)[:MOST_COLUMNS])
        self._columns = None if size <= MOST_COLUMNS else few
        self.signs = torch.from_numpy(generator.choice([-1.0, 1.0], tuple(self.base.x1.shape))).to(self.base.x1.dtype)
        self.random = torch.Generator().manual_seed(1)

    @property
    def batch(self) -> int:
        """Samples a batch."""
        return len(self.base.x1)

    @property
    def precision(self) -> float:
        """Relative rounding of one number of the dtype."""
        return float(torch.finfo(self.base.x1.dtype).eps)

    @property
    def tolerance(self) -> float:
        """What a relative change must exceed to be one: 30 times the rounding of the loss's own arithmetic."""
        return max(1e-4 if self.base.x1.dtype == torch.float32 else 1e-5, min(30 * self.rounding, 0.1))

    def uniform(self, shape: torch.Size) -> Tensor:
        """Numbers in (0, 1) in the batch's dtype, from the examination's own generator."""
        return torch.rand(shape, generator=self.random, dtype=torch.float64).to(self.base.x1.dtype)

    def measure_rounding(self) -> None:
        """How far the state is from additive in the data: the rounding of code that casts to a shorter dtype.

        Casts of the answer alone round the target that is read, and not the state.
        """
        first = self.state(self.replay())
        other = self.base.x1 * (1 - 0.02 * self.uniform(self.base.x1.shape))  # curvature hardly shows so near
        second = self.state(self.replay(x1=other))
        middle = self.state(self.replay(x1=(self.base.x1 + other) / 2))
        size = float(np.sqrt(np.mean(first**2)))
        state = float(np.sqrt(np.mean((first + second - 2 * middle) ** 2))) / max(size, 1e-300)
        self.rounding = max(state, ROUNDED * self.base.epsilon)

    def rows(self, values: Tensor) -> np.ndarray:
        """A tensor of the batch's shape as float64 of shape (B, D)."""
        flat = values.detach().reshape(len(values), -1)
        if self._columns is not None:
            flat = flat[:, self._columns]
        return flat.double().cpu().numpy()

    def state(self, evaluation: Evaluation) -> np.ndarray:
        """What the graded call was given, (B, D). Raises `UsageError` where that is no batch like x1."""
        state = evaluation.calls[self.graded].state if self.graded < len(evaluation.calls) else None
        if state is None:
            raise UsageError(shape_message(evaluation.calls, tuple(self.base.x1.shape)))
        return self.rows(state)

    def replay(self, answer: Tensor | None = None, **changes: Any) -> Evaluation:
        """The base again, the graded call answered with `answer` (x1's shape; zeros)."""
        base = changes.pop("base", self.base)
        answers = dict(base.answers)
        answers.pop(self.graded, None)
        if answer is not None:
            answers[self.graded] = answer
        return self.evaluator.replay(base, answers=answers, **changes)

    def gradient(self, evaluation: Evaluation) -> np.ndarray:
        """dL/dy of the graded call, (B, D), zero where the loss does not depend on it."""
        gradient = evaluation.gradients[self.graded] if self.graded < len(evaluation.gradients) else None
        return np.zeros_like(self.rows(self.base.x1)) if gradient is None else self.rows(gradient)

    def frame(self, **changes: Any) -> Frame:
        """State, coefficient and target with `changes` (x1, replaced, seed, base) made to the base."""
        if self.read is not None:
            return self.read(self, **changes)
        zero = self.replay(**changes)
        start = self.gradient(zero)
        size = np.full(self.batch, SIZE_OF_CLAMPED if self.clamped else SIZE)
        coefficient, target = self._slope(start, size, changes)
        with np.errstate(all="ignore"):
            live = coefficient != 0
            scale = np.sqrt(np.sum(np.where(live, target, 0) ** 2, axis=1) / np.sum(live, axis=1))
        scale = np.where(np.isfinite(scale) & (scale > 0), scale, 1.0)
        if not self.clamped and np.any((scale > 10) | (scale < 0.1)):
            coefficient, target = self._slope(start, SIZE * scale, changes)
        x1 = changes.get("x1")
        return Frame(self.rows(zero.x1 if x1 is None else x1), self.state(zero), coefficient, target, zero)

    def _slope(self, start: np.ndarray, size: np.ndarray, changes: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        signed = self.signs * torch.from_numpy(size).to(self.signs.dtype).reshape(-1, *[1] * (self.signs.ndim - 1))
        moved = self.gradient(self.replay(signed, **changes))
        with np.errstate(all="ignore"):
            coefficient = (moved - start) / (2 * self.rows(signed))
            if self.clamped:
                coefficient[(start == 0) | (moved == 0)] = 0.0
                coefficient[np.sum(coefficient != 0, axis=1) < FEWEST_GRADED] = 0.0
            target = np.where(coefficient == 0, 0.0, -start / (2 * coefficient))
        return coefficient, target


def changed(before: np.ndarray, after: np.ndarray, tolerance: float) -> bool:
    """Whether numbers, of one shape, moved by more than `tolerance` of their root mean square."""
    if before.shape != after.shape:
        return True
    finite = np.isfinite(before) & np.isfinite(after)
    size = np.sqrt(np.mean(before[finite] ** 2)) if finite.any() else 0.0
    gap = np.sqrt(np.mean((after - before)[finite] ** 2)) if finite.any() else 0.0
    return bool(gap > tolerance * max(size, 1e-300))
