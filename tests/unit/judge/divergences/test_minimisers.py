"""What a divergence's minimiser is, against scipy, and what is made of it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import optimize

from reproflow.exact.matching import Problem
from reproflow.judge.divergences import judgement, measurements, minimisers, scaled_loss
from reproflow.theory.divergences import get_divergence


class TestMinimiser:
    @pytest.mark.parametrize(
        "loss",
        [
            lambda a, b: (a - b) ** 2,
            lambda a, b: np.abs(a - b),
            lambda a, b: np.log(np.cosh(a - b)),
            lambda a, b: (np.log(a) - np.log(b)) ** 2,
            lambda a, b: np.where(a > b, 0.8, 0.2) * np.abs(a - b),
        ],
    )
    def test_against_scipy(self, loss: Callable) -> None:
        """One node with four targets on a line: scipy's bounded search from many brackets finds the same minimum."""
        # The fifth, which is impossible, is none of them.
        targets, weights = np.array([0.5, 0.8, 2.0, 3.5, 90.0]), np.array([0.3, 0.25, 0.35, 0.1, 0.0])
        one = torch.ones(1, 1, dtype=torch.float64)
        target = torch.from_numpy(targets).view(1, 5, 1)
        problem = Problem("test", "positive", one[0], one, torch.from_numpy(weights)[None], target)

        def tensors(a: torch.Tensor, b: torch.Tensor, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(loss(a.detach().numpy(), b.detach().numpy()))[:, 0] + 0 * b[:, 0]

        found = minimisers.minimiser(problem, tensors)

        def cost(b: float) -> float:
            return float((weights * loss(targets, np.array(b))).sum())

        pairs = itertools.pairwise(np.linspace(0.3, 4, 60))
        local = [optimize.minimize_scalar(cost, bounds=p, method="bounded", options={"xatol": 1e-11}) for p in pairs]
        best = min(local, key=lambda each: each.fun)
        assert found.inside
        assert float(found.value) == pytest.approx(best.x, abs=2e-6)
        assert float(found.spread) == 3.0

    def test_the_loss_is_lower_at_one_node(self) -> None:
        """Where the value is the median, by the mean absolute deviation from it; at the means it is not lower."""
        problem, loss = measurements.problem("real"), scaled_loss.Scaled(get_divergence("l1"), "real")
        one = problem.marginal.clone()
        median = minimisers.minimiser(problem, loss)
        node = int((median.value - one).abs().sum(1).argmax())
        one[node] = median.value[node]
        assert minimisers.Minimiser(one, median.spread, True).improves(problem, loss) > 1e-3
        assert minimisers.Minimiser(problem.marginal, median.spread, True).improves(problem, loss) == 0

    @pytest.mark.parametrize("domain", ["positive", "real"])
    def test_curvature_is_the_hessians(self, domain: str) -> None:
        """A quadratic form's: the least eigenvalue of its matrix with a unit diagonal."""
        matrix = torch.tensor([[2.0, 0.5, 0.1], [0.5, 1.0, 0.3], [0.1, 0.3, 5.0]], dtype=torch.float64)

        def loss(a: torch.Tensor, b: torch.Tensor, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
            return torch.einsum("bi,ij,bj->b", a - b, matrix, a - b)

        scale = np.diag(matrix.numpy()) ** -0.5
        expected = np.linalg.eigvalsh(scale[:, None] * matrix.numpy() * scale).min()
        assert measurements.curvature(loss, domain) == pytest.approx(expected, rel=1e-9)

    def test_units_keep_verdicts(self) -> None:
        """l(k a, k b) is judged as l is, whatever k: here by hand."""
        for unit in (1.0, 0.01, 30.0):
            found = measurements.facts(scaled_loss.Scaled(get_divergence("pearson"), "positive", unit), "positive")
            assert found.name == "root mean square"
            assert found.gap > 0.1
            assert math.isfinite(found.gap)


class TestVerdict:
    """Of facts about the squared error, changed in one number."""

    @pytest.fixture(scope="class")
    def facts(self) -> measurements.Facts:
        found = measurements.facts(scaled_loss.Scaled(get_divergence("squared"), "real"), "real")
        assert judgement._minimum(found) == ("mean", "")
        return found

    def test_a_lower_loss_elsewhere_refutes(self, facts: measurements.Facts) -> None:
        target, because = judgement._minimum(replace(facts, improves=1e-3))
        assert target is None
        assert "a prediction that is not the posterior mean has a lower loss" in because

    @pytest.mark.parametrize(("name", "target"), [("mean", "mean"), ("1.0001 times the mean", "1.0001 times the mean")])
    def test_a_small_slope_is_allowed_where_the_mean_is_found(
        self, facts: measurements.Facts, name: str, target: str
    ) -> None:
        slope = replace(facts.slope, residual=0.5 * judgement.NEARLY)
        found, because = judgement._minimum(replace(facts, slope=slope, name=name))
        assert (found, bool(because)) == (target, name != "mean")
