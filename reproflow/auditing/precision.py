"""How coarse the arithmetic between a network's answers and a loss is: user code may cast to a shorter format."""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDED = 0.29
"""The standard deviation of a rounding to nearest, in units of the last place: 1/sqrt(12)."""


def coarsest(loss: Tensor | None, dtype: torch.dtype) -> float:
    """The largest machine epsilon among the formats of what stands between answers and loss; at least that of `dtype`.

    They are read off autograd's graph, in which each node knows the formats of what it made.
    """
    found = {dtype}
    seen: set[object] = set()
    left = [] if loss is None or loss.grad_fn is None else [loss.grad_fn]
    while left:
        node = left.pop()
        if node in seen:
            continue
        seen.add(node)
        found |= {made.dtype for made in getattr(node, "_input_metadata", ()) if made.dtype.is_floating_point}
        left += [each for each, _ in node.next_functions if each is not None]
    return max(torch.finfo(each).eps for each in found)
