"""What a loss's coefficient depends on besides the level: the sample itself, its neighbours, a draw of its own.

The gradient's expectation is that of a weighted regression only if the weight is a function of the state and the level.
x1' = x1 + delta with eps' = eps - (A / B) delta leaves the state alone; the coefficient may not move then (Lemma 4.7 of
000). A factor f(x1) alone trains the exact field of the reweighted data and is a question; the rest is a defect.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from reproflow.auditing.arguments import moved_arguments
from reproflow.auditing.continuous.fit import Reader
from reproflow.auditing.continuous.frames import Frame
from reproflow.auditing.continuous.solving import Levels
from reproflow.auditing.draws import filled, fresh, standard
from reproflow.auditing.findings import Finding
from reproflow.auditing.tape import ORDERS, Diverged, Draw, Kind

MOVED = 2e-3
SAMPLES = 4
"""Samples whose own time is changed alone: a shuffled order may leave one where it is."""
MIDDLE = 6.0
"""|lam| of the levels at which the state can be kept while data and noise change without loss of digits."""


def findings(reader: Reader, neighbour_data: bool) -> list[Finding]:
    """All findings on the coefficient."""
    coupled = _neighbours(reader, neighbour_data)
    return _random(reader, bool(coupled)) + (coupled or _own_data(reader))


def _random(reader: Reader, coupled: bool) -> list[Finding]:
    """`weight-random`; an order that is drawn, of the weights of other samples, is no draw of the weight."""
    found = []
    for index in reader.roles.of("weight"):
        draw = reader.bench.base.draws[index]
        if coupled and draw.kind in ORDERS:
            continue
        found.append(
            Finding(
                "weight-random",
                f"the weight is drawn by itself, at line {draw.line} of {draw.file}, whatever the level is.",
                f"{draw.operator}{list(draw.shape)}",
            )
        )
    return found


def _coefficients(frame: Frame) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.where(frame.live, frame.coefficient, 0).sum(axis=1) / np.maximum(frame.live.sum(axis=1), 1)


def _own_data(reader: Reader) -> list[Finding]:
    """`weight-sees-data` and `weight-by-sample`: the coefficient at a fixed state."""
    bench = reader.bench
    if reader.noise is None:
        return []
    draw = bench.base.draws[reader.noise]
    if draw.standard.numel() != bench.base.x1.numel():
        return []
    frames = reader.frames({})
    levels = reader.of_frames(frames)
    usable = np.isfinite(levels.lam) & (np.abs(levels.lam) < MIDDLE) & (levels.B != 0)
    if not usable.any():
        return []
    moved = _moved_data(reader, frames[0], levels)
    if moved is None:
        return []
    before, after = _coefficients(frames[0]), _coefficients(moved)
    if moved_arguments(frames[0].evaluation, moved.evaluation, bench.graded):
        return []  # another input of the network moved too, and may carry the weight
    with np.errstate(all="ignore"):
        change = np.abs(after / before - 1)[usable]
    change = change[np.isfinite(change)]
    if not len(change) or np.quantile(change, 0.8) < MOVED + 10 * float(np.median(levels.spread)):
        return []
    evidence = f"at a fixed state the coefficient moves by {np.quantile(change, 0.8):.2g} of itself"
    if _by_sample(reader, frames[0], moved):
        text = "the weight is one of the sample times one of the level: it trains the field of reweighted data."
        return [Finding("weight-by-sample", text, evidence)]
    text = "the weight depends on the sample at a fixed state and level: what is learnt is no conditional expectation."
    return [Finding("weight-sees-data", text, evidence)]


def _moved_data(reader: Reader, frame: Frame, levels: Levels) -> Frame | None:
    """The frame with other data and the noise that leaves its state alone."""
    bench = reader.bench
    assert reader.noise is not None
    x1 = frame.evaluation.x1
    other = reader.batch()
    shape = (-1, *[1] * (x1.ndim - 1))
    with np.errstate(all="ignore"):
        ratio = np.where(np.isfinite(levels.A / levels.B), levels.A / levels.B, 0.0)
    draw = frame.evaluation.draws[reader.noise]
    eps = draw.standard.double().reshape(x1.shape)
    scale = 1 / np.sqrt(12) if draw.kind is Kind.UNIFORM else 1.0
    eps = eps - scale * torch.from_numpy(ratio).reshape(shape) * (other - x1).double()
    more = {index: frame.evaluation.draws[index].standard for index in reader.more}
    replaced = {**reader.held, **more, reader.noise: eps.to(draw.standard.dtype).reshape(draw.shape)}
    try:
        return bench.frame(x1=other, replaced=replaced)
    except Diverged:
        return None


def _by_sample(reader: Reader, frame: Frame, moved: Frame) -> bool:
    """Whether c = f(x1) g(level): no function of the noise, the factor between samples the same at other levels."""
    bench = reader.bench
    assert reader.noise is not None
    draw = bench.base.draws[reader.noise]
    replaced = {**reader.held, reader.noise: fresh(draw, bench.random)}
    first = bench.frame(x1=frame.evaluation.x1, replaced=replaced)
    if _relative(_coefficients(frame), _coefficients(first)) > MOVED:
        return False
    times = {index: fresh(bench.base.draws[index], bench.random) for index in reader.roles.moving}
    if not times:
        return True
    try:
        here = bench.frame(x1=frame.evaluation.x1, replaced={**replaced, **times})
        there = bench.frame(x1=moved.evaluation.x1, replaced={**replaced, **times})
    except Diverged:
        return False
    with np.errstate(all="ignore"):
        factors = _coefficients(moved) / _coefficients(frame), _coefficients(there) / _coefficients(here)
    return _relative(*factors) < 5 * MOVED


def _relative(first: np.ndarray, second: np.ndarray) -> float:
    with np.errstate(all="ignore"):
        gap = np.abs(second / first - 1)
    gap = gap[np.isfinite(gap)]
    return float(np.quantile(gap, 0.8)) if len(gap) else 0.0


def _neighbours(reader: Reader, by_data: bool) -> list[Finding]:
    """`weight-neighbours`, `weight-normalised`: the coefficient under other times, or data, of the other samples."""
    bench = reader.bench
    half = bench.batch // 2
    draws = [
        index
        for index in reader.roles.moving
        if bench.base.draws[index].shape[:1] == (bench.batch,)
        and bench.base.draws[index].standard.numel() == bench.batch
    ]
    if not half or (not draws and not by_data):
        return []
    kept = torch.zeros(bench.batch, dtype=torch.bool)
    kept[torch.randperm(bench.batch, generator=bench.random)[:half]] = True  # any half: a shift by one is seen too
    still = _coefficients(bench.frame(replaced=reader.held))
    try:
        change = _change(reader, draws, still, kept)
        if change < MOVED and not by_data:
            return []
        enters = bool(draws) and all(_enters(reader, draws, still, sample) for sample in range(min(SAMPLES, half)))
    except Diverged:
        return []
    evidence = f"other samples' times move the coefficient by {change:.2g} of itself"
    if enters or (by_data and change < MOVED):
        text = "the weight is normalised over the batch: it is another function of the level than one alone would be."
        return [Finding("weight-normalised", text, evidence)]
    text = "a sample's weight is made of the other samples' times, not of its own: a dimension lost before the product?"
    return [Finding("weight-neighbours", text, evidence)]


def _change(reader: Reader, draws: list[int], still: np.ndarray, kept: Tensor) -> float:
    """How much the coefficients of the `kept` samples move when the others' times become other ones, or the ends'."""
    bench, found = reader.bench, 0.0
    for make in (fresh, partial(_end, 0.01), partial(_end, 0.99)):
        others = {}
        for index in draws:
            draw = bench.base.draws[index]
            values = make(draw, bench.random)
            others[index] = torch.where(kept.reshape(-1, *[1] * (values.ndim - 1)), draw.standard, values)
        moved = _coefficients(bench.frame(replaced={**reader.held, **others}))
        found = max(found, _relative(still[kept.numpy()], moved[kept.numpy()]))
        if found > MOVED:
            break
    return found


def _end(u: float, draw: Draw, random: torch.Generator) -> Tensor:
    """The quantile u of a draw of times, for all samples; a draw without quantiles anew."""
    if draw.kind is Kind.INTEGER:
        return torch.full_like(draw.standard, draw.low + int(u * (draw.high - draw.low)))
    if draw.kind in (Kind.UNIFORM, Kind.NORMAL):
        return filled(draw, standard(draw, np.array([u])))
    return fresh(draw, random)


def _enters(reader: Reader, draws: list[int], still: np.ndarray, sample: int) -> bool:
    """Whether a sample's own time moves its coefficient otherwise than those of the others."""
    bench, own = reader.bench, {}
    for index in draws:
        draw = bench.base.draws[index]
        own[index] = draw.standard.clone()
        own[index][sample] = fresh(draw, bench.random)[sample]
    with np.errstate(all="ignore"):
        factors = _coefficients(bench.frame(replaced={**reader.held, **own})) / still
    rest = np.delete(factors, sample)
    rest = rest[np.isfinite(rest)]
    return len(rest) > 0 and abs(factors[sample] / np.median(rest) - 1) > MOVED
