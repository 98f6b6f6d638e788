"""Which draws decide a token loss's rate of masking, and the settings of them at which the loss is to be read.

A setting replaces draws; each comes with the mass of its law, so that the law of the rate is known exactly:

=============  ======================================================================================================
quantiles      one draw a sample: 64 quantiles, evenly spread in the logit of u
steps          integers: all of them, or 192 with both ends
one a batch    a single draw: its midpoints, one an evaluation
ranks          samples that share the draw in another way (strata, antithetic pairs): values such that all samples of
               all settings together are even in the law; their ranks are quantiles
drawn          anything else: fresh draws
=============  ======================================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy import special
from torch import Tensor

from reproflow.auditing.draws import alike, fresh, standard
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
"""Of strata there are as many quantiles as values times samples; that many are enough, from so many values."""
FRESH = 12
SAME = 1e-6
ENDS = (0.0, 1e-5, 1 - 1e-5, 1 - 2.0**-24)
"""Where the ends of the law are looked for; beside the last one, as strata modulo 1 turn over there by rounding."""
FARTHEST = 40.0
"""The ends of a normal draw: the logistic function and the normal law are 0 and 1 there, and nothing overflows."""

Rates = Callable[[Evaluation, dict[int, Tensor]], Tensor]
"""The rates (B,) under replaced draws. Raises `Diverged` as a replay does."""


@dataclass(frozen=True)
class Setting:
    """An evaluation to replay, with these draws replaced; `mass` (B,) is the position of each sample in the law's draw,
    NaN where ranks decide; `index` (B,) the step drawn, counted from the first."""

    base: Evaluation
    replaced: dict[int, Tensor]
    mass: np.ndarray
    index: np.ndarray | None = None


@dataclass(frozen=True)
class Times:
    """`how` is a row of the table above; `roles` name every draw that was tried, by index.

    `ends` are settings in which some sample is at either end of the law; `steps` is the number of all steps. `shared`
    says that the samples of a batch have one rate.
    """

    how: str
    settings: tuple[Setting, ...]
    roles: dict[int, str] = field(default_factory=dict)
    ends: tuple[Setting, ...] = ()
    steps: int = 0
    shared: bool = False

    @property
    def moving(self) -> list[int]:
        """Indices of the draws that move the rate."""
        return [index for index, role in self.roles.items() if role == "time"]


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
            return replace(made, roles=roles)
    shared = len(before) > 1 and float(before.max() - before.min()) < SAME
    count = MIDPOINTS if shared else FRESH
    drawn = tuple(Setting(each, {}, _unknown(base)) for each in again(evaluator, base, range(count)))
    if not moving and shared:
        moved = [float((rates(each.base, {}) - before).abs().max()) for each in drawn[:1]]
        if max(moved, default=0.0) < SAME:
            return Times("constant", (Setting(base, {}, _unknown(base)),), roles)
    return Times("drawn", drawn, roles, shared=shared)


def again(evaluator: Evaluator, base: Evaluation, turns: Sequence[int], graded: bool = True) -> list[Evaluation]:
    """The loss under the fresh draws of these turns; those that make another sequence of draws are left out."""
    made = (evaluator.record(base.x1, base.seed + turn + 1, graded=graded) for turn in turns)
    return [each for each in made if alike(each, base)]


def _unknown(base: Evaluation) -> np.ndarray:
    return np.full(len(base.x1), np.nan)


def _role(base: Evaluation, index: int, draw: Draw, rates: Rates, before: Tensor) -> str:
    """time, control, or nothing as far as the mask goes."""
    tried = [draw.standard.flip(0), fresh(draw, torch.Generator().manual_seed(1))]
    tried += [torch.full_like(draw.standard, value) for value in _extremes(draw)]
    for values in tried:
        if torch.equal(values, draw.standard):
            continue
        try:
            if float((rates(base, {index: values}) - before).abs().max()) > SAME:
                return "time"
        except Diverged:
            return "control"
    return "nothing"


def _extremes(draw: Draw) -> tuple[float, ...]:
    if draw.kind is Kind.UNIFORM:
        return 0.001, 0.5, 0.999
    return (-2.0, 0.0, 2.0) if draw.kind is Kind.NORMAL else (float(draw.low), float(max(draw.high - 1, draw.low)))


def _set(base: Evaluation, index: int, rates: Rates, even: bool) -> Times | None:
    draw, batch = base.draws[index], len(base.x1)
    size = draw.standard.numel()
    if draw.kind not in (Kind.UNIFORM, Kind.NORMAL, Kind.INTEGER) or not 1 <= size <= batch:
        return None
    try:
        if draw.kind is Kind.INTEGER:
            return _steps(base, index, draw) if size == batch else None
        level = rates(base, {index: _values(draw, np.full(size, 0.37))})
        ends = _settings(base, index, draw, [np.full(size, u) for u in ENDS], ranked=True)
        if float(level.max() - level.min()) > SAME or 1 < size < batch:
            return Times("ranks", _settings(base, index, draw, _even(size, batch), ranked=True), ends=ends)
        if size == 1:
            middles = (np.arange(MIDPOINTS) + 0.5) / MIDPOINTS
            settings = _settings(base, index, draw, [np.full(1, u) for u in middles])
            return Times("one a batch", settings, ends=ends, shared=batch > 1)
        count = MIDPOINTS * batch
        u = (np.arange(count) + 0.5) / count if even else special.expit(np.linspace(-FAR, FAR, QUANTILES))
        forth, back = (rates(base, {index: _values(draw, np.resize(part, batch))}) for part in (u, u[:batch][::-1]))
        if batch <= len(u) and float((forth - back.flip(0)).abs().max()) > SAME:
            return None
        ends = _settings(base, index, draw, _rows(np.array(ENDS), batch), ranked=True)
        return Times("quantiles", _settings(base, index, draw, _rows(u, batch)), ends=ends)
    except Diverged:
        return None


def _even(size: int, batch: int) -> list[np.ndarray]:
    """Values of a draw of `size` entries, in as many settings as are wanted, such that the law is evenly met.

    One entry a sample: midpoints, which are those of strata. Fewer, from which samples are made by turning u round or
    repeating it: all entries of all settings are midpoints of (0, 1). One, that is moved on by 1/B from sample to
    sample modulo 1: midpoints too where the number of settings has no factor in common with B.
    """
    count = int(np.clip(RANKED // batch, FEWEST, MIDPOINTS))
    while size == 1 and math.gcd(count, batch) > 1:
        count += 1
    inside = np.full(size, 0.5 / batch if size == 1 else 0.5)
    if 1 < size < batch:
        inside = (np.arange(size) + 0.5) / size
    return [(turn + inside) / count for turn in range(count)]


def _rows(u: np.ndarray, batch: int) -> list[np.ndarray]:
    """The points in rows of a batch, the last filled up from the start; not in order, as a shift would not show."""
    count = -(-len(u) // batch)
    return list(np.resize(np.random.default_rng(5).permutation(u), (count, batch)))


def _steps(base: Evaluation, index: int, draw: Draw) -> Times:
    count, batch = draw.high - draw.low, len(base.x1)
    chosen = np.unique(np.linspace(0, count - 1, min(STEPS, count)).round())
    settings = []
    for row in _rows(chosen, batch):
        values = torch.as_tensor(draw.low + row).to(draw.standard.dtype).reshape(draw.shape)
        settings.append(Setting(base, {index: values}, _unknown(base), row))
    return Times("steps", tuple(settings), steps=count)


def _settings(
    base: Evaluation, index: int, draw: Draw, rows: Sequence[np.ndarray], ranked: bool = False
) -> tuple[Setting, ...]:
    mass = [_unknown(base) if ranked else np.broadcast_to(row, (len(base.x1),)) for row in rows]
    return tuple(
        Setting(base, {index: _values(draw, row)}, np.array(part)) for row, part in zip(rows, mass, strict=True)
    )


def _values(draw: Draw, u: np.ndarray) -> Tensor:
    """Quantiles as the draw's standard values, those of a normal draw's ends far out."""
    values = standard(draw, u)
    if draw.kind is Kind.NORMAL:
        outside = torch.from_numpy((u == ENDS[0]) | (u == ENDS[-1]))
        values = torch.where(outside, values.sign() * FARTHEST, values)
    return values.reshape(draw.shape)
