r"""State and target as linear functions of data and noise, by least squares in float64, sample by sample.

S = A x1 + B eps + k and T = a x1 + b eps + k_T over the numbers of one sample, stacked over as many evaluations as a
small sample needs. White normal noise besides the main one has columns of its own. Where the noise is not
torch's it cannot be set: `unseen`.
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
from reproflow.auditing.continuous.solving import Levels, columns, graded_target, in_one, joined, solve
from reproflow.auditing.draws import fresh
from reproflow.auditing.evaluation import Evaluation
from reproflow.auditing.tape import Draw, Kind

ENOUGH = 16
"""Numbers of one sample and one level that are fitted, at least."""
LEVELLED = 8
"""Evaluations of one level where each has one number of noise a sample."""

Pairs = Callable[[Bench, Frame, int], tuple[np.ndarray, np.ndarray] | None]


def _white(bench: Bench, draw: Draw) -> bool:
    """Whether a draw is normal, with a number of its own for each of the batch."""
    return draw.kind is Kind.NORMAL and draw.shape == tuple(bench.base.x1.shape)


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

    Noise besides the main one is read too where all of it is white and normal (`more`); else it is set to its middle,
    as draws in the target alone are. `paired` finds the rows of data and noise that each row of the state is made of,
    where a loss pairs them anew.
    """

    def __init__(
        self,
        bench: Bench,
        roles: Roles,
        noise: int | None,
        data: tuple[float, float],
        paired: Pairs | None = None,
    ) -> None:
        self.bench, self.roles, self.noise, self.data, self.paired = bench, roles, noise, data, paired
        draws = bench.base.draws
        self.loose = [index for index in roles.crooked if index != noise]
        others = [index for index in roles.of("noise") if index not in (noise, *self.loose)]
        white = noise is not None and paired is None and all(_white(bench, draws[index]) for index in (noise, *others))
        self.more = others if white else []
        quiet = [*([] if white else others), *roles.of("target")]
        self.held = {
            index: torch.full_like(draws[index].standard, 0.5 if draws[index].kind is Kind.UNIFORM else 0.0)
            for index in quiet
            if draws[index].standard.is_floating_point()
        }
        self.without_more = {index: torch.zeros_like(draws[index].standard) for index in self.more}
        self.told = [index for index in roles.of("time") if index not in roles.moving]
        """Draws of a told time that is not the state's, anew in each frame: of few samples it might look like one."""
        self.held |= _alike(bench, roles)
        size = bench.rows(bench.base.x1).shape[1]
        self.replicas = max(1, -(-ENOUGH // size), LEVELLED if self._one_number(size) else 1)
        self.layout: Layout | None = None
        self._batches = [self.batch() for _ in range(self.replicas)]

    def _one_number(self, size: int) -> bool:
        """Whether a sample's noise is a single number, which one evaluation does not tell from a constant."""
        rows = None if self.noise is None else as_rows(self.bench, self.bench.base.draws[self.noise])
        return size > 1 and rows is not None and bool(np.all(rows == rows[:, :1]))

    def batch(self) -> Tensor:
        """Other data of the batch's shape, uniform within its range."""
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
            drawn = [*self.told, *self.loose, *self.more, *([] if self.noise is None else [self.noise])]
            noise = {index: fresh(base.draws[index], self.bench.random) for index in drawn}
            found.append(self.bench.frame(x1=x1, base=base, seed=seed, replaced={**self.held, **noise, **replaced}))
        return found

    def eps(self, frame: Frame) -> np.ndarray:
        """The main noise with mean 0 and variance 1, (B, D)."""
        assert self.noise is not None
        return self._noise(frame, self.noise)

    def _noise(self, frame: Frame, index: int) -> np.ndarray:
        draw = frame.evaluation.draws[index]
        z = as_rows(self.bench, draw)
        assert z is not None
        z = z if self.layout is None else z[:, self.layout.noise]
        return np.sqrt(12) * (z - 0.5) if draw.kind is Kind.UNIFORM else z

    def arranged(self, frame: Frame) -> np.ndarray:
        """The data in the order and scale of the state, (B, D)."""
        if self.layout is None:
            return frame.x1
        return frame.x1[:, self.layout.data] * self.layout.scale + self.layout.shift

    def levels(self, replaced: Mapping[int, Tensor], base: Evaluation | None = None, seed: int | None = None) -> Levels:
        """What the loss does to each of B samples, draws set as in `replaced` (standard values by index)."""
        return self.of_frames(self.frames(replaced, base, seed))

    def of_frames(self, frames: list[Frame]) -> Levels:
        """The same from frames that share the draws of the times."""
        if self.noise is None:
            return self._unseen(frames)
        x1, eps, state = (np.concatenate(parts, axis=1) for parts in zip(*map(self._made_of, frames), strict=True))
        more = [np.concatenate([self._noise(frame, index) for frame in frames], axis=1) for index in self.more]
        made_of = (x1, np.ones_like(x1), eps, *more)
        everywhere = np.ones_like(x1, dtype=bool)
        (A, k, B, *rest), state_error = columns(solve(made_of, state, everywhere))
        target, live, c, spread = graded_target(frames)
        (a, target_offset, b, *aim), target_error = columns(solve(made_of, target, live))
        B_all, b_all = in_one((B, *rest), (b, *aim)) if more else (B, b)
        errors = state_error, target_error, spread
        return Levels(self._given(frames[0]), A, B, k, a, b, target_offset, c, *errors, B_all, b_all)

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
        """The rows of all parts; with noise that is not torch's, B from a relation that holds at all of them."""
        levels = joined(parts)
        if self.noise is not None:
            return levels
        size = self.bench.rows(self.bench.base.x1).shape[1] * self.replicas
        return unseen.settled(levels, size, self.bench.limits)

    def _given(self, frame: Frame) -> np.ndarray:
        numbers = given(frame.evaluation, self.bench.graded).get(self.roles.time_name)
        return np.full(self.bench.batch, np.nan) if numbers is None else numbers
