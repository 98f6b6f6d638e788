"""Which draws decide a token loss's rate of masking, and the settings of them at which the loss is to be read.

A setting replaces draws; each comes with the mass of its law, so that the law of the rate is known exactly:

=============  ======================================================================================================
quantiles      one draw a sample: 64 quantiles, evenly spread in the logit of u
steps          integers: all of them, or 192 with both ends
one a batch    a single draw: its midpoints, one an evaluation
ranks          samples that share the draw in another way (strata, antithetic pairs): midpoints for all of them; the
               ranks over batch and midpoints are quantiles
drawn          anything else: fresh draws
=============  ======================================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy import special
from torch import Tensor

from reproflow.auditing.evaluation import Evaluation, Evaluator
from reproflow.auditing.tape import Diverged, Draw, Kind

FAR = 6.5
"""The ends of the quantiles, in the logit of u: 0.15 % of the mass lies beyond either."""
QUANTILES = 64
STEPS = 192
MIDPOINTS = 24
"""Of a draw that all samples share; each costs a handful of evaluations."""
RANKED = 256
FEWEST = 8
"""Of strata there are as many quantiles as midpoints times samples; that many are enough, from so many midpoints."""
FRESH = 12
SAME = 1e-6

Rates = Callable[[Evaluation, dict[int, Tensor]], Tensor]
"""The rates (B,) under replaced draws. Raises `Diverged` as a replay does."""


@dataclass(frozen=True)
class Setting:
    """An evaluation to replay, with these draws replaced; `mass` (B,) is the position of each sample in the law's draw,
    NaN where ranks decide; `index` (B,) the step drawn."""

    base: Evaluation
    replaced: dict[int, Tensor]
    mass: np.ndarray
    index: np.ndarray | None = None


@dataclass(frozen=True)
class Times:
    """`how` is a row of the table above; `roles` name every draw that was tried, by index."""

    how: str
    settings: tuple[Setting, ...]
    roles: dict[int, str] = field(default_factory=dict)
    steps: int = 0


def find(evaluator: Evaluator, base: Evaluation, rates: Rates, mask: int, even: bool = False) -> Times:
    """The draws that move the rate, and the settings at which to read it; `even` for quantiles of equal mass."""
    before = rates(base, {})
    roles = {mask: "mask"}
    for index, draw in enumerate(base.draws):
        if index != mask:
            roles[index] = _role(base, index, draw, rates, before)
    moving = [index for index, role in roles.items() if role == "time"]
    if len(moving) == 1:
        made = _set(base, moving[0], rates, even)
        if made is not None:
            how, settings = made
            draw = base.draws[moving[0]]
            return Times(how, settings, roles, draw.high - draw.low if how == "steps" else 0)
    if not moving and float(before.max() - before.min()) < SAME:
        again = rates(evaluator.record(base.x1, base.seed + 1), {})
        if float((again - before).abs().max()) < SAME:
            return Times("constant", (Setting(base, {}, np.full(len(before), np.nan)),), roles)
    fresh = tuple(
        Setting(evaluator.record(base.x1, base.seed + place + 1), {}, np.full(len(before), np.nan))
        for place in range(FRESH)
    )
    return Times("drawn", tuple(each for each in fresh if _alike(each.base, base)), roles)


def _alike(one: Evaluation, other: Evaluation) -> bool:
    return [draw.shape for draw in one.draws] == [draw.shape for draw in other.draws]


def _role(base: Evaluation, index: int, draw: Draw, rates: Rates, before: Tensor) -> str:
    """time, control, or nothing as far as the mask goes."""
    generator = torch.Generator().manual_seed(1)
    tried = [draw.standard.flip(0), _again(draw, generator)]
    tried += [torch.full_like(draw.standard, value) for value in _extremes(draw)]
    for standard in tried:
        if torch.equal(standard, draw.standard):
            continue
        try:
            if float((rates(base, {index: standard}) - before).abs().max()) > SAME:
                return "time"
        except Diverged:
            return "control"
    return "nothing"


def _extremes(draw: Draw) -> tuple[float, ...]:
    if draw.kind is Kind.UNIFORM:
        return 0.001, 0.5, 0.999
    return (-2.0, 0.0, 2.0) if draw.kind is Kind.NORMAL else (float(draw.low), float(max(draw.high - 1, draw.low)))


def _again(draw: Draw, generator: torch.Generator) -> Tensor:
    if draw.kind is Kind.UNIFORM:
        return torch.rand(draw.shape, generator=generator).to(draw.standard.dtype)
    if draw.kind is Kind.NORMAL:
        return torch.randn(draw.shape, generator=generator).to(draw.standard.dtype)
    return draw.standard.flatten()[torch.randperm(draw.standard.numel(), generator=generator)].reshape(draw.shape)


def _set(base: Evaluation, index: int, rates: Rates, even: bool) -> tuple[str, tuple[Setting, ...]] | None:
    draw, batch = base.draws[index], len(base.x1)
    size = draw.standard.numel()
    if draw.kind not in (Kind.UNIFORM, Kind.NORMAL, Kind.INTEGER) or size not in (1, batch):
        return None
    try:
        if draw.kind is Kind.INTEGER:
            return _steps(base, index, draw, batch) if size == batch else None
        level = rates(base, {index: _values(draw, np.full(size, 0.37))})
        if float(level.max() - level.min()) > SAME:
            count = int(np.clip(RANKED // batch, FEWEST, MIDPOINTS))
            middles = (np.arange(count) + 0.5) / count
            return "ranks", _settings(base, index, draw, [np.full(size, u) for u in middles], ranked=True)
        if size == 1:
            middles = (np.arange(MIDPOINTS) + 0.5) / MIDPOINTS
            return "one a batch", _settings(base, index, draw, [np.full(1, u) for u in middles])
        count = MIDPOINTS * batch
        u = (np.arange(count) + 0.5) / count if even else special.expit(np.linspace(-FAR, FAR, QUANTILES))
        forth, back = (rates(base, {index: _values(draw, np.resize(part, batch))}) for part in (u, u[:batch][::-1]))
        if batch <= len(u) and float((forth - back.flip(0)).abs().max()) > SAME:
            return None
        return "quantiles", _settings(base, index, draw, _rows(u, batch))
    except Diverged:
        return None


def _rows(u: np.ndarray, batch: int) -> list[np.ndarray]:
    """The points in rows of a batch; the last row is filled up from the start."""
    count = -(-len(u) // batch)
    return list(np.resize(u, (count, batch)))


def _steps(base: Evaluation, index: int, draw: Draw, batch: int) -> tuple[str, tuple[Setting, ...]]:
    chosen = np.unique(np.linspace(draw.low, draw.high - 1, min(STEPS, draw.high - draw.low)).round())
    settings = []
    for row in _rows(chosen, batch):
        values = torch.as_tensor(row).to(draw.standard.dtype).reshape(draw.shape)
        settings.append(Setting(base, {index: values}, np.full(batch, np.nan), row))
    return "steps", tuple(settings)


def _settings(
    base: Evaluation, index: int, draw: Draw, rows: Sequence[np.ndarray], ranked: bool = False
) -> tuple[Setting, ...]:
    batch = len(base.x1)
    mass = [np.full(batch, np.nan) if ranked else np.broadcast_to(row, (batch,)) for row in rows]
    return tuple(
        Setting(base, {index: _values(draw, row)}, np.array(part)) for row, part in zip(rows, mass, strict=True)
    )


def _values(draw: Draw, u: np.ndarray) -> Tensor:
    """Quantiles as the draw's standard values."""
    values = special.ndtri(u) if draw.kind is Kind.NORMAL else u
    return torch.as_tensor(values).to(draw.standard.dtype).reshape(draw.shape)
