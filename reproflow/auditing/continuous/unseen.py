r"""State and target where the noise is not torch's, and so cannot be set.

A comes from a change of the data under held noise, exactly. B is the size of S - A x1, with the error of a sample's
deviation, 1 / sqrt(2 D); over all levels together the relations B = 1 - A, A^2 + B^2 = 1 and B = the told time are
tested, and the one that holds is used. The target is regressed on x1, S and 1: eps is eliminated, no accuracy is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from reproflow.auditing.continuous.frames import Frame
from reproflow.auditing.continuous.solving import Levels, columns, graded_target, solve

Z = 4.0
"""Standard deviations of the pooled square up to which a relation is taken to hold."""


def read(
    frames: list[Frame], data: list[np.ndarray], moved: list[tuple[np.ndarray, np.ndarray]], given: np.ndarray
) -> Levels:
    """Levels of a batch: `data` are the frames' data as they lie in the state, `moved` changes of data and of state."""
    top = np.sum([np.sum(step * change, axis=1) for step, change in moved], axis=0)
    bottom = np.sum([np.sum(step**2, axis=1) for step, _ in moved], axis=0)
    size = np.sum([np.sum(change**2, axis=1) for _, change in moved], axis=0)
    A = top / bottom
    state_error = np.sqrt(np.maximum(size - A * top, 0) / np.where(size > 0, size, 1))
    rests = np.concatenate([f.state - A[:, None] * x1 for f, x1 in zip(frames, data, strict=True)], axis=1)
    k = _offset(rests)
    B = np.sqrt(np.mean((rests - k[:, None]) ** 2, axis=1))
    target, live, c, spread = graded_target(frames)
    x1, state = np.concatenate(data, axis=1), np.concatenate([frame.state for frame in frames], axis=1)
    (alpha, beta, rest), target_error = columns(solve((x1, state, np.ones_like(x1)), target, live))
    a, b, target_offset = alpha + beta * A, beta * B, rest + beta * k
    return Levels(given, A, B, k, a, b, target_offset, c, state_error, target_error, spread, B, b)


def _offset(rests: np.ndarray) -> np.ndarray:
    """The state's constant: each sample's mean, one for all where that explains them, zero where that does."""
    mean, deviation = np.mean(rests, axis=1), np.std(rests, axis=1)
    error = np.maximum(deviation, 1e-12) / np.sqrt(rests.shape[1])
    if np.mean((mean / error) ** 2) < 2:
        return np.zeros_like(mean)
    common = float(np.average(mean, weights=error**-2))
    return np.full_like(mean, common) if np.mean(((mean - common) / error) ** 2) < 2 else mean


def settled(levels: Levels, size: int, limits: list[str]) -> Levels:
    """The levels with B from the relation that their pooled squares bear out, if one does; `size` numbers a level."""
    with np.errstate(all="ignore"):
        relations: dict[str, Callable[[], np.ndarray]] = {
            "1 - A": lambda: 1 - levels.A,
            "sqrt(1 - A^2)": lambda: np.sqrt(1 - levels.A**2),
            "the told time": lambda: levels.given,
        }
        for name, relation in relations.items():
            B = relation()
            usable = np.isfinite(B) & (B > 1e-6)
            if usable.sum() < 0.9 * len(B):
                continue
            pulls = ((levels.B / B) ** 2 - 1)[usable] * np.sqrt(size / 2)
            if abs(pulls.sum()) / np.sqrt(len(pulls)) < Z and np.mean(pulls**2) < 2:
                limits.append(f"the noise cannot be set: B is taken to be {name}, as its size at all levels bears out")
                b = levels.b * B / levels.B
                return replace(levels, B=B, b=b, B_all=B, b_all=b)
    limits.append("the noise cannot be set: B is the size of what is not data, to a few percent a level")
    return levels
