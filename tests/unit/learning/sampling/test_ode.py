"""Solvers of the flow: orders of convergence, evaluation counts, and the base they start from."""

from __future__ import annotations

import math

import pytest
import torch
from exact_mixtures import DOUBLE, exact, one_dimension

from reproflow.learning.sampling import ode, sde
from reproflow.theory.paths import get_path

ORDERS = {"euler": 1, "heun": 2, "rk4": 4}
EVALUATIONS = {"euler": 1, "heun": 2, "rk4": 4}


@pytest.mark.parametrize("solver", ode.TABLEAUS)
def test_order_of_convergence(solver: str) -> None:
    """dx/dt = x cos t has the solution x0 exp(sin t)."""

    def error(steps: int) -> float:
        times = torch.linspace(0, 2, steps + 1, dtype=torch.float64).tolist()
        x, nfe = ode.integrate(lambda x, t: x * math.cos(t), torch.ones(1, 1, dtype=torch.float64), times, solver)
        assert nfe == steps * EVALUATIONS[solver]
        return abs(float(x) - math.exp(math.sin(2)))

    assert math.log2(error(40) / error(80)) == pytest.approx(ORDERS[solver], abs=0.1)


@pytest.mark.parametrize("solver", ode.TABLEAUS)
def test_weights_of_a_tableau_are_consistent(solver: str) -> None:
    tableau = ode.TABLEAUS[solver]
    assert sum(tableau.b) == pytest.approx(1)
    for c, row in zip(tableau.c, tableau.a, strict=True):
        assert sum(row) == pytest.approx(c)


class Gaussian:
    """The exact denoiser of N(mean, std²) data: its flow is an affine map, known in closed form."""

    def __init__(self, target: str, mean: float = 1.0, std: float = 0.3) -> None:
        from reproflow.theory.targets import get_target

        self.path, self.target, self.mean, self.std = get_path("cosine"), get_target(target), mean, std

    def velocity(self, x: torch.Tensor, t: torch.Tensor, y: object) -> torch.Tensor:
        c = self.path.at(t.double())
        variance = c.alpha**2 * self.std**2 + c.sigma**2
        slope = (c.alpha * c.dalpha * self.std**2 + c.sigma * c.dsigma) / variance
        return (c.dalpha * self.mean)[:, None] + slope[:, None] * (x - (c.alpha * self.mean)[:, None])

    def flow(self, x0: torch.Tensor, t_range: tuple[float, float]) -> torch.Tensor:
        """x at the end: quantiles are kept, so standardised distance to the mean is."""
        start, end = (self.path(torch.tensor(t, dtype=torch.float64)) for t in t_range)
        scale = [torch.sqrt(alpha**2 * self.std**2 + sigma**2) for alpha, sigma in (start, end)]
        return end[0] * self.mean + (x0 - start[0] * self.mean) * scale[1] / scale[0]


@pytest.mark.parametrize("solver", ode.TABLEAUS)
def test_a_gaussian_is_transported(solver: str) -> None:
    denoiser, t_range = Gaussian("velocity"), (1e-3, 1 - 1e-3)
    x0 = torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]
    x, nfe = ode.sample_gaussian(denoiser, x0, None, t_range, solver, 200)
    assert nfe == 200 * EVALUATIONS[solver]
    assert float((x - denoiser.flow(x0, t_range)).abs().max()) < {"euler": 2e-2, "heun": 1e-4, "rk4": 1e-7}[solver]


@pytest.mark.parametrize("solver", ["heun", "rk4"])
def test_a_converted_velocity_is_not_evaluated_at_the_end(solver: str) -> None:
    """Where x1 is predicted, the velocity is 1/(1 - t) stiff: the last step is Euler's, and coarse steps stay tame."""
    denoiser, times = Gaussian("x1"), []
    honest = denoiser.velocity
    denoiser.velocity = lambda x, t, y: (times.append(float(t[0])), honest(x, t, y))[1]
    x0 = torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]
    _, nfe = ode.sample_gaussian(denoiser, x0, None, (1e-3, 1 - 1e-3), solver, 8)
    assert nfe == len(times) == 7 * EVALUATIONS[solver] + 1
    assert max(times) < 0.9


@pytest.mark.parametrize("solver", ["heun", "sde"])
def test_the_base_is_what_unit_data_have_become(solver: str) -> None:
    """Between inner times the linear path's marginal of N(0, 1) data has variance t² + (1 - t)²; so has the sample."""
    denoiser, t_range = exact(one_dimension((1.0, 0.0, 1.0)), "linear", "velocity"), (0.3, 0.6)
    x0 = torch.tensor([[1.0]], dtype=DOUBLE)
    if solver == "sde":
        x, _ = sde.sample_sde(denoiser, lambda k: x0 if k == 0 else 0 * x0, None, t_range, 400, 0.0)
    else:
        x, _ = ode.sample_gaussian(denoiser, x0, None, t_range, solver, 100)
    assert float(x) == pytest.approx(math.hypot(0.6, 0.4), rel=2e-3)
