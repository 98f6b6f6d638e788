"""Claims of the tutorials, on time laws, weights, monitoring and training: oracles, and what each control breaks."""

from __future__ import annotations

import functools
import math

import pytest
import torch
from scipy import integrate
from torch import Tensor

from reproflow.claims.generator_matching import linear_targets, scope
from reproflow.claims.policy import Context
from reproflow.claims.tutorials import monitoring, times, weights
from reproflow.exact import conditional_losses, three_gaussians
from reproflow.numerics import gauss_rules
from reproflow.theory import time_sampling
from reproflow.theory.paths import get_path

CONTEXT = Context()
LINEAR = get_path("linear")


# TUT-1, TUT-2


def test_the_moments_of_bins_agree_with_adaptive_quadrature() -> None:
    edges = torch.tensor([0.2, 0.45], dtype=torch.float64)
    for power in (1, 2):
        area = integrate.quad(lambda t, k=power: (math.exp(-3 * t) + t) ** k, 0.2, 0.45, epsabs=1e-13)[0]
        assert float(times._moment(edges, power)) == pytest.approx(area / 0.25, rel=1e-12)


def test_the_gain_of_strata_is_the_catalogues_and_what_draws_have() -> None:
    assert [round(1 / times._bins(batch, "")["share"], 1) for batch in (8, 32, 128)] == [13.9, 216.8, 3462.8]
    u = torch.rand(32, 50_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    variance = float(times._loss(time_sampling.stratify(u)).mean(0).var())
    assert variance == pytest.approx(times._bins(32, "")["share"] * times._whole_variance() / 32, rel=0.03)


@pytest.mark.parametrize(("scheme", "excess"), [("antithetic", 1.0), ("low_discrepancy", 7.0)])
def test_the_noisier_schemes_are_so_in_draws_too(scheme: str, excess: float) -> None:
    batch, loss = {
        "antithetic": (2, lambda t: (t - 0.5) ** 2),
        "low_discrepancy": (8, lambda t: 1 + torch.cos(16 * math.pi * t)),
    }[scheme]
    u = torch.rand(batch, 100_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ratio = float(loss(time_sampling.SCHEMES[scheme](u)).mean(0).var() / loss(u).mean(0).var())
    assert ratio - 1 == pytest.approx(excess, rel=0.05)
    assert times.stratified(scheme, "statement", CONTEXT).statistic == pytest.approx(excess, rel=1e-9)


def test_tut_1_sees_strata_that_are_shifted(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = {**time_sampling.SCHEMES, "stratified": lambda u: (time_sampling.stratify(u) + 1e-9).clamp(max=1)}
    monkeypatch.setattr(times, "SCHEMES", moved)
    assert times.stratified("stratified", "statement", CONTEXT).statistic > 1e-11


@pytest.mark.parametrize("case", ["u_squared", "one_minus_u_squared"])
def test_the_closed_means_of_tut_2_agree_with_quadrature(case: str) -> None:
    def loss(u: float) -> float:
        t = u**2 if case == "u_squared" else 1 - (1 - u) ** 2
        return math.exp(-3 * t) + t

    assert times.crowded_mean(case) == pytest.approx(integrate.quad(loss, 0, 1, epsabs=1e-13)[0], rel=1e-12)


def test_the_controls_of_tut_2_break_one_number_each() -> None:
    for control, name in [(times.UNCORRECTED, "E_pi[L/pi]"), (times.UNTRANSLATED, "quarter")]:
        gaps = times._law_gaps("u_squared", control)
        assert {key for key, gap in gaps.items() if gap > 1e-10} == {name}


# TUT-3, TUT-4, TUT-11


def test_each_quadratic_weight_is_known_by_its_share_and_by_where_it_rises() -> None:
    assert "not_representable, data half 0.875" in weights.endpoint_emphasis("t_squared", "statement", CONTEXT).detail
    assert "certified, data half 0.125" in weights.endpoint_emphasis("one_minus_t_squared", "statement", CONTEXT).detail


@pytest.mark.parametrize("path", ["linear", "cosine"])
def test_tut_4_looks_at_the_ratios_it_says(path: str) -> None:
    found = get_path(path).at(weights._at_snr(path)).snr
    torch.testing.assert_close(found, torch.tensor([0.01, 1.0, 25.0, 400.0], dtype=torch.float64), rtol=1e-11, atol=0)


def test_tut_4_sees_a_weighting_on_another_prediction_or_with_another_gamma(monkeypatch: pytest.MonkeyPatch) -> None:
    right = weights.get_weighting
    monkeypatch.setattr(weights, "get_weighting", lambda spec: right(spec, on="eps"))
    assert weights.snr_weights("min_snr on v", "statement", CONTEXT).statistic == math.inf
    monkeypatch.setattr(weights, "get_weighting", lambda spec: right("min_snr:gamma=5.001"))
    assert weights.snr_weights("min_snr on v", "statement", CONTEXT).statistic > 1e-5


def test_the_floor_of_tut_11_is_the_constant_of_loss_1() -> None:
    t, weight = gauss_rules.legendre_on(*monitoring.TIMES, conditional_losses.NODES["t"])
    f = functools.partial(three_gaussians.network, three_gaussians.parameters(0))
    c = LINEAR.at(t)
    constant = weight @ (monitoring.VELOCITY.conditional(f, c) - monitoring.VELOCITY.marginal(f, c))
    assert monitoring.losses("linear", 1.0)[1] == pytest.approx(float(constant), rel=1e-12)


def test_a_scaled_field_is_off_by_the_square_of_the_scale() -> None:
    loss, floor = monitoring.losses("linear", 1.2)
    assert loss - floor == pytest.approx(4 * (monitoring.losses("linear", 1.1)[0] - floor), rel=1e-6)


@pytest.mark.parametrize("case", ["elbo", "snr", "uniform"])
def test_the_controls_of_bil_8_break_one_part_each(case: str) -> None:
    assert linear_targets._weighted_gap(case, "eps", linear_targets.ON_EPS) > 1e-3
    assert linear_targets._weighted_gap(case, "eps", linear_targets.HOLE) < 1e-12
    assert linear_targets._zero_set(case, linear_targets.HOLE) == pytest.approx(0.2, abs=1e-12)
    assert linear_targets._zero_set(case, linear_targets.ON_EPS) == 0
    assert linear_targets._same_loss(case, linear_targets.SCALED) > 1
    assert linear_targets._same_loss(case, linear_targets.HOLE) < 1e-12


def test_training_is_what_gradient_steps_by_hand_are() -> None:
    weighted, reweighted = scope._losses()

    def by_hand(loss, step: float) -> Tensor:
        theta = three_gaussians.parameters(0)
        for _ in range(scope.STEPS):
            theta = theta - step * torch.func.grad(loss)(theta)
        return theta

    torch.testing.assert_close(scope.train(weighted, scope._sgd(0.1))[-1], by_hand(weighted, 0.1))
    torch.testing.assert_close(by_hand(weighted, 0.1), by_hand(reweighted, 0.1 / 3), rtol=1e-12, atol=1e-12)


def test_adams_first_step_has_the_size_of_its_rate_whatever_the_loss_is_multiplied_with() -> None:
    for loss in scope._losses():
        first = scope.train(loss, scope._adam(1e-8, 0.0))[:2].diff(dim=0)
        torch.testing.assert_close(first.abs(), torch.full_like(first, 0.02), rtol=1e-4, atol=0)
