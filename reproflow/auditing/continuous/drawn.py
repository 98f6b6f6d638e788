"""Levels whose draws cannot be set (numpy's, several draws a time, sorted ones): the law from 20 000 drawn times.

A few of the drawn batches, with the extremes among them, are read fully; a level's law is the share of all drawn times
up to it.
"""

from __future__ import annotations

import numpy as np

from reproflow.auditing.arguments import given
from reproflow.auditing.continuous.fit import Reader
from reproflow.auditing.continuous.table import LevelTable, pooled
from reproflow.auditing.draws import alike, share
from reproflow.auditing.measured_loss import Times
from reproflow.auditing.tape import Diverged

TIMES = 20_000
SHARED = 2500
"""Batches drawn where all samples of one share a time."""
READ = 320
"""Levels that are read fully."""


def read(reader: Reader) -> LevelTable:
    """The levels and their empirical law."""
    bench, name = reader.bench, reader.roles.time_name
    rounds = -(-TIMES // bench.batch)
    answers = {key: value for key, value in bench.base.answers.items() if key != bench.graded}
    first_seed = bench.base.seed + 1
    told: list[np.ndarray] = []
    turn = 0
    while name and turn < rounds:
        evaluation = bench.evaluator.record(bench.base.x1, first_seed + turn, answers, graded=False)
        numbers = given(evaluation, bench.graded).get(name) if bench.graded < len(evaluation.calls) else None
        if numbers is None:
            break
        told.append(numbers)
        turn += 1
        if turn == 8 and bench.batch > 1 and np.all(np.array(told) == np.array(told)[:, :1]):
            rounds = SHARED  # one time a batch
    drawn = np.array(told) if told else np.zeros((0, bench.batch))
    shared = bool(len(drawn)) and bench.batch > 1 and bool(np.all(drawn == drawn[:, :1]))
    chosen = _chosen(drawn, max(2, -(-READ // bench.batch)), shared)
    parts = []
    for turn in chosen:
        base = bench.evaluator.record(bench.base.x1, first_seed + int(turn), answers)
        if not alike(base, bench.base):
            continue
        try:
            read_now = reader.levels({}, base, base.seed)
            parts.append(pooled(read_now) if shared else read_now)
        except Diverged:
            continue
    if not parts:
        parts.append(reader.levels({}))
    levels = reader.joined(parts)
    every = drawn[:, 0] if shared else drawn.reshape(-1)
    law, draws = _law(levels.given, levels.lam, every)
    if not draws:
        bench.limits.append("the law of the levels is that of the levels read, not of many draws")
        draws = len(levels.lam)
    return LevelTable(levels, Times.DRAWN, law, draws=draws, per_batch="one a batch" if shared else "")


def _chosen(drawn: np.ndarray, count: int, shared: bool) -> np.ndarray:
    """Rounds that are read fully: those of the least and the greatest time, and others; many where times are shared."""
    count = 4 * count if shared else count
    if len(drawn) <= count:
        return np.arange(count)
    low, high = np.argmin(drawn.min(axis=1)), np.argmax(drawn.max(axis=1))
    rest = [turn for turn in range(len(drawn)) if turn not in (low, high)]
    return np.array([low, high, *rest[: count - 2]])


def _law(told: np.ndarray, lam: np.ndarray, every: np.ndarray) -> tuple[np.ndarray, int]:
    """Mass of levels up to each in lam, and the number of draws behind it."""
    order = np.argsort(lam)
    ranks = np.empty(len(lam))
    ranks[order] = (np.arange(len(lam)) + 0.5) / len(lam)
    if len(every) == 0 or not np.all(np.isfinite(told)):
        return ranks, 0
    finite = np.isfinite(lam)
    relation = np.corrcoef(np.argsort(np.argsort(told[finite])), np.argsort(np.argsort(lam[finite])))[0, 1]
    if not abs(relation) > 0.99:
        return ranks, 0
    mass = share(told, every)
    return (mass if relation > 0 else 1 - mass), len(every)
