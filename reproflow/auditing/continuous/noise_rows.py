"""The numbers of a noise draw as the batch's samples get them: one row a sample, whatever the draw's shape is."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from reproflow.auditing.continuous.frames import Bench, Frame, changed
from reproflow.auditing.tape import Draw


def as_rows(bench: Bench, draw: Draw) -> np.ndarray | None:
    """A noise draw's standard values as (B, D): shared by samples or elements where it lacks their dimensions."""
    z, shape = draw.standard, bench.base.x1.shape
    if draw.shape in bench.spread:
        rows, signs = bench.spread[draw.shape]
        return signs[:, None] * _samples(bench, z)[rows]
    if z.numel() == shape.numel() and z.shape[:1] == shape[:1]:
        return bench.rows(z.reshape(shape))
    try:
        return bench.rows(z.expand(shape))
    except RuntimeError:
        return None


def _samples(bench: Bench, z: Tensor) -> np.ndarray:
    return bench.rows(z.reshape(-1, *bench.base.x1.shape[1:]))


def note(bench: Bench, still: Frame, index: int) -> None:
    """Notes whose numbers each sample gets, and with which sign, where a draw has fewer samples than the batch.

    Antithetic noise, [z, -z], is one.
    """
    draw = bench.base.draws[index]
    size = int(np.prod(bench.base.x1.shape[1:]))
    count = draw.standard.numel() // size
    if not 1 < count < bench.batch or draw.standard.numel() % size or as_rows(bench, draw) is not None:
        return
    z = _samples(bench, draw.standard)
    quiet = bench.state(bench.replay(replaced={index: torch.zeros_like(draw.standard)}))
    moved = still.state - quiet
    share = moved @ z.T / np.sum(z**2, axis=1)
    rows = np.abs(share).argmax(axis=1)
    factor = share[np.arange(len(rows)), rows]
    if not changed(moved, factor[:, None] * z[rows], 30 * bench.tolerance):
        bench.spread[draw.shape] = rows, np.sign(factor) * np.sign(factor[0])


def shared(bench: Bench, draw: Draw) -> bool:
    """Whether all samples of a batch get the same numbers of this draw."""
    rows = as_rows(bench, draw)
    return bench.batch > 1 and rows is not None and bool(np.all(rows == rows[:1]))
