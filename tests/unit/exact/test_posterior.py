"""The posterior over the points of a data set: a mean over those that count, by definition."""

from __future__ import annotations

import math

import torch

from reproflow.exact.posterior import agreeing, log_kernel, log_marginal, of_class


def test_a_kernel_is_the_normal_density_wherever_the_data_lie() -> None:
    points = torch.tensor([[100.0, 0.0], [101.0, 2.0], [99.0, -1.0]], dtype=torch.float64)
    x = torch.tensor([[50.5, 0.2], [49.0, 1.0]], dtype=torch.float64)
    alpha, sigma = torch.tensor([0.5, 0.5], dtype=torch.float64), torch.tensor([0.8, 1.5], dtype=torch.float64)
    normal = torch.distributions.Normal(alpha[:, None, None] * points, sigma[:, None, None])
    torch.testing.assert_close(log_kernel(x, points, alpha, sigma), normal.log_prob(x[:, None]).sum(-1))


def test_the_marginal_is_a_mean_over_the_points_of_the_class() -> None:
    kernel = torch.tensor([[0.0, 1.0, 2.0, 3.0]], dtype=torch.float64)
    labels = torch.tensor([0, 1, 0, 1])
    for label, kept in ((0, (0.0, 2.0)), (1, (1.0, 3.0))):
        found = float(log_marginal(of_class(kernel, torch.tensor([label]), labels)))
        assert math.isclose(found, math.log(sum(map(math.exp, kept)) / 2), rel_tol=1e-12)


def test_a_point_agrees_with_every_token_that_is_shown() -> None:
    """Three tokens of 0 and 1; 2 is hidden."""
    points = torch.tensor([[0, 0, 1], [0, 1, 1], [1, 1, 1]])
    seen = torch.tensor([[0, 2, 1], [2, 1, 1], [2, 2, 2], [1, 0, 0]])
    assert agreeing(seen, points, 2).int().tolist() == [[1, 1, 0], [0, 1, 1], [1, 1, 1], [0, 0, 0]]
