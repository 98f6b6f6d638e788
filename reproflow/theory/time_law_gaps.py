"""Supports: the times a time law never draws, and the times where a weight is zero.

Lemma 4.7 of 000 wants a law that dominates Lebesgue's measure and a weight that is positive almost everywhere; both
fail on sets of positive length, which this file locates. Atoms of a law do no harm. What a function is at single times
does not count, and neither does a value that is zero in float64 only because it is too small (below 1e-290 beside it).
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from reproflow.numerics.bisection import bracket
from reproflow.numerics.intervals import NARROWEST, Interval, joined
from reproflow.theory.times import TimeLaw

POINTS = 16384
CELLS = 1 << 17
SUSPECTS = 4096
CUTS = 64
LEVELS = 4
HALVINGS = 60
EARLY = 41
"""The halvings after which an image that has stopped to shrink by the last one is a jump."""


@functools.lru_cache(maxsize=256)
def gaps(law: TimeLaw) -> tuple[Interval, ...]:
    """The open intervals of (0, 1), longer than 1e-9, that a law never enters, in order; those that touch are joined.

    A law with a closed density that is positive throughout has none. Otherwise they are the jumps of the quantile map,
    and what it leaves out at either end.
    """
    t = (torch.arange(POINTS, dtype=torch.float64) + 0.5) / POINTS
    if law.entry.meta.get("density") and bool((law.density(t) > 0).all()):
        return ()
    low, high = _limit(law, 0), _limit(law, 1)
    found = [(0.0, low)] if low > NARROWEST else []
    found += _jumps(law, t[(t > low) & (t < high)]) + _short_jumps(law)
    found += [(high, 1.0)] if high < 1 - NARROWEST else []
    return tuple(joined(found))


def _limit(law: TimeLaw, end: int) -> float:
    """The limit of the quantile map at u = 0 or 1: the end itself, unless the map stops short of it.

    A map that reaches its end comes closer on a logarithmic scale without slowing down: log|Q - end| falls no less from
    u = 2^-26 to 2^-52 than from 2^-13 to 2^-26. One that has a gap slows down; Aitken's rule then gives its limit.
    """
    near = 2.0 ** -torch.tensor([13, 26, 36, 44, 52], dtype=torch.float64)
    t = law.quantile(near if end == 0 else 1 - near)
    distance = (t - end).abs()
    if float(distance[-1]) <= NARROWEST:
        return float(end)
    first, second = (float(distance[i].log() - distance[j].log()) for i, j in ((0, 1), (1, 4)))
    if second > 0.5 * first:
        return float(end)
    early, late = float(t[3] - t[2]), float(t[4] - t[3])
    ratio = late / early if early else 0.0
    return float(t[4]) + late * ratio / (1 - ratio) if 0 < ratio < 0.9 else float(t[4])


def _jumps(law: TimeLaw, t: Tensor) -> list[Interval]:
    """The jumps of the quantile map over the times t, each found as the place where its bisection gets stuck.

    Where the map is continuous the bracket's image shrinks as the bracket does. Neighbouring t that all lie in jumps
    are one gap.
    """
    low, high = torch.zeros_like(t), torch.ones_like(t)

    def below(u: Tensor) -> Tensor:
        return law.quantile(u) < t

    low, high = bracket(below, low, high, EARLY)
    width = _image(law, low, high)[2]
    low, high = bracket(below, low, high, HALVINGS - EARLY)
    first, last, final = _image(law, low, high)
    stuck = (final > NARROWEST) & (final > 0.5 * width)
    pairs: list[Interval] = []
    before = -2
    for index in stuck.nonzero().flatten().tolist():
        start = pairs.pop()[0] if index == before + 1 else float(first[index])
        pairs.append((start, float(last[index])))
        before = index
    return pairs


def _short_jumps(law: TimeLaw) -> list[Interval]:
    """The jumps between neighbouring t of that grid: in cells of u over which the map climbs more than it would.

    Of the neighbours the one that climbs less counts, so that a jump where the slope changes stands out too. A cell
    that does is cut into 64 again and again, and the part kept that stands out most.
    """
    u = torch.linspace(0, 1, CELLS + 1, dtype=torch.float64)[1:-1]
    excess = _excess(law.quantile(u).diff())
    suspects = (excess > 0.5 * NARROWEST).nonzero().flatten()
    suspects = suspects[excess[suspects].argsort(descending=True)[:SUSPECTS]].sort().values
    low, high = u[suspects + 1], u[suspects + 2]
    width = torch.full_like(low, torch.inf)
    steps = torch.arange(-1, CUTS + 2, dtype=torch.float64)
    for level in range(LEVELS):
        finer = (low[:, None] + (high - low)[:, None] / CUTS * steps).clamp(1e-300, 1 - 2.0**-53)
        best = _excess(law.quantile(finer.flatten()).view(finer.shape).diff()).argmax(1, keepdim=True)
        low, high = (finer.gather(1, best + right).squeeze(1) for right in (1, 2))
        if level == 1:
            width = _image(law, low, high)[2]
    first, last, final = _image(law, low, high)
    stuck = (final > NARROWEST) & (final > 0.5 * width)
    return list(zip(first[stuck].tolist(), last[stuck].tolist(), strict=True))


def _excess(climb: Tensor) -> Tensor:
    """How much more is climbed in a cell than in the lower of its neighbours: (.., n) -> (.., n - 2)."""
    return climb[..., 1:-1] - torch.minimum(climb[..., :-2], climb[..., 2:])


def _image(law: TimeLaw, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Q at the ends of brackets and the distance between, infinite for a bracket that reaches u = 0 or 1."""
    at_low, at_high = law.quantile(low.clamp(min=1e-300)), law.quantile(high.clamp(max=1 - 2.0**-53))
    return at_low, at_high, torch.where((low == 0) | (high == 1), torch.inf, at_high - at_low)
