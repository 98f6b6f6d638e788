"""Which latent of the chain goes with each point of the flow."""

from __future__ import annotations

import torch

from reproflow.exact import components, ctmc


def test_points_0_and_3_and_1_and_4_share_a_latent() -> None:
    """The rates of a point, at any x, are those of its latent."""
    t = torch.tensor([0.1, 0.3, 0.5, 0.7], dtype=torch.float64)
    rates = ctmc.five_states().problem(t).target.view(4, 1, 5, 3, -1)[:, :, :, [0, 1, 2, 0, 1]]
    found = components.problem().target[..., components.FLOW :].view(4, 16, 5, 5, -1)
    assert torch.equal(found, rates.expand_as(found))
    assert not torch.equal(rates, rates.flip(3))
