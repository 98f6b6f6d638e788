"""The levels that a loss draws: its own draws of the times are set to known quantiles, or to every step.

One draw a sample: 160 quantiles, even in logit u within +-6.5 (normal draws: z = Phi^-1(u)), each sample its own. A
scalar that all samples share, or strata u/n + i/n: one value at a time for all; then ranks over samples and values are
exact quantiles. Integers and weighted choices: all, or 192 with both ends. What can be set in none of these ways is
drawn (`drawn`).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from reproflow.auditing.continuous import drawn, rounded
from reproflow.auditing.continuous.fit import Reader
from reproflow.auditing.continuous.solving import Levels
from reproflow.auditing.continuous.table import LevelTable, grid, pooled
from reproflow.auditing.draws import filled, standard
from reproflow.auditing.measured_loss import Times
from reproflow.auditing.tape import Draw, Kind

POINTS = 160
SHARED_POINTS = 96
STEPS = 1024
SAME = 1e-4


def read(reader: Reader) -> LevelTable:
    """All levels of the loss, by the best way that its draws allow."""
    roles, bench = reader.roles, reader.bench
    if {"state", "arguments", "control"} & roles.seeded and not _noise_only(reader):
        return drawn.read(reader)
    if not roles.moving:
        levels = reader.levels({})
        return LevelTable(levels.at(np.arange(1)), Times.STEPS, np.ones(1), np.zeros(1, dtype=int))
    if len(roles.moving) > 1:
        return drawn.read(reader)
    index = roles.moving[0]
    draw = bench.base.draws[index]
    if draw.standard.numel() > bench.batch:
        return drawn.read(reader)
    if draw.kind in (Kind.UNIFORM, Kind.NORMAL):
        return _continuous(reader, index, draw)
    if draw.kind in (Kind.INTEGER, Kind.CHOICE):
        return _steps(reader, index, draw)
    return drawn.read(reader)


def _noise_only(reader: Reader) -> bool:
    """Whether what follows the seed is the noise and nothing else: the times are torch's."""
    return reader.noise is None and bool(reader.roles.moving) and "arguments" not in reader.roles.seeded


def followers(reader: Reader, index: int, values: Tensor) -> np.ndarray:
    """Places (n,) of samples whose level is that of their own entry of a draw's `values` (B,): reversed ones tell."""
    draw = reader.bench.base.draws[index]
    count = min(draw.standard.numel(), reader.bench.batch)
    if draw.standard.numel() <= 1 < reader.bench.batch:
        return np.zeros(0, dtype=int)
    order = np.arange(count)
    forward = reader.levels({index: filled(draw, values[:count])})
    back = reader.levels({index: filled(draw, values[:count].flip(0))})
    own = np.ones(count, dtype=bool)
    same = max(SAME, reader.bench.tolerance / 3)
    for name in ("A", "B") if reader.noise is not None else ("A",):
        first, second = getattr(forward, name)[order], getattr(back, name)[order[::-1]]
        size = np.hypot(forward.A, forward.B) * np.maximum(forward.state_error, back.state_error)
        blur = 1e-6 * np.max(np.abs(first)) + size[order]
        own &= np.abs(first - second) <= same * (np.abs(first) + np.abs(second)) + blur
    both = forward.given[order], back.given[order[::-1]]
    if reader.bench.base.draws[index].shape and np.all(np.isfinite(both[0])) and not _told_apart(reader):
        own &= np.abs(both[0] - both[1]) <= same * (np.abs(both[0]) + np.abs(both[1])) + 1e-9
    return order[own]


def _told_apart(reader: Reader) -> bool:
    """Whether the told time has draws of its own (a time that is not the state's)."""
    return set(reader.roles.of("time")) != set(reader.roles.moving)


