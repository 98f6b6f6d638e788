"""Times that are drawn from a continuous law and then rounded to a grid: each step's share of the law, by bisection.

A small change of u leaves the state of most samples exactly as it was. The two ends of each plateau are then bisected,
all samples at once; their distance in u is the step's probability.
"""

from __future__ import annotations

import numpy as np

from reproflow.auditing.arguments import given
from reproflow.auditing.continuous.fit import Reader
from reproflow.auditing.continuous.table import LevelTable
from reproflow.auditing.draws import filled, standard
from reproflow.auditing.measured_loss import Times
from reproflow.auditing.tape import Draw
from reproflow.numerics.bisection import bracket

NEAR = 1e-5
HALVINGS = 20


def steps_of(reader: Reader, index: int, draw: Draw, own: np.ndarray, u: np.ndarray) -> LevelTable | None:
    """The table of steps if the levels at u (samples, rounds), of samples `own`, are plateaus; None where they vary."""
    middle = u[:, u.shape[1] // 2]
    moved = np.where(middle < 0.5, middle + NEAR, middle - NEAR)
    if np.mean(_same(reader, index, draw, own, middle, moved)) < 0.5:
        return None
    found, edges = [], []
    for turn in range(u.shape[1]):
        low, high = _edges(reader, index, draw, own, u[:, turn])
        edges.append((low, high))
        found.append(reader.levels({index: _values(draw, u[:, turn])}).at(own))
    levels = reader.joined(found)
    low, high = (np.concatenate([edge[place] for edge in edges]) for place in range(2))
    order = np.argsort(low)
    kept = order[np.concatenate([[True], np.diff(low[order]) > NEAR / 10])]
    law = (high - low)[kept]
    levels = levels.at(kept)
    if law.sum() < 1 - 1e-4:
        # Not all steps were met: the middle of a plateau in u is the quantile that its level has.
        middle = 0.5 * (low + high)[kept]
        rises = levels.lam[-1] > levels.lam[0]
        return LevelTable(levels, Times.CONTINUOUS, middle if rises else 1 - middle, rounded=True)
    steps = np.round(levels.given) if np.allclose(levels.given, np.round(levels.given)) else np.arange(len(kept))
    return LevelTable(levels, Times.STEPS, law, steps.astype(int), bool(law.sum() > 1 - 1e-4))


def _values(draw: Draw, u: np.ndarray):
    return filled(draw, standard(draw, u))


def _states(reader: Reader, index: int, draw: Draw, own: np.ndarray, u: np.ndarray) -> np.ndarray:
    """State and told time of each sample."""
    evaluation = reader.bench.replay(replaced={index: _values(draw, u)})
    told = given(evaluation, reader.bench.graded).get(reader.roles.time_name)
    state = reader.bench.state(evaluation)
    return (state if told is None else np.concatenate([state, told[:, None]], axis=1))[own]


def _same(reader: Reader, index: int, draw: Draw, own: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    a, b = _states(reader, index, draw, own, first), _states(reader, index, draw, own, second)
    return np.all(a == b, axis=1)


def _edges(reader: Reader, index: int, draw: Draw, own: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ends of the plateaus around u."""
    here = _states(reader, index, draw, own, u)

    def inside(tried: np.ndarray) -> np.ndarray:
        return np.all(_states(reader, index, draw, own, tried) == here, axis=1)

    low, high = (bracket(inside, u, np.full_like(u, end), HALVINGS)[1] for end in (0.0, 1.0))
    return low, high
