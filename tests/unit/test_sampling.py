"""Samplers: orders of convergence, evaluation counts, and ancestral sampling against enumeration."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from reproflow.learning import sampling
from reproflow.theory.paths import get_path

ORDERS = {"euler": 1, "heun": 2, "rk4": 4}
EVALUATIONS = {"euler": 1, "heun": 2, "rk4": 4}


@pytest.mark.parametrize("solver", sampling.TABLEAUS)
def test_order_of_convergence(solver: str) -> None:
    """dx/dt = x cos t has the solution x0 exp(sin t)."""

    def error(steps: int) -> float:
        times = torch.linspace(0, 2, steps + 1, dtype=torch.float64).tolist()
        x, nfe = sampling.integrate(lambda x, t: x * math.cos(t), torch.ones(1, 1, dtype=torch.float64), times, solver)
        assert nfe == steps * EVALUATIONS[solver]
        return abs(float(x) - math.exp(math.sin(2)))

    assert math.log2(error(40) / error(80)) == pytest.approx(ORDERS[solver], abs=0.1)


@pytest.mark.parametrize("solver", sampling.TABLEAUS)
def test_weights_of_a_tableau_are_consistent(solver: str) -> None:
    tableau = sampling.TABLEAUS[solver]
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


@pytest.mark.parametrize("solver", sampling.TABLEAUS)
def test_a_gaussian_is_transported(solver: str) -> None:
    denoiser, t_range = Gaussian("velocity"), (1e-3, 1 - 1e-3)
    x0 = torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]
    x, nfe = sampling.sample_gaussian(denoiser, x0, None, t_range, solver, 200)
    assert nfe == 200 * EVALUATIONS[solver]
    assert float((x - denoiser.flow(x0, t_range)).abs().max()) < {"euler": 2e-2, "heun": 1e-4, "rk4": 1e-7}[solver]


@pytest.mark.parametrize("solver", ["heun", "rk4"])
def test_a_converted_velocity_is_not_evaluated_at_the_end(solver: str) -> None:
    """Where x1 is predicted, the velocity is 1/(1 - t) stiff: the last step is Euler's, and coarse steps stay tame."""
    denoiser, times = Gaussian("x1"), []
    honest = denoiser.velocity
    denoiser.velocity = lambda x, t, y: (times.append(float(t[0])), honest(x, t, y))[1]
    x0 = torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]
    _, nfe = sampling.sample_gaussian(denoiser, x0, None, (1e-3, 1 - 1e-3), solver, 8)
    assert nfe == len(times) == 7 * EVALUATIONS[solver] + 1
    assert max(times) < 0.9


class Table:
    """A masked denoiser of two tokens over {0, 1, 2}: the exact conditionals of a joint table."""

    def __init__(self, joint: torch.Tensor, path: str) -> None:
        self.joint, self.path, self.device = joint, get_path(path, "masked"), torch.device("cpu")
        self.head = type("Head", (), {"vocabulary": 3, "dim": 2})

    def logits(self, z: torch.Tensor, y: object = None) -> torch.Tensor:
        rows = []
        for first, second in z.tolist():
            given_second = self.joint.sum(1) if second == 3 else self.joint[:, second]
            given_first = self.joint.sum(0) if first == 3 else self.joint[first]
            rows.append(torch.stack([given_second / given_second.sum(), given_first / given_first.sum()]))
        return torch.stack(rows).log()


@pytest.mark.parametrize("path", ["linear", "cosine"])
@pytest.mark.parametrize("steps", [1, 4])
def test_ancestral_sampling_has_the_enumerated_law(path: str, steps: int) -> None:
    """Both tokens unmasked in one step are independent; in different steps they follow the joint."""
    joint = torch.tensor([[0.30, 0.02, 0.05], [0.03, 0.20, 0.05], [0.01, 0.04, 0.30]])
    denoiser = Table(joint, path)
    alpha = denoiser.path(torch.linspace(0, 1, steps + 1, dtype=torch.float64))[0].tolist()
    together = sum((b - a) ** 2 for a, b in itertools.pairwise(alpha))
    wanted = together * torch.outer(joint.sum(1), joint.sum(0)) + (1 - together) * joint
    n = 20000
    z, nfe = sampling.sample_masked(denoiser, n, None, steps, torch.Generator().manual_seed(0))
    found = torch.bincount(3 * z[:, 0] + z[:, 1], minlength=9).view(3, 3) / n
    assert nfe == steps
    assert float(((found - wanted).abs() / (wanted * (1 - wanted) / n).sqrt()).max()) < 4.5


def test_nearest_level() -> None:
    values = torch.linspace(-1, 1, 17)
    x = torch.tensor([[-3.0, -1.0, 0.06, 0.07, 1.0, 9.0]])
    assert sampling.nearest_level(x, values).tolist() == [[0, 0, 8, 9, 16, 16]]
    with pytest.raises(FloatingPointError, match="not finite"):
        sampling.nearest_level(torch.tensor([[torch.nan]]), values)
