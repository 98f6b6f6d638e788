"""The toy network and the differences that claims are checked by."""

from __future__ import annotations

import math

import torch

from reproflow.exact import three_gaussians as toy


def test_the_jacobian_is_that_of_the_network() -> None:
    theta = toy.parameters(3)
    x, t = torch.linspace(-2, 2, 7, dtype=torch.float64), torch.linspace(0.1, 0.9, 7, dtype=torch.float64)
    expected = torch.autograd.functional.jacobian(lambda theta: toy.network(theta, x, t), theta)
    torch.testing.assert_close(toy.jacobian(theta, x, t), expected, rtol=1e-12, atol=1e-12)


def test_the_network_is_the_formula_that_it_states() -> None:
    """u = c + v . tanh(W (x, t, t²) + b), unit by unit."""
    theta = toy.parameters(0).tolist()
    weights, bias, out, constant = theta[:18], theta[18:24], theta[24:30], theta[30]
    x, t = 0.7, 0.6
    hidden = (
        math.tanh(weights[3 * i] * x + weights[3 * i + 1] * t + weights[3 * i + 2] * t**2 + bias[i]) for i in range(6)
    )
    expected = constant + sum(v * h for v, h in zip(out, hidden, strict=True))
    found = toy.network(toy.parameters(0), torch.tensor(x).double(), torch.tensor(t).double())
    assert math.isclose(float(found), expected, rel_tol=1e-6)


def test_differences_are_of_fourth_order() -> None:
    """Exact on polynomials of degree four (five for the second), and off by the fifth derivative on others."""

    def f(s: float) -> torch.Tensor:
        return torch.tensor(1 + 2 * s - 3 * s**2 + 4 * s**3 - 5 * s**4, dtype=torch.float64)

    assert math.isclose(float(toy.difference(f, 0.1)), 2, rel_tol=1e-12)
    assert math.isclose(float(toy.second_difference(f, 0.1)), -6, rel_tol=1e-12)
    off = [float(toy.difference(lambda s: torch.tensor(s, dtype=torch.float64).exp(), h)) - 1 for h in (0.2, 0.1)]
    assert 15 < off[0] / off[1] < 17