def _continuous(reader: Reader, index: int, draw: Draw) -> LevelTable:
    batch = reader.bench.batch
    test = standard(draw, grid(max(batch, 2)))
    own = followers(reader, index, test)
    if len(own) >= max(batch // 2, 1) and len(own) == min(batch, draw.standard.numel()):
        return _set_samples(reader, index, draw, own)
    if draw.standard.numel() == 1:
        return _shared(reader, index, draw)
    return _stratified(reader, index, draw)


def _set_samples(reader: Reader, index: int, draw: Draw, own: np.ndarray) -> LevelTable:
    per = len(own)
    rounds = max(1, -(-POINTS // per))
    u = grid(rounds * per).reshape(per, rounds)
    plateau = rounded.steps_of(reader, index, draw, own, u)
    if plateau is not None:
        return plateau
    parts = [reader.levels({index: filled(draw, standard(draw, u[:, turn]))}).at(own) for turn in range(rounds)]
    return _by_quantile(reader, reader.joined(parts), u.T.reshape(-1))


def _by_quantile(reader: Reader, levels: Levels, u: np.ndarray, per_batch: str = "") -> LevelTable:
    """u is the mass below a level, or above it, if lam is monotone in u; else the law has to be drawn."""
    lam = levels.lam
    order = np.argsort(u)
    finite = np.isfinite(lam[order])
    steps = np.diff(lam[order][finite])
    blur = _blur(reader, levels)[order][finite]
    slack = 1e-4 * (np.max(np.abs(steps), initial=0.0) + 1e-3) + blur[1:] + blur[:-1]
    if np.all(steps >= -slack):
        return LevelTable(levels, Times.CONTINUOUS, u, per_batch=per_batch)
    if np.all(steps <= slack):
        return LevelTable(levels, Times.CONTINUOUS, 1 - u, per_batch=per_batch)
    return drawn.read(reader)


def _blur(reader: Reader, levels: Levels) -> np.ndarray:
    """Ten standard errors of each lam."""
    with np.errstate(all="ignore"):
        size = np.hypot(levels.A, levels.B)
        error = levels.state_error / np.sqrt(reader.bench.rows(reader.bench.base.x1).shape[1] * reader.replicas)
        return 20 * error * size * (1 / np.abs(levels.A) + 1 / np.abs(levels.B))


def _shared(reader: Reader, index: int, draw: Draw) -> LevelTable:
    """One scalar for the whole batch: one time a batch, or strata."""
    first = reader.levels({index: filled(draw, standard(draw, np.array([0.3])))})
    if np.ptp(first.A) > SAME * np.max(np.abs(first.A)) or np.ptp(first.B) > SAME * np.max(np.abs(first.B)):
        return _stratified(reader, index, draw)
    u = grid(SHARED_POINTS)
    parts = [pooled(reader.levels({index: filled(draw, standard(draw, np.array([each])))})) for each in u]
    return _by_quantile(reader, reader.joined(parts), u, "one a batch")


def _stratified(reader: Reader, index: int, draw: Draw) -> LevelTable:
    """Strata: each sample's levels, over all values of the draw, are an interval of their own."""
    batch = reader.bench.batch
    rounds = max(2, -(-POINTS // batch))
    middle = _ranked(reader, index, draw, (np.arange(rounds) + 0.5) / rounds)
    fine = _ranked(reader, index, draw, (np.arange(rounds) + 0.5) / (rounds * batch))  # u + i/n, taken modulo 1
    if _agree(fine, middle, 2.0):
        return LevelTable(fine[0], Times.CONTINUOUS, fine[1], per_batch="stratified")
    quarter = _ranked(reader, index, draw, (np.arange(rounds) + 0.25) / rounds)
    if _agree(quarter, middle, 1.0):
        return LevelTable(middle[0], Times.CONTINUOUS, middle[1], per_batch="stratified")
    return drawn.read(reader)


def _agree(first: tuple[Levels, np.ndarray], second: tuple[Levels, np.ndarray], ranks: float) -> bool:
    """Whether two tables give each level one law, to within `ranks` of their steps."""
    (levels, law), (others, shares) = first, second
    order = np.argsort(levels.lam)
    expected = np.interp(others.lam, levels.lam[order], law[order])
    return bool(np.max(np.abs(expected - shares)) <= (ranks + 1e-6) / len(law))


def _ranked(reader: Reader, index: int, draw: Draw, values: np.ndarray) -> tuple[Levels, np.ndarray]:
    """Levels of all samples with every entry of the draw at each of `values`, and their even ranks."""
    levels = reader.joined([reader.levels({index: standard(draw, np.full(draw.shape, u))}) for u in values])
    order = np.argsort(levels.lam)
    law = np.empty(len(order))
    law[order] = (np.arange(len(order)) + 0.5) / len(order)
    return levels, law


def _steps(reader: Reader, index: int, draw: Draw) -> LevelTable:
    batch = reader.bench.batch
    values, law = _values(draw)
    if values is None:
        return drawn.read(reader)
    chosen = np.unique(np.linspace(0, len(values) - 1, min(len(values), STEPS)).round().astype(int))
    complete = len(chosen) == len(values)
    values, law = values[chosen], law[chosen]
    if draw.standard.numel() == 1 < batch:
        parts = [reader.levels({index: filled(draw, torch.tensor([int(v)]))}) for v in values]
        if any(np.ptp(part.A) > SAME * np.max(np.abs(part.A)) for part in parts[:3]):
            return drawn.read(reader)
        return LevelTable(
            reader.joined([pooled(p) for p in parts]), Times.STEPS, law, values, complete, per_batch="one a batch"
        )
    spread = np.unique(np.linspace(0, len(values) - 1, batch).round().astype(int))
    own = followers(reader, index, torch.from_numpy(np.resize(values[spread], batch)))
    if len(own) < max(min(batch, draw.standard.numel()) // 2, 1):
        return drawn.read(reader)
    per = int(own[-1]) + 1
    rounds = -(-len(values) // len(own))
    turns = np.resize(np.arange(len(values)), rounds * len(own)).reshape(rounds, len(own))
    parts = []
    for turn in turns:
        entries = np.zeros(per, dtype=int)
        entries[own] = values[turn]
        parts.append(reader.levels({index: filled(draw, torch.from_numpy(entries))}).at(own))
    levels = reader.joined(parts).at(np.arange(len(values)))
    return LevelTable(levels, Times.STEPS, law, values, complete)


def _values(draw: Draw) -> tuple[np.ndarray | None, np.ndarray]:
    """What a discrete draw can be, with probabilities; None where the weights differ by sample."""
    if draw.kind is Kind.INTEGER:
        values = np.arange(draw.low, draw.high)
        return values, np.full(len(values), 1 / len(values))
    weights = draw.weights
    if weights is None or (weights.ndim > 1 and not bool((weights == weights[:1]).all())):
        return None, np.zeros(0)
    mass = weights.reshape(-1, weights.shape[-1])[0].double().cpu().numpy()
    values = np.flatnonzero(mass > 0)
    return values, mass[values] / mass.sum()
