r"""A jump and a flow at once: a state (x, y) of a point in the plane and one of five states, led by one latent z.

Given z the two move independently, x as in `flows` and y as in `ctmc` (whose three latents are groups of the five data
points), so the generator is the sum of a flow with velocity u(x|z) and a jump process with rates u(y'|y,z). Marginally
they do not: both targets are averaged over the posterior given the *whole* state,

.. math:: P(z|x, y) \propto q(z)\, p_t(x|z)\, p_t(y|z).

float64.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from reproflow.exact import ctmc, flows
from reproflow.exact.matching import Problem

GROUPS = (0, 1, 2, 0, 1)
"""Which of the chain's latents goes with each data point of the flow."""

FLOW = 2
"""The first coordinates of the target, the velocity; the others are the rates to the four other states."""


def problem(nodes: int = 4, seen: tuple[str, ...] = ("flow", "jump")) -> Problem:
    """The matching problem of both at four times: target (N, 5, 2 + 4), the velocity, then the rates.

    `seen` names the parts of the state that the posterior is given; every node keeps its mass. Both is right.
    """
    t = torch.tensor([0.1, 0.3, 0.5, 0.7], dtype=torch.float64)
    flow, jump = flows.problem("velocity", t=t, nodes=nodes), _grouped(t)
    shape = len(t), nodes**2, len(ctmc.POSITIONS)
    weights = {"flow": _wide(flow.joint, shape, 2), "jump": _wide(jump.joint, shape, 1)}
    joint = weights["flow"] * weights["jump"]
    if set(seen) != set(weights):
        alone = weights[seen[0]] * (torch.tensor(flows.PRIOR, dtype=torch.float64) if seen[0] == "jump" else 1.0)
        joint = joint.sum(1, keepdim=True) * alone / alone.sum(1, keepdim=True)
    x, target = (
        torch.cat([_wide(first, shape, 2), _wide(second, shape, 1)], -1)
        for first, second in ((flow.x, jump.x), (flow.target, jump.target))
    )
    return Problem("jump and flow", "real", t.repeat_interleave(shape[1] * shape[2]), x, joint, target)


def _wide(values: Tensor, shape: tuple[int, int, int], missing: int) -> Tensor:
    """Values of nodes (times, points) or (times, states) repeated along the dimension that is missing: (N, ..)."""
    ones = [1 if axis == missing else size for axis, size in enumerate(shape)]
    return values.view(*ones, *values.shape[1:]).expand(*shape, *values.shape[1:]).flatten(0, 2)


def _grouped(t: Tensor) -> Problem:
    """The chain's problem with a latent for every data point, its joint weights p_t(y|z) without a prior."""
    chain = ctmc.five_states()
    return replace(chain, data=chain.data[list(GROUPS)], prior=torch.ones(len(GROUPS), dtype=torch.float64)).problem(t)
