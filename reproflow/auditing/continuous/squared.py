"""Whether the loss is squared in the answer, and whether its value does what its gradient says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from reproflow.auditing.continuous.frames import Bench, Frame

SIZES = (0.1, 3.0, 50.0)
"""Sizes of the answers at which the gradient is compared with 2 c (y - T), in units of the target."""
AFFINE = 1e-2
VALUE = 1e-3
"""The relative gap of the value that counts, in formats that are finer than this."""


@dataclass(frozen=True)
class Squared:
    """`gap` is the largest relative deviation of the gradient from an affine one, `value_gap` that of the value.

    `epsilon` is the relative spacing of the numbers that the loss is made of.
    """

    gap: float
    value_gap: float
    epsilon: float

    @property
    def affine(self) -> bool:
        """Whether the gradient is affine in the answer."""
        return self.gap <= AFFINE

    @property
    def consistent(self) -> bool:
        """Whether the value does what the gradient says, but for the rounding of both."""
        return self.value_gap <= max(VALUE, 2 * self.epsilon)


def examine(bench: Bench, frame: Frame) -> Squared:
    """Gradients at three random answers against 2 c (y - T); L(y2) - L(y1) against (g(y1) + g(y2)) (y2 - y1) / 2."""
    live = frame.live
    with np.errstate(all="ignore"):
        scale = np.sqrt(np.mean(np.where(live, frame.target, 0) ** 2, axis=1))
    scale = np.where(np.isfinite(scale) & (scale > 0), scale, 1.0)
    shape = bench.base.x1.shape
    gaps, values = [], []
    epsilon = frame.evaluation.epsilon
    before = frame.evaluation
    y_before = torch.zeros(shape, dtype=torch.float64)
    g_before = before.gradients[bench.graded]
    for size in SIZES:
        y = torch.randn(shape, generator=bench.random, dtype=torch.float64) * size
        y = y * torch.from_numpy(scale).reshape(-1, *[1] * (len(shape) - 1))
        after = bench.replay(y.to(bench.base.x1.dtype))
        expected = 2 * frame.coefficient * (bench.rows(y) - frame.target)
        gaps.append(_relative(bench.gradient(after) - expected, expected))
        g_after = after.gradients[bench.graded]
        if g_before is not None and g_after is not None:
            step = float(((g_before.double() + g_after.double()) / 2 * (y - y_before)).sum())
            rise = after.value - before.value
            size_of = float(((g_before.double().abs() + g_after.double().abs()) / 2 * (y - y_before).abs()).sum())
            # Each value is rounded by itself: of a small rise little may be left.
            lost = epsilon * (abs(before.value) + abs(after.value))
            values.append(max(abs(rise - step) - lost, 0.0) / max(size_of, abs(rise), 1e-300))
        before, y_before, g_before = after, y, g_after
    finite = [value for value in values if np.isfinite(value)]
    return Squared(max(gaps), max(finite, default=0.0), epsilon)


def _relative(gap: np.ndarray, size: np.ndarray) -> float:
    """The median over samples of |gap| / |size|: one sample of a huge coefficient decides nothing."""
    with np.errstate(all="ignore"):
        ratio = np.sqrt(np.sum(gap**2, axis=1) / np.sum(size**2, axis=1))
    ratio = ratio[np.isfinite(ratio)]
    return float(np.quantile(ratio, 0.75)) if len(ratio) else float("nan")
