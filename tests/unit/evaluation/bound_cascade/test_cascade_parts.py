"""The parts of the cascade one by one: the base's KL, errors of strata, verdicts on divergences, steps and classes."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor
from word_cascade import random

from reproflow.evaluation.bound_cascade import table
from reproflow.evaluation.bound_cascade.chains import data_model_kl
from reproflow.evaluation.bound_cascade.gaussian import Gaussian
from reproflow.evaluation.bound_cascade.profile import Profile
from reproflow.learning.data import ImageData
from reproflow.numerics.statistics import Measured
from reproflow.theory.paths import get_path
from reproflow.theory.weightings import get_weighting

PRIOR = Measured(0.25, 0.02)


def profile() -> Profile:
    """Two strata on three levels, each of length one."""
    levels = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)
    beyond = torch.tensor([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    means, errors = torch.tensor([2.0, 3.0], dtype=torch.float64), torch.tensor([0.3, 0.4], dtype=torch.float64)
    return Profile(levels, beyond, means, errors, PRIOR)


def test_every_gap_holds_the_bases_once_and_errors_add_in_squares() -> None:
    found = [profile().path_kl(level) for level in range(3)]
    assert [each.value for each in found] == pytest.approx([5.25, 3.25, 0.25])
    assert [each.se for each in found] == pytest.approx([math.hypot(0.3, 0.4, 0.02), math.hypot(0.4, 0.02), 0.02])


def test_an_integral_holds_the_base_for_all_of_its_mass() -> None:
    w = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)
    found = profile().weighted(w)
    assert found.value == pytest.approx(0.5 * 5.25 + 0.5 * (5.25 + 3.25) / 2 + 2 * (3.25 + 0.25) / 2)
    terms = profile().terms(w, torch.tensor([1.0], dtype=torch.float64))
    assert sum(term.value for term, _ in terms) == pytest.approx(found.value)
    assert sum(mass for _, mass in terms) == pytest.approx(3.0)


@pytest.mark.parametrize("weighting", ["elbo", "sigmoid"])
def test_the_weighted_loss_is_charged_for_the_base_as_often_as_it_weighs_the_noise_end(
    weighting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, weight = get_path("linear", "masked"), get_weighting(weighting, "masked")
    read = SimpleNamespace(
        levels=torch.linspace(0, 0.5, 5, dtype=torch.float64), prior=PRIOR,
        weighted=lambda w: Measured(1.0, 0.1), read_late=lambda w: Measured(2.0, 0.1),
    )  # fmt: skip
    monkeypatch.setattr(table, "bound_verdict", lambda *_: ("certified", ""))
    sums = [1.0 + 0.1 * k for k in range(8)]
    row = table._weighted_sum(path, weight, read, sums)
    at_noise = float(table._w(path, weight, read.levels)[-1])
    assert at_noise == pytest.approx({"elbo": 1.0, "sigmoid": 0.5}[weighting], abs=2e-3)
    assert row["reference"] == pytest.approx(np.mean(sums) + at_noise * PRIOR.value)
    assert row["reference_se"] == pytest.approx(stats.sem(sums))


def test_a_bound_is_minus_entropy_and_gap(masked_cascade_rows: list[dict[str, Any]]) -> None:
    """E_q L(s) = -H(q) - PKL(s): below minus the entropy, and highest at the noise."""
    entropy = next(row["value"] for row in masked_cascade_rows if row["quantity"] == "entropy")
    gaps, bounds = (
        {row["at"]: row["value"] for row in masked_cascade_rows if row["quantity"] == quantity}
        for quantity in ("path_kl", "elbo")
    )
    assert entropy > 0
    assert len(bounds) == 4
    for at, bound in bounds.items():
        assert bound == pytest.approx(-entropy - gaps[at], rel=1e-12)


def divergence_of(limit: Measured, shares: tuple[float, float] = (0.9, 0.1)) -> dict[str, Any]:
    """Three points in class 0, which the model has evenly, and two in class 1, which it has with these shares."""
    labels, y = torch.tensor([0, 0, 0, 1, 1]), torch.arange(400) // 20 % 2
    even, uneven = torch.tensor([1 / 3] * 3 + [0.0] * 2), torch.tensor([0.0] * 3 + list(shares))
    occupied = torch.where((y == 0)[:, None], even, uneven)
    return data_model_kl("m=0", occupied, y, labels, limit)


EXACT = -0.4 * 0.5 * (math.log(1.8) + math.log(0.2))
"""Two of five points are in class 1."""


def test_classes_weigh_by_their_points() -> None:
    row = divergence_of(Measured(1.0, 0.1))
    assert row["value"] == pytest.approx(EXACT, rel=1e-6)
    assert row["se"] == pytest.approx(0, abs=1e-6)
    assert divergence_of(Measured(1.0, 0.1), (0.5, 0.5))["value"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("above", "se", "verdict"),
    [
        (0.3, 0.1, "supported"),
        (0.2, 0.1, "inconclusive"),
        (-0.2, 0.1, "inconclusive"),
        (-0.3, 0.1, "refuted"),
        (0.01, 0.0, "supported"),
        (-0.01, 0.0, "refuted"),
    ],
)
def test_a_divergence_is_held_to_its_bound_by_an_interval(above: float, se: float, verdict: str) -> None:
    """2.36 errors on either side, as eight replicates have."""
    assert divergence_of(Measured(EXACT + above, se))["verdict"] == verdict


# -- Gaussian ----------------------------------------------------------------------------------------------------------


class Certain:
    """A network that answers 0.7, whatever it sees."""

    path, device = get_path("cosine"), "cpu"

    def x1(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        return torch.full_like(x, 0.7)


def pixel(*labels: int) -> Gaussian:
    """One pixel, black and white."""
    points = torch.tensor([[0], [1]], dtype=torch.uint8)
    y = torch.tensor(labels)
    return Gaussian(Certain(), ImageData("pixel", (1, 1, 1), 2, max(labels) + 1, points, y, points, y))


@pytest.mark.parametrize("lam", [-2.0, 0.0])
def test_what_data_and_base_still_differ_by(lam: float) -> None:
    """KL of the mixture of two normal laws to the standard one, by quadrature."""
    subject = pixel(0, 0)
    alpha, sigma = math.sqrt(1 / (1 + math.exp(-lam))), math.sqrt(1 / (1 + math.exp(lam)))
    points = subject.points.flatten().tolist()

    def integrand(x: float) -> float:
        q = np.mean([stats.norm.pdf(x, alpha * point, sigma) for point in points])
        return float(q * (math.log(q) - stats.norm.logpdf(x)))

    exact = integrate.quad(integrand, -8, 8, limit=200)[0]
    found = subject._prior(lam, 100_000, random(f"prior {lam}"))
    assert exact > 5 * found.se
    assert abs(found.value - exact) < 4 * found.se


def test_at_the_noise_end_each_class_differs_from_the_base_by_itself() -> None:
    """One point a class: a path kept at its last level alone has the log ratio of that point's law to the base's."""
    subject, steps, ends, images = pixel(0, 1), 3, (-2.0, 0.0), 20_000
    told = subject.paths(steps, images, torch.tensor([steps]), random("ends"), ends)[0]
    square = 0.5 * subject.points.square().mean()
    exact = 0.5 * (0.5 + float(square) - 1 - math.log(0.5))
    assert abs(float(told.mean()) - exact) < 4 * float(told.std()) / math.sqrt(images)


def test_a_step_back_is_the_law_between_its_ends() -> None:
    """q(z_j | z_{j+1}, x) by conditioning the joint normal law of the two."""
    subject = pixel(0, 0)
    t, alpha, sigma = subject._levels(4, (-1.5, 1.5))
    z = torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]
    for j in range(4):
        mean, deviation = subject._back(z, torch.zeros(5).long(), t, alpha, sigma, j)
        a, s = alpha.numpy(), sigma.numpy()
        covariance = a[j + 1] / a[j] * s[j] ** 2
        wanted = a[j] * 0.7 + covariance / s[j + 1] ** 2 * (z.numpy() - a[j + 1] * 0.7)
        np.testing.assert_allclose(mean.numpy(), wanted, rtol=1e-6)
        assert float(deviation) == pytest.approx(math.sqrt(s[j] ** 2 - covariance**2 / s[j + 1] ** 2))
