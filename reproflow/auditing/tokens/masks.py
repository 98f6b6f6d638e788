"""How a loss masks: what it puts in a token's place, and each sample's rate of masking, by setting its own draws.

A loss that masks position j where u_j < m (or u_j > 1 - m) draws one uniform a position. They are set to a ladder, the
places where it turns from masked to shown bracket m, and the ladder is refined: with L positions each evaluation
divides the bracket by L. A loss that masks the K positions of least u knows only ranks: then m = K / L.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from reproflow.auditing.evaluation import Evaluation, Evaluator
from reproflow.auditing.tape import Diverged, Kind

ROUNDS = 12
NARROW = 1e-8
"""The width of the bracket at which the ladder stops: what single precision tells apart near 1."""
LAST = 1 - 2.0**-24


@dataclass(frozen=True)
class Masking:
    """`draw` is the index of the uniforms that decide; `low` says that small ones mask; `ranks` that only their order
    counts; `where` (B, L) are the positions that can be masked; `id` is what stands in a masked token's place."""

    draw: int
    low: bool
    ranks: bool
    where: Tensor
    id: int

    def forced(self, base: Evaluation, share: float) -> Tensor:
        """Uniforms (B, L) that mask this share of the positions, in no order, whatever the rate is."""
        shape = base.draws[self.draw].shape
        chosen = _shuffled(shape[-1]) < share * shape[-1]
        shown, masked = (LAST, 0.0) if self.low else (0.0, LAST)
        return torch.where(chosen, masked, shown).expand(shape)


def _shuffled(count: int) -> Tensor:
    """The whole numbers below `count` in an order that no shift of a mask agrees with."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(3))


def replaced(evaluation: Evaluation, call: int) -> Tensor:
    """The positions (B, L) at which the network does not get the batch's own tokens."""
    state = evaluation.calls[call].state
    if state is None:
        return torch.zeros_like(evaluation.x1, dtype=torch.bool)
    return state != evaluation.x1


def find(evaluator: Evaluator, base: Evaluation, call: int) -> Masking | None:
    """The draw of uniforms that decides what is masked; None where no draw on the tape can be set to do so."""
    before = replaced(base, call)
    sizes = [torch.Size(draw.shape).numel() for draw in base.draws]
    for index, draw in enumerate(base.draws):
        if draw.kind is not Kind.UNIFORM or sizes[index] != base.x1.numel():
            continue
        try:
            none, all_ = (replaced(_set(evaluator, base, index, value), call) for value in (LAST, 0.0))
            turned = replaced(_set(evaluator, base, index, base.draws[index].standard.flip(-1)), call)
        except Diverged:
            continue
        counts = none.sum(1), all_.sum(1), before.sum(1)
        if torch.equal(counts[0], counts[1]) and torch.equal(counts[0], counts[2]):
            if counts[0].any() and not torch.equal(turned, before):
                return Masking(index, True, True, torch.ones_like(before), _id(base, call))
            continue
        low = bool(counts[1].sum() > counts[0].sum())
        where = all_ if low else none
        return Masking(index, low, False, where, _id(base, call))
    return None


def _set(evaluator: Evaluator, base: Evaluation, index: int, value: float | Tensor) -> Evaluation:
    standard = base.draws[index].standard
    values = torch.as_tensor(value, dtype=standard.dtype).expand(standard.shape)
    return evaluator.replay(base, replaced={index: values}, graded=False)


def _id(base: Evaluation, call: int) -> int:
    state = base.calls[call].state
    assert state is not None
    ids = state[replaced(base, call)]
    return int(ids[0]) if len(ids) else -1


def rates(
    evaluator: Evaluator,
    base: Evaluation,
    call: int,
    masking: Masking,
    times: Mapping[int, Tensor] | None = None,
    narrow: float = NARROW,
) -> Tensor:
    """m of each sample, float64 (B,), to `narrow`, the times' draws set to `times`; for ranks K / L.

    Raises `Diverged` where the times set change which draws follow.
    """
    set_times = dict(times or {})
    if masking.ranks:
        seen = evaluator.replay(base, replaced=set_times, graded=False)
        return replaced(seen, call).double().mean(1)
    batch, length = base.x1.shape
    low, high = torch.zeros(batch, 1, dtype=torch.float64), torch.ones(batch, 1, dtype=torch.float64)
    steps = (torch.arange(length, dtype=torch.float64) + 0.5) / length
    for _ in range(ROUNDS):
        ladder = (low + (high - low) * steps).clamp(max=LAST)
        values = ladder.reshape(base.draws[masking.draw].shape)
        seen = evaluator.replay(base, replaced={**set_times, masking.draw: values}, graded=False)
        hidden = replaced(seen, call)
        below = hidden if masking.low else ~hidden
        told = ladder.to(base.draws[masking.draw].standard.dtype).double()
        low = torch.where(below & masking.where, told, low).amax(1, keepdim=True)
        high = torch.where(~below & masking.where, told, high).amin(1, keepdim=True)
        high = torch.maximum(high, low)
        if float((high - low).max()) < narrow:
            break
    threshold = (0.5 * (low + high)).squeeze(1)
    return threshold if masking.low else 1 - threshold
