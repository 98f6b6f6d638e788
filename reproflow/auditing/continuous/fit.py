r"""State and target as linear functions of data and noise, by least squares in float64, sample by sample.

S = A x1 + B eps + k and T = a x1 + b eps + k_T over the numbers of one sample, stacked over as many evaluations as a
small sample needs. Where the noise is not torch's it cannot be set: `unseen`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from reproflow.auditing.arguments import given
from reproflow.auditing.continuous import unseen
from reproflow.auditing.continuous.draw_roles import Roles
from reproflow.auditing.continuous.frames import Bench, Frame
from reproflow.auditing.continuous.layout import Layout
from reproflow.auditing.continuous.noise_rows import as_rows
from reproflow.auditing.continuous.solving import Levels, columns, graded_target, joined, solve
from reproflow.auditing.draws import fresh
from reproflow.auditing.evaluation import Evaluation
from reproflow.auditing.tape import Kind

ENOUGH = 16
"""Numbers of one sample and one level that are fitted, at least."""
LEVELLED = 8
"""Evaluations of one level where each has one number of noise a sample."""


def _alike(bench: Bench, roles: Roles) -> dict[int, Tensor]:
    """Draws of the weight and of other inputs of the network, the same for all samples: those of the heaviest one."""
    found = {}
    weighty = int(np.abs(bench.gradient(bench.base)).sum(axis=1).argmax())
    for index in roles.of("weight") + roles.of("conditioning"):
        values = bench.base.draws[index].standard
        if values.shape[:1] == (bench.batch,) and bench.base.draws[index].kind is not Kind.PERMUTATION:
            found[index] = values[weighty : weighty + 1].expand(values.shape).clone()
    return found


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
        self.told = [index for index in roles.of("time") if index not in roles.moving]
        """Draws of a told time that is not the state's, anew in each frame: of few samples it might look like one."""
        self.held |= _alike(bench, roles)
        size = bench.rows(bench.base.x1).shape[1]
        self.replicas = max(1, -(-ENOUGH // size), LEVELLED if self._one_number(size) else 1)
        self.paired: Callable[[Bench, Frame, int], tuple[np.ndarray, np.ndarray] | None] | None = None
        """Finds the rows of data and noise that each row of the state is made of, where a loss pairs them anew."""
        self.layout: Layout | None = None
        self._batches = [self.batch() for _ in range(self.replicas)]

    def _one_number(self, size: int) -> bool:
        """Whether a sample's noise is a single number, which one evaluation does not tell from a constant."""
        rows = None if self.noise is None else as_rows(self.bench, self.bench.base.draws[self.noise])
        return size > 1 and rows is not None and bool(np.all(rows == rows[:, :1]))

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
            drawn = [*self.told, *self.loose, *([] if self.noise is None else [self.noise])]
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
        (A, B, k), state_error = columns(solve((x1, eps, ones), state, everywhere))
        target, live, c, spread = graded_target(frames)
        (a, b, target_offset), target_error = columns(solve((x1, eps, ones), target, live))
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
        bench, moved = self.bench, []
        for frame in frames:
            other = self.batch()
            change = bench.state(bench.evaluator.replay(frame.evaluation, x1=other)) - frame.state
            moved.append((self.arranged(replace(frame, x1=bench.rows(other))) - self.arranged(frame), change))
        return unseen.read(frames, [self.arranged(frame) for frame in frames], moved, self._given(frames[0]))

    def joined(self, parts: Sequence[Levels]) -> Levels:
        """Rows of all parts; with noise that is not torch's, B from a relation that holds at all of them."""
        levels = joined(parts)
        if self.noise is not None:
            return levels
        size = self.bench.rows(self.bench.base.x1).shape[1] * self.replicas
        return unseen.settled(levels, size, self.bench.limits)

    def _given(self, frame: Frame) -> np.ndarray:
        numbers = given(frame.evaluation, self.bench.graded).get(self.roles.time_name)
        return np.full(self.bench.batch, np.nan) if numbers is None else numbers
