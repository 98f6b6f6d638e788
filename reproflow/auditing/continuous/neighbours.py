"""Whether samples of a batch depend on each other: half of the batch's data and noise are changed, the rest is watched.

Where the state of the unchanged half moves, its rows are solved in the basis of all rows of data, all rows of noise,
and ones. One row each means that data and noise were paired anew; closer pairs than chance are a transport plan.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from reproflow.auditing.continuous.draw_roles import Roles
from reproflow.auditing.continuous.frames import Bench, Frame, changed
from reproflow.auditing.continuous.noise_rows import as_rows
from reproflow.auditing.draws import fresh
from reproflow.auditing.findings import Finding
from reproflow.auditing.tape import Diverged

ALIGNED = 5.0
ONE_ROW = 1e-3


@dataclass(frozen=True)
class Neighbours:
    """What of a sample moves with the others' data and noise; the pairing of rows where the state does."""

    state: bool = False
    target: bool = False
    weight: bool = False
    paired: bool = False
    text: str = ""
    apart: bool = False
    """The target's noise is another sample's than the state's."""


def examine(bench: Bench, roles: Roles, noise: int | None, still: Frame, other: torch.Tensor) -> Neighbours:
    """Compares the first half of the batch before and after the second half's data (of `other`) and noise change."""
    half = bench.batch // 2
    if not half:
        return Neighbours()
    x1 = bench.base.x1.clone()
    x1[half:] = other[half:]
    replaced = {}
    for index in roles.of("noise"):
        draw = bench.base.draws[index]
        if draw.standard.shape[:1] == (bench.batch,):
            values = draw.standard.clone()
            values[half:] = fresh(draw, bench.random)[half:]
            replaced[index] = values
    try:
        new = bench.frame(x1=x1, replaced=replaced)
    except Diverged:
        return Neighbours()
    live = (still.live & new.live)[:half]
    state = changed(still.state[:half], new.state[:half], bench.tolerance)
    target = changed(np.where(live, still.target[:half], 0), np.where(live, new.target[:half], 0), bench.tolerance)
    weight = changed(still.coefficient[:half], new.coefficient[:half], bench.tolerance)
    if not state:
        return Neighbours(False, target, weight)
    rows = None if noise is None else pairs(bench, still, noise)
    if rows is None:
        return Neighbours(True, target, weight, text="a sample's state depends on the other samples of its batch")
    data, sources = rows
    if np.array_equal(data, np.arange(len(data))) and np.array_equal(sources, data):
        return Neighbours(True, target, weight, text="the state is normalised by statistics of the batch")
    return _paired(bench, still, noise, data, sources, target, weight)


def _paired(
    bench: Bench, still: Frame, noise: int | None, data: np.ndarray, sources: np.ndarray, target: bool, weight: bool
) -> Neighbours:
    assert noise is not None
    z = as_rows(bench, bench.base.draws[noise])
    assert z is not None
    products = still.x1 @ z.T
    spread = np.std(products) * np.sqrt(len(data))
    alignment = float((products[data, sources].sum() - len(data) * products.mean()) / max(spread, 1e-300))
    text = "data and noise of a batch are paired anew"
    if alignment > ALIGNED:
        text += f", closer than chance by {alignment:.0f} standard deviations: minibatch optimal transport"
    aim = pairs(bench, still, noise, still.target) if still.live.all() else None
    apart = aim is not None and bool(np.any(aim[1] != sources))
    return Neighbours(True, target, weight, True, text, apart)


def pairs(
    bench: Bench, frame: Frame, noise: int, values: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray] | None:
    """For each row of the state, or of `values` (B, D), the row of data and of noise, (B,); None unless one each."""
    values = frame.state if values is None else values
    z = as_rows(bench, frame.evaluation.draws[noise])
    if z is None:
        return None
    count, size = frame.x1.shape
    if size < 2 * count + 9:
        return None
    basis = np.concatenate([frame.x1, z, np.ones((1, size))])
    found = np.linalg.lstsq(basis.T, values.T, rcond=None)[0].T
    data, sources = np.abs(found[:, :count]), np.abs(found[:, count : 2 * count])
    for part in (data, sources):
        largest = part.max(axis=1)
        rest = np.sqrt(np.maximum((part**2).sum(axis=1) - largest**2, 0))
        if np.any(rest > ONE_ROW * np.hypot(data.max(axis=1), sources.max(axis=1)) * np.sqrt(count)):
            return None
    return data.argmax(axis=1), sources.argmax(axis=1)


def finding(neighbours: Neighbours) -> list[Finding]:
    """`batch-coupled`, `target-neighbours`."""
    if neighbours.apart:
        text = "the target holds the noise of another sample than the network's input does: it cannot be learnt."
        return [Finding("noise-mismatch", text)]
    if neighbours.state:
        return [Finding("batch-coupled", f"{neighbours.text}; no bound follows for a coupled loss.")]
    if neighbours.target:
        return [
            Finding("target-neighbours", "a sample's target depends on the data of the other samples of its batch.")
        ]
    return []
