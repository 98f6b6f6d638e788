"""The exact denoiser: the posterior mean by quadrature over the data, whatever its target and mixture."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from reproflow.exact import three_gaussians
from reproflow.exact.mixture import Mixture
from reproflow.learning.networks.exact_denoiser import exact_denoiser

ONE = Mixture(torch.ones(1).double(), torch.tensor([[2.0]]).double(), torch.tensor([0.5]).double())
X = torch.tensor([[-1.0], [0.3], [1.9]], dtype=torch.float64)
T = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)


def posterior_mean(mixture: Mixture) -> Tensor:
    """E[x1 | x_t = X] on the linear path, by the trapezoid rule over x1."""
    z = torch.linspace(-8, 8, 8001, dtype=torch.float64)
    normal = torch.distributions.Normal(mixture.means, mixture.stds[:, None])
    law = (mixture.weights[:, None] * normal.log_prob(z).exp()).sum(0)
    weight = law * torch.distributions.Normal(T[:, None] * z, 1 - T[:, None]).log_prob(X).exp()
    return (weight @ z / weight.sum(1))[:, None]


@pytest.mark.parametrize("target", ["velocity", "x1", "eps", "v", "score"])
@pytest.mark.parametrize("mixture", [three_gaussians.MIXTURE, ONE], ids=["three", "one"])
def test_it_is_the_posterior_mean(target: str, mixture: Mixture) -> None:
    found = exact_denoiser("linear", target, mixture)
    x1 = posterior_mean(mixture)
    torch.testing.assert_close(found.x1(X, T), x1, rtol=1e-9, atol=1e-9)
    eps = (X - T[:, None] * x1) / (1 - T[:, None])
    torch.testing.assert_close(found.velocity(X, T), x1 - eps, rtol=1e-8, atol=1e-8)
