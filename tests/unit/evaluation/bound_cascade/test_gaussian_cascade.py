"""The cascade of bounds on a Gaussian network, against a problem that can be integrated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import integrate, special, stats
from torch import Tensor
from word_cascade import monotone, random

from reproflow.evaluation.bound_cascade import table
from reproflow.evaluation.bound_cascade.gaussian import Gaussian
from reproflow.exact import posterior
from reproflow.foundation.schema import Cascade
from reproflow.learning.data import ImageData
from reproflow.theory.paths import get_path


@dataclass
class Shrunk:
    """A Gaussian network that answers with the best linear guess of unit-variance data, times 0.8."""

    path: Any
    device: Any = "cpu"

    def x1(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        alpha, sigma = self.path(t.double())
        return (0.8 * (alpha / (alpha**2 + sigma**2))[:, None] * x.double()).float()


class TestGaussian:
    def test_the_gap_of_the_bound_is_the_integral_on_two_points(self) -> None:
        """One pixel, two points ±1: E[x|x_t] = tanh(alpha x/sigma²); by quadrature over x_t and lam."""
        pixels = torch.tensor([[0], [1]], dtype=torch.uint8)
        data = ImageData("pixel", (1, 1, 1), 2, 1, pixels, torch.zeros(2).long(), pixels, torch.zeros(2).long())
        levels = torch.linspace(-3, 6, 37, dtype=torch.float64)
        profile = Gaussian(Shrunk(get_path("cosine")), data).profile(levels, 4000, random("pixel"))

        def excess(lam: float) -> float:
            alpha, sigma = math.sqrt(special.expit(lam)), math.sqrt(special.expit(-lam))
            x, w = np.polynomial.hermite_e.hermegauss(80)
            seen = alpha + sigma * x
            far = (0.8 * alpha * seen - np.tanh(alpha * seen / sigma**2)) ** 2
            return 0.5 * math.exp(lam) * float(w @ far) / math.sqrt(2 * math.pi)

        for index in (0, 12, 24):
            exact = integrate.quad(excess, -6, -float(levels[index]))[0]
            found = profile.path_kl(index)
            assert abs(found.value - exact - profile.prior.value) < 4 * found.se
        # At lam = -6 a mixture of ±alpha and the base differ by about alpha^4/4 less what variance hides: very little.
        assert 0 <= profile.prior.value < 1e-5

    def test_chains_tend_to_the_limit_and_theorem_2_holds(self) -> None:
        values = torch.tensor([[0, 2, 1], [2, 2, 0], [1, 0, 2], [0, 1, 1]], dtype=torch.uint8)
        data = ImageData("few", (1, 1, 3), 3, 1, values, torch.zeros(4).long(), values, torch.zeros(4).long())
        cosine = get_path("cosine")
        rows = table.measure(Gaussian(Shrunk(cosine), data), cosine, Cascade(images=100, steps=(16, 128)))
        last = [row for row in rows if row["quantity"] == "path_kl_steps"][-1]
        error = math.hypot(last["se"], last["reference_se"])
        assert abs(last["value"] - last["reference"]) < 4 * error + 0.02 * last["reference"]
        sums = {row["at"]: row for row in rows if row["quantity"] == "weighted_sum"}
        for name in ("elbo", "sigmoid", "fm", "edm_monotone"):
            assert (sums[name]["verdict"], sums[name]["control_verdict"]) == ("supported", "refuted"), sums[name]
        assert monotone(rows)
        # Near the noise both are next to nothing, and may not be told apart.
        counted = [row["verdict"] for row in rows if row["quantity"] == "data_model_kl"]
        assert counted[0] == "supported"
        assert "refuted" not in counted


def test_kernels_are_densities_and_classes_are_kept_apart() -> None:
    x, points = torch.randn(5, 3, generator=random("x")).double(), torch.randn(4, 3, generator=random("p")).double()
    alpha, sigma = torch.full((5,), 0.6, dtype=torch.float64), torch.full((5,), 0.8, dtype=torch.float64)
    laws = [stats.multivariate_normal(0.6 * p, 0.64 * np.eye(3)) for p in points.numpy()]
    wanted = [[law.logpdf(row) for law in laws] for row in x.numpy()]
    kernel = posterior.log_kernel(x, points, alpha, sigma)
    np.testing.assert_allclose(kernel.numpy(), wanted, rtol=1e-12)
    own = posterior.of_class(kernel, torch.tensor([0, 0, 1, 1, 0]), torch.tensor([0, 1, 0, 1]))
    np.testing.assert_allclose(
        float(posterior.log_marginal(own)[2]), np.log(np.mean(np.exp(np.array(wanted)[2, [1, 3]]))), rtol=1e-12
    )
