r"""Integrals of one function over many cells at once, to nine digits of each, or with what is not known of it.

Gauss-Legendre of eight nodes on a cell and on its halves; a cell on which the two differ is halved again. At a jump or
a pole the cells become narrow until times have no digits left: what such a last cell holds is part of the integral, and
of its doubt.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from reproflow.numerics import gauss_rules

NODES = 8
EXACT = 1e-9
HALVINGS = 60
NARROWEST = 2.0**-46
"""Relative to where a cell is: narrower ones are not halved."""
PIECES = 1 << 16


def integrate(f: Callable[[Tensor], Tensor], low: Tensor, high: Tensor, least: float) -> tuple[Tensor, Tensor]:
    """The integrals of f >= 0 from `low` to `high`, and how much of each is doubtful, (n,) each.

    f maps (m,) to (m,), float64. A difference counts from `EXACT` of its cell, or of `least` where that is more.
    """
    total, doubt = torch.zeros_like(low), torch.zeros_like(low)
    cell = torch.arange(len(low))
    value = _gauss(f, low, high)
    allowed = EXACT * value.clamp(min=least)
    for step in range(HALVINGS):
        middle = 0.5 * (low + high)
        left, right = _gauss(f, low, middle), _gauss(f, middle, high)
        error = (left + right - value).abs()
        last = (high - low <= NARROWEST * high) | (len(low) > PIECES) | (step == HALVINGS - 1)
        unsettled = error > allowed[cell]
        done = last | ~unsettled
        total.index_add_(0, cell[done], (left + right)[done])
        doubt.index_add_(0, cell[done & unsettled], (left + right + error)[done & unsettled])
        doubt.index_add_(0, cell[done & ~unsettled], error[done & ~unsettled])
        if bool(done.all()):
            break
        more = ~done
        low, middle, high, cell = low[more], middle[more], high[more], cell[more]
        value = torch.cat([left[more], right[more]])
        low, high, cell = torch.cat([low, middle]), torch.cat([middle, high]), cell.repeat(2)
    return total, doubt


def _gauss(f: Callable[[Tensor], Tensor], low: Tensor, high: Tensor) -> Tensor:
    nodes, weights = gauss_rules.tensors(gauss_rules.legendre(NODES))
    half = 0.5 * (high - low)
    at = low[:, None] + half[:, None] * (nodes + 1)
    return half * (f(at.flatten()).view(at.shape) @ weights)
