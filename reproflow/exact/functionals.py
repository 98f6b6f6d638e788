r"""What losses target besides the posterior mean: functionals of finitely many weighted targets, by coordinate.

With weights p_z = J_z / sum J of targets F_z these are the mean, the median, exp(sum p log F), (sum p sqrt F)²,
sqrt(sum p F²) and 1 / sum(p / F). All but the mean give another generator than that of p_t (BIL-4). Shapes: joint
(N, Z), target (N, Z, D) -> (N, D); those with roots and logarithms want positive targets. float64.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from reproflow.exact.matching import Loss, Problem

STEPS = (-0.1, -0.01, -1e-3, 1e-3, 0.01, 0.1)


def mean(joint: Tensor, target: Tensor) -> Tensor:
    """sum p F."""
    return torch.einsum("nz,nzd->nd", joint / joint.sum(1, keepdim=True), target)


def median(joint: Tensor, target: Tensor) -> Tensor:
    """The least target at or below which half of the weight lies."""
    ordered, order = target.sort(1)
    below = (joint / joint.sum(1, keepdim=True))[..., None].expand_as(target).gather(1, order).cumsum(1)
    first = (below < 0.5).sum(1, keepdim=True)
    return ordered.gather(1, first).squeeze(1)


FUNCTIONALS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mean": mean,
    "median": median,
    "geometric mean": lambda joint, target: mean(joint, target.log()).exp(),
    "squared mean of the root": lambda joint, target: mean(joint, target.sqrt()).square(),
    "root mean square": lambda joint, target: mean(joint, target.square()).sqrt(),
    "harmonic mean": lambda joint, target: 1 / mean(joint, 1 / target),
}
"""By the names that divergences give theirs."""


def largest_drop(problem: Problem, loss: Loss, value: Tensor) -> float:
    """By how much of itself a node's conditional loss falls, at most over the nodes, when a value (N, D) is changed.

    One coordinate at a time, by `STEPS` of its own size. Not positive where the value is the minimum, nor where it is
    off by less than half of the least step.
    """
    weight = torch.ones_like(problem.t)
    here = problem.conditional_terms(value, loss, weight)
    drops = []
    for coordinate in torch.eye(value.shape[1], dtype=value.dtype):
        for step in STEPS:
            there = problem.conditional_terms(value + step * coordinate * value.abs(), loss, weight)
            drops.append((here - there) / here)
    return float(torch.stack(drops).max())
