"""Losses that are not squared in the answer: where their gradient vanishes, and how they weigh a residual of size r.

Each element's zero of the gradient is bracketed and bisected, all elements at once. The profile psi(r)/r, psi the
gradient at the target plus r, has slopes (0, -1) for Huber, (-1, -1) for L1; with all elements moved together,
slope -2p for the adaptive weights (|residual|^2 + c)^-p.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reproflow.auditing.continuous.frames import Bench, Frame
from reproflow.numerics.bisection import bisect

BISECTIONS = 40
SIZES = tuple(float(r) for r in np.logspace(-3, 3, 13))
FAR = 1000.0
FEW = 0.02


@dataclass(frozen=True)
class Profile:
    """The form (huber, l1, clamp, adaptive, other), psi(r)/r at sizes r, and the form in words with its parameter."""

    form: str
    points: tuple[tuple[float, float], ...]
    text: str


def center(bench: Bench, steps: int = BISECTIONS, **changes: Any) -> np.ndarray:
    """Where each element's gradient changes its sign, float64 (B, D)."""

    def below(answer: Tensor) -> Tensor:
        gradient = bench.replay(answer.to(bench.base.x1.dtype), **changes).gradients[bench.graded]
        return torch.ones_like(answer, dtype=torch.bool) if gradient is None else ~(gradient > 0)

    far = torch.full(bench.base.x1.shape, FAR, dtype=torch.float64)
    return bench.rows(bisect(below, -far, far, steps))


def clamped(bench: Bench) -> bool:
    """Whether answers far away get no gradient although small ones do: at some levels all but the right one are far."""
    near, far = torch.full_like(bench.base.x1, 0.3), torch.full_like(bench.base.x1, FAR)
    alive = [float(np.mean(bench.gradient(bench.replay(answer)) != 0)) for answer in (near, far, -far)]
    return alive[0] > FEW and max(alive[1:]) < 0.2 * alive[0]


def profile(bench: Bench, target: np.ndarray) -> Profile:
    """How residuals from a target (B, D) are weighed: all elements moved by r together, and one alone."""
    together = np.array([_weight(bench, target, r, alone=False) for r in SIZES])
    if clamped(bench):
        return Profile("clamp", _points(together), "the answer is clamped: far ones get no gradient")
    single = np.array([_weight(bench, target, r, alone=True) for r in (SIZES[0], SIZES[6], SIZES[-1])])
    points = _points(together)
    usable = together > 0
    slopes = np.diff(np.log(np.where(usable, together, 1))) / np.diff(np.log(SIZES))
    first, last = float(np.median(slopes[2:5])), float(np.median(slopes[-3:]))
    both = np.log(np.maximum(together[[6, -1]], 1e-300) / np.maximum(single[1:], 1e-300))
    elementwise = target.shape[1] == 1 or bool(np.all(np.abs(both) < 0.2))
    if abs(first + 1) < 0.1 and abs(last + 1) < 0.1:
        return Profile("l1", points, "absolute errors: the median is learnt, not the mean")
    if abs(first) < 0.1 and abs(last + 1) < 0.1 and elementwise:
        delta = float(together[-1] * SIZES[-1] / together[0])
        return Profile("huber", points, f"a Huber loss with delta = {delta:.3g}")
    if not elementwise and last < -0.1:
        power = -last / 2
        text = f"a sample's weight falls with its own error, as (error^2 + c)^-{power:.2g}"
        return Profile("adaptive", points, text)
    return Profile("other", points, "the gradient is not affine in the answer")


def _points(values: np.ndarray) -> tuple[tuple[float, float], ...]:
    return tuple((r, float(value)) for r, value in zip(SIZES, values, strict=True))


def _weight(bench: Bench, target: np.ndarray, r: float, alone: bool) -> float:
    """The median of psi(r)/r with all elements at target + r, or the first element alone."""
    shape = bench.base.x1.shape
    if target.size != bench.base.x1.numel():
        return float("nan")
    offset = np.zeros_like(target)
    offset[:, 0 if alone else slice(None)] = r
    answer = torch.from_numpy(target + offset).reshape(shape).to(bench.base.x1.dtype)
    gradient = bench.gradient(bench.replay(answer))
    values = gradient[:, 0] / r if alone else gradient / r
    return float(np.median(values[np.isfinite(values)]))


def frame(bench: Bench, **changes: Any) -> Frame:
    """A frame whose target is where the gradient changes its sign; its coefficient is that of a small residual."""
    zero = bench.replay(**changes)
    target = center(bench, **changes)
    shape = bench.base.x1.shape
    step = 0.1
    answer = torch.from_numpy(target + step).reshape(shape).to(bench.base.x1.dtype)
    coefficient = bench.gradient(bench.replay(answer, **changes)) / (2 * step)
    x1 = changes.get("x1")
    return Frame(bench.rows(zero.x1 if x1 is None else x1), bench.state(zero), coefficient, target, zero)
