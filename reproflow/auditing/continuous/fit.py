r"""State and target as linear functions of data and noise, by least squares in float64, sample by sample.

S = A x1 + B eps + k and T = a x1 + b eps + k_T over the numbers of one sample, stacked over as many evaluations as a
small sample needs. Where the noise is not torch's it cannot be set: A then comes from a change of the data under held
noise, B from the size of S - A x1 (statistical), and T is regressed on x1, S and 1, with eps eliminated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from reproflow.auditing.continuous.draw_roles import Roles, as_rows, fresh, given
from reproflow.auditing.continuous.frames import Bench, Frame
from reproflow.auditing.continuous.layout import Layout
from reproflow.auditing.evaluation import Evaluation
from reproflow.auditing.tape import Kind

ENOUGH = 16
"""Numbers of one sample and one level that are fitted, at least."""


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
        weight = live * np.isfinite(values)
        clean = np.where(weight, values, 0.0)
        matrix = np.stack([np.where(weight, column, 0.0) for column in columns], axis=2)
        scale = np.sqrt(np.mean(matrix**2, axis=1, keepdims=True))
        scale[scale == 0] = 1.0
        matrix = matrix / scale
        gram = np.einsum("bnp,bnq->bpq", matrix, matrix)
        inverse = np.linalg.pinv(gram, rcond=1e-13, hermitian=True)
        found = np.zeros((len(values), len(columns)))
        for _ in range(2):  # the second pass mends what the normal equations round
            rest = clean - np.einsum("bnp,bp->bn", matrix, found)
            found += np.einsum("bpq,bq->bp", inverse, np.einsum("bnp,bn->bp", matrix, rest))
        rest = clean - np.einsum("bnp,bp->bn", matrix, found)
        size = np.sqrt(np.sum(clean**2, axis=1))
        error = np.where(size > 0, np.sqrt(np.sum(rest**2, axis=1)) / np.where(size > 0, size, 1), 0.0)
    return found / scale[:, 0, :], error


class Reader:
    """Reads levels off a loss whose draws have known roles; `noise` is the index of the main noise, None if unseen.

    Draws that are noise besides the main one, and those in the target alone, are set to their middle.
    """

    def __init__(self, bench: Bench, roles: Roles, noise: int | None, data: tuple[float, float]) -> None:
        self.bench, self.roles, self.noise, self.data = bench, roles, noise, data
        draws = bench.base.draws
        self.loose = [index for index in roles.crooked if index != noise]
        quiet = [index for index in roles.of("noise") + roles.of("target") if index not in (noise, *self.loose)]
        self.held: dict[int, Tensor] = {
            index: torch.full_like(draws[index].standard, 0.5 if draws[index].kind is Kind.UNIFORM else 0.0)
            for index in quiet
            if draws[index].standard.is_floating_point()
        }
        size = bench.rows(bench.base.x1).shape[1]
        self.replicas = max(1, -(-ENOUGH // size))
        self.paired: Callable[[Bench, Frame, int], tuple[np.ndarray, np.ndarray] | None] | None = None
        """Finds the rows of data and noise that each row of the state is made of, where a loss pairs them anew."""
        self.layout: Layout | None = None
        self._batches = [self.batch() for _ in range(self.replicas)]

    def batch(self) -> Tensor:
        """Other data."""
        low, high = self.data
        x1 = self.bench.base.x1
        made = torch.rand(x1.shape, generator=self.bench.random, dtype=torch.float64)
        return (low + (high - low) * made).to(x1.dtype)

    def frames(
        self, replaced: Mapping[int, Tensor], base: Evaluation | None = None, seed: int | None = None
    ) -> list[Frame]:
        """One frame a replica, data and main noise fresh in each, the draws in `replaced` set."""
        base = self.bench.base if base is None else base
        found = []
        for x1 in self._batches:
            drawn = self.loose if self.noise is None else [self.noise, *self.loose]
            noise = {index: fresh(base.draws[index], self.bench.random) for index in drawn}
            found.append(self.bench.frame(x1=x1, base=base, seed=seed, replaced={**self.held, **noise, **replaced}))
        return found

    def eps(self, frame: Frame) -> np.ndarray:
        """The main noise with mean 0 and variance 1, (B, D)."""
        assert self.noise is not None
        draw = frame.evaluation.draws[self.noise]
        z = as_rows(self.bench, draw)
        assert z is not None
        z = z if self.layout is None else z[:, self.layout.noise]
        return np.sqrt(12) * (z - 0.5) if draw.kind is Kind.UNIFORM else z

    def arranged(self, frame: Frame) -> np.ndarray:
        """The data in the order and scale of the state."""
        if self.layout is None:
            return frame.x1
        return frame.x1[:, self.layout.data] * self.layout.scale + self.layout.shift

    def levels(self, replaced: Mapping[int, Tensor], base: Evaluation | None = None, seed: int | None = None) -> Levels:
        """What the loss does to each sample of a batch, draws set as in `replaced`."""
        return self.of_frames(self.frames(replaced, base, seed))

    def of_frames(self, frames: list[Frame]) -> Levels:
        """The same from frames that share the draws of the times."""
        if self.noise is None:
            return self._unseen(frames)
        x1, eps, state = (np.concatenate(parts, axis=1) for parts in zip(*map(self._made_of, frames), strict=True))
        ones = np.ones_like(x1)
        everywhere = np.ones_like(x1, dtype=bool)
        (A, B, k), state_error = _columns(solve((x1, eps, ones), state, everywhere))
        target, live, c, spread = _target(frames)
        (a, b, target_offset), target_error = _columns(solve((x1, eps, ones), target, live))
        return Levels(self._given(frames[0]), A, B, k, a, b, target_offset, c, state_error, target_error, spread)

    def _made_of(self, frame: Frame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Data and noise of each row of the state, and the state."""
        x1, eps = self.arranged(frame), self.eps(frame)
        if self.paired is not None and self.noise is not None:
            rows = self.paired(self.bench, frame, self.noise)
            if rows is not None:
                x1, eps = x1[rows[0]], eps[rows[1]]
        return x1, eps, frame.state

    def _unseen(self, frames: list[Frame]) -> Levels:
        bench, rests, slopes = self.bench, [], []
        for frame in frames:
            x1 = frame.evaluation.x1
            other = self.batch()
            moved = bench.state(bench.evaluator.replay(frame.evaluation, x1=other)) - frame.state
            step = self.arranged(replace(frame, x1=bench.rows(other))) - self.arranged(frame)
            slopes.append((np.sum(moved * step, axis=1), np.sum(step**2, axis=1), np.sum(moved**2, axis=1), x1))
        top, bottom, size = (np.sum([slope[place] for slope in slopes], axis=0) for place in range(3))
        A = top / bottom
        state_error = np.sqrt(np.maximum(size - A * top, 0) / np.where(size > 0, size, 1))
        rests = np.concatenate([frame.state - A[:, None] * self.arranged(frame) for frame in frames], axis=1)
        k = np.mean(rests, axis=1)
        deviation = np.sqrt(np.mean((rests - k[:, None]) ** 2, axis=1))
        common = np.average(k, weights=1 / np.maximum(deviation, 1e-12) ** 2)
        pulls = (k - common) / np.maximum(deviation / np.sqrt(rests.shape[1]), 1e-300)
        k = (
            np.full_like(k, common if abs(common) > 5 * np.min(deviation) / np.sqrt(rests.size) else 0.0)
            if np.mean(pulls**2) < 2
            else k
        )
        B = np.sqrt(np.mean((rests - k[:, None]) ** 2, axis=1))
        target, live, c, spread = _target(frames)
        x1 = np.concatenate([self.arranged(frame) for frame in frames], axis=1)
        state = np.concatenate([frame.state for frame in frames], axis=1)
        (alpha, beta, rest), target_error = _columns(solve((x1, state, np.ones_like(x1)), target, live))
        return Levels(
            self._given(frames[0]),
            A,
            B,
            k,
            alpha + beta * A,
            beta * B,
            rest + beta * k,
            c,
            state_error,
            target_error,
            spread,
        )

    def _given(self, frame: Frame) -> np.ndarray:
        numbers = given(frame.evaluation, self.bench.graded).get(self.roles.time_name)
        return np.full(self.bench.batch, np.nan) if numbers is None else numbers


def _columns(solved: tuple[np.ndarray, np.ndarray]) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    return tuple(solved[0].T), solved[1]


def _target(frames: list[Frame]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Target and graded elements (B, n); coefficient (B,) and its relative spread over a sample's graded elements."""
    target, live, coefficient = (
        np.concatenate([getattr(frame, name) for frame in frames], axis=1) for name in ("target", "live", "coefficient")
    )
    with np.errstate(all="ignore"):
        count = np.maximum(live.sum(axis=1), 1)
        mean = np.where(live, coefficient, 0).sum(axis=1) / count
        spread = np.sqrt(np.where(live, (coefficient - mean[:, None]) ** 2, 0).sum(axis=1) / count) / np.abs(mean)
    return target, live, mean, np.where(np.isfinite(spread), spread, 0.0)
