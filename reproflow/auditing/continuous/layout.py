"""How the numbers of a sample lie in the state: in another order, or scaled and shifted one by one.

Code that cuts samples into patches, moves the channels, or standardises each channel by constants is as right as any.
Order and scale are read off a change of the data under held draws: S(x1') - S(x1) = A s_d (x1' - x1)_pi(d). The shift
m_d is what is left of the state. Data are then s_d x1_pi(d) + m_d, and the noise is taken in its own order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from reproflow.auditing.continuous.frames import Bench, changed
from reproflow.auditing.continuous.noise_rows import as_rows
from reproflow.auditing.draws import fresh

LEVEL = 0.05
"""Relative spread of a sample's slopes above which they are no single level."""


@dataclass(frozen=True)
class Layout:
    """Order of the data's and of the noise's numbers in the state, their scale and shift; all of shape (D,).

    `spread` is what is left of the slopes' relative variation: large where a sample has several levels.
    """

    data: np.ndarray
    noise: np.ndarray
    scale: np.ndarray
    shift: np.ndarray
    spread: float
    diagonal: bool = False
    """Each number of the state is its own multiple of the data's: the levels are inside the sample."""


def find(bench: Bench, noise: int | None, held: Mapping[int, Tensor], times: Sequence[int] = ()) -> Layout:
    """The layout of the base's state. Where nothing orderly is found, it is the plain one with a large spread.

    Draws in `held` are set, as for the levels; scales that move with the draws `times` are levels.
    """
    x1 = bench.base.x1
    step = -0.5 * x1.sign() * (1 + 0.5 * bench.uniform(x1.shape)) * max(float(x1.abs().max()), 1e-3)
    before = bench.state(bench.replay(replaced=held))
    moved = bench.state(bench.replay(x1=x1 + step, replaced=held)) - before
    steps = bench.rows(x1 + step) - bench.rows(x1)
    size = steps.shape[1]
    order = here = np.arange(size)
    scale, spread = _slopes(moved, steps)
    if spread > LEVEL:
        found = _order(moved, steps)
        if found is not None:
            order = found
            scale, spread = _slopes(moved, steps[:, order])
    ones, zeros = np.ones(size), np.zeros(size)
    if spread <= LEVEL < np.ptp(scale):
        other_times = {**held, **{index: fresh(bench.base.draws[index], bench.random) for index in times}}
        start = bench.state(bench.replay(replaced=other_times))
        again, _ = _slopes(bench.state(bench.replay(x1=x1 + step, replaced=other_times)) - start, steps[:, order])
        if np.max(np.abs(again / scale - 1)) > LEVEL:
            return Layout(order, here, ones, zeros, 1.0, True)
    if spread > LEVEL:
        half = bench.state(bench.replay(x1=x1 + 0.5 * step * bench.signs, replaced=held)) - before
        halves = bench.rows(x1 + 0.5 * step * bench.signs) - bench.rows(x1)
        return Layout(order, here, ones, zeros, spread, not changed(moved * halves / steps, half, 0.1 * LEVEL))
    if noise is None:
        return Layout(order, here, scale, zeros, spread)
    draw = bench.base.draws[noise]
    other = fresh(draw, bench.random)
    after = bench.replay(replaced={**held, noise: other})
    z = as_rows(bench, draw), as_rows(bench, after.draws[noise])
    if z[0] is None or z[1] is None:
        return Layout(order, here, scale, zeros, spread)
    noise_order = here
    noise_moved, noise_steps = bench.state(after) - before, z[1] - z[0]
    if _slopes(noise_moved, noise_steps)[1] > LEVEL:
        found = _order(noise_moved, noise_steps)
        noise_order = here if found is None else found
    return Layout(
        order, noise_order, scale, _shift(before, bench.rows(x1)[:, order] * scale, z[0][:, noise_order]), spread
    )


def _slopes(moved: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, float]:
    """Scale of each element, relative to the median one, and the relative spread about rank one."""
    with np.errstate(all="ignore"):
        ratio = moved / steps
        ratio = np.where(np.abs(steps) > 1e-3 * np.max(np.abs(steps)), ratio, np.nan)
        by_row = ratio / np.nanmedian(ratio, axis=1, keepdims=True)
        usable = np.isfinite(by_row).mean(axis=1) > 0.5
        if not usable.any():
            return np.ones(moved.shape[1]), 1.0
        scale = np.nanmedian(by_row[usable], axis=0)
        scale = np.where(np.isfinite(scale) & (scale != 0), scale, 1.0)
        again = np.abs(ratio / scale / np.nanmedian(ratio / scale, axis=1, keepdims=True) - 1)[usable]
    constant = np.ones_like(scale) if np.nanmedian(np.abs(scale - 1)) < 1e-5 else scale
    return constant, float(np.nanquantile(again, 0.8))


def _order(moved: np.ndarray, steps: np.ndarray) -> np.ndarray | None:
    """The permutation pi with moved_d proportional to steps_pi(d), found in one sample by rank, held in the others."""
    for sign in (1, -1):
        order = np.empty(moved.shape[1], dtype=int)
        order[np.argsort(sign * moved[0])] = np.argsort(steps[0])
        if _slopes(moved, steps[:, order])[1] <= LEVEL:
            return order
    return None


def _shift(state: np.ndarray, data: np.ndarray, eps: np.ndarray) -> np.ndarray:
    """What each element has besides data and noise, in units of the data: zero where it is one constant."""
    rows, size = state.shape
    if size < 8:
        return np.zeros(size)
    signal, rests = np.empty(rows), np.empty_like(state)
    for row in range(rows):
        basis = np.stack([data[row], eps[row], np.ones(size)], axis=1)
        found = np.linalg.lstsq(basis, state[row], rcond=None)[0]
        signal[row] = found[0]
        rests[row] = state[row] - basis @ found
    shift = signal @ rests / max(float(signal @ signal), 1e-300)
    for _ in range(8):  # the regression of one sample takes a part of the shift for signal and noise
        for row in range(rows):
            basis = np.stack([data[row] + shift, eps[row], np.ones(size)], axis=1)
            found = np.linalg.lstsq(basis, state[row], rcond=None)[0]
            signal[row] = found[0]
            rests[row] = state[row] - found[0] * data[row] - found[1] * eps[row]
        centred = rests - rests.mean(axis=1, keepdims=True)
        shift = signal @ centred / max(float(signal @ signal), 1e-300)
    return shift if np.max(np.abs(shift)) > 1e-4 else np.zeros(size)
