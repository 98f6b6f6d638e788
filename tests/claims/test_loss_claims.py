"""Claims on losses and weights: their oracles, and what each control breaks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate

from reproflow.claims import ledger
from reproflow.claims.generator_matching import linear_targets, theorem
from reproflow.claims.losses import integrability, matching, minimisers, scores
from reproflow.claims.policy import Context
from reproflow.exact import conditional_losses, three_gaussians
from reproflow.foundation import registry
from reproflow.numerics import gauss_rules
from reproflow.theory.paths import get_path
from reproflow.theory.targets import get_target

CONTEXT = Context()
LINEAR = get_path("linear")


def at(path: str, *t: float):
    return get_path(path).at(torch.tensor(t, dtype=torch.float64))


@pytest.mark.parametrize(
    ("id", "kind"),
    [
        ("LOSS-2", "path"),
        ("LOSS-3", "path"),
        ("LOSS-4", "path"),
        ("LOSS-6", "path"),
        ("BIL-7", "path"),
        ("BIL-8", "weighting"),
    ],
)
def test_claims_take_in_everything_registered(id: str, kind: str) -> None:
    (entry,) = ledger.find([id])
    words = {word for case in entry.meta["claim"].cases() for word in case.split(", ")}
    assert words >= {noun.name for noun in registry.entries(kind, "gaussian")}


# The two quadratures


def test_pairs_of_nodes_left_out_weigh_nothing() -> None:
    _, weights = gauss_rules.tensors(gauss_rules.hermite(conditional_losses.NODES["z"]))
    pairs = torch.outer(weights, weights)
    assert float(pairs[pairs <= conditional_losses.LEAST].sum()) < 1e-20


def test_the_posterior_mean_of_squared_noise_agrees_with_bayes_rule_by_quadrature() -> None:
    c = at("cosine", 0.6)
    x = 0.7

    def joint(z: float) -> float:
        data = (three_gaussians.MIXTURE.weights / three_gaussians.MIXTURE.stds) @ torch.exp(
            -0.5 * ((z - three_gaussians.MIXTURE.means[:, 0]) / three_gaussians.MIXTURE.stds) ** 2
        )
        eps = (x - float(c.alpha) * z) / float(c.sigma)
        return float(data) * math.exp(-0.5 * eps**2)

    def noise(z: float) -> float:
        return ((x - float(c.alpha) * z) / float(c.sigma)) ** 2

    total, squared = (
        integrate.quad(f, -6, 6, epsabs=1e-12, limit=200)[0] for f in (joint, lambda z: noise(z) * joint(z))
    )
    found = conditional_losses.of_noise().mean(torch.tensor([[x]], dtype=torch.float64), c)
    assert float(found) == pytest.approx(squared / total, rel=1e-8)


def test_gradients_of_single_times_add_up_to_those_of_the_whole() -> None:
    problem = conditional_losses.Regression(get_target("eps"), weight=conditional_losses.of_component())
    _, conditional, marginal = conditional_losses.gradients(problem, LINEAR, 0)
    gap = float((conditional - marginal).sum(0).norm() / conditional.sum(0).norm())
    assert gap == pytest.approx(conditional_losses.gaps(problem, LINEAR, 0)[0], rel=1e-10)


@pytest.mark.parametrize("weight", [conditional_losses.of_component(), conditional_losses.of_noise()])
def test_a_weight_and_its_posterior_mean_have_one_mean(weight: conditional_losses.Weight) -> None:
    """E[w] by both quadratures: the losses of a function that is one away from its target everywhere."""
    one = conditional_losses.Regression(get_target("velocity"), lambda prediction, target: 1 + 0 * target, weight)
    c = at("linear", 0.3, 0.8)
    both = [loss(lambda x, t: x, c) for loss in (one.conditional, one.marginal)]
    torch.testing.assert_close(both[0], both[1], rtol=1e-12, atol=0)


# LOSS-2, LOSS-3, LOSS-4


def test_the_weight_of_loss_2_is_the_one_it_says() -> None:
    t, x = torch.tensor([[[0.5]]], dtype=torch.float64), torch.linspace(-2, 2, 5, dtype=torch.float64).view(1, 1, -1)
    nodes = conditional_losses.Nodes(t, torch.zeros(1, 1, dtype=torch.long), x, x)
    torch.testing.assert_close(matching.state_weight().at(nodes), 1.5**3 * torch.exp(-(x**2) / 4))


@pytest.mark.parametrize("control", [matching.ON_Z, matching.ON_EPS])
def test_loss_2_controls_break_the_gradient_itself(control: str) -> None:
    problem = {matching.ON_Z: conditional_losses.of_component, matching.ON_EPS: conditional_losses.of_noise}[control]()
    assert (
        conditional_losses.gaps(conditional_losses.Regression(get_target("velocity"), weight=problem), LINEAR, 0)[0]
        > 0.1
    )


def test_the_marginal_score_of_loss_3_is_the_gradient_of_the_log_density() -> None:
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None].requires_grad_()
    c = at("vp", 0.7).map(lambda value: value.expand(9))
    (gradient,) = torch.autograd.grad(three_gaussians.MIXTURE.log_density(x, c).sum(), x)
    torch.testing.assert_close(three_gaussians.MIXTURE.score(x.detach(), c), gradient, rtol=1e-12, atol=1e-12)


def test_loss_3_sees_a_slightly_wrong_score(monkeypatch: pytest.MonkeyPatch) -> None:
    right = type(three_gaussians.MIXTURE).score
    monkeypatch.setattr(type(three_gaussians.MIXTURE), "score", lambda self, x, c: right(self, x, c) * (1 + 1e-8))
    assert scores.sm_equals_csm("linear, w = 1", "statement", CONTEXT).statistic > 1e-9


def test_the_printed_sign_turns_the_gain_and_a_dropped_factor_does_not() -> None:
    assert scores._gain("linear", scores.PRINTED) == pytest.approx(2, abs=1e-12)
    assert scores._gain("linear", scores.UNSCALED) < 1e-12
    c = at("linear", 0.2, 0.6)
    assert scores._forms(c, scores.UNSCALED) == pytest.approx(1 - 0.4**2, abs=1e-12)


# LOSS-6


def test_the_restricted_fit_is_weighted_least_squares() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y, weight = (torch.rand(20, generator=generator, dtype=torch.float64) for _ in range(3))
    line = np.polynomial.Polynomial.fit(x.numpy(), y.numpy(), 1, w=weight.sqrt().numpy())
    found = minimisers.linear_fit(weight, x[:, None], y[:, None])[:, 0]
    np.testing.assert_allclose(found, line(x.numpy()), rtol=1e-10)


def test_the_newton_step_finds_the_minimum_and_leaves_what_has_no_weight() -> None:
    nodes = minimisers._nodes("linear")
    target, table = get_target("x1"), torch.ones(5, dtype=torch.float64)
    start = torch.zeros_like(nodes.x)
    (found,) = minimisers._newton(target, nodes, torch.ones(1, len(nodes.x), dtype=torch.float64), table, start)
    torch.testing.assert_close(found, nodes.posterior @ minimisers.POINTS, rtol=1e-11, atol=1e-11)
    (kept,) = minimisers._newton(target, nodes, torch.zeros(1, len(nodes.x), dtype=torch.float64), table, start)
    assert torch.equal(kept, start)


def test_a_wrong_conversion_is_another_minimiser(monkeypatch: pytest.MonkeyPatch) -> None:
    right = minimisers.convert
    monkeypatch.setattr(minimisers, "convert", lambda *a: right(*a) * (1 + 1e-8))
    assert minimisers.one_minimiser("linear", "statement", CONTEXT).statistic > 1e-9


# LOSS-7


def test_the_closed_forms_of_loss_7_are_the_numbers_of_the_catalogue() -> None:
    vp = integrability.CASES["loss of vp_sigma_t"].closed
    assert [round(vp(d), 2) for d in (1e-1, 1e-2, 1e-4, 1e-8)] == [1.47, 2.65, 4.95, 9.56]
    snr = integrability.CASES["mean of inv_snr"].closed
    assert [float(f"{snr(d):.3g}") for d in (1e-1, 1e-2, 1e-3)] == [5.29, 90.8, 986]
    assert round(snr(1e-4)) == 9982


def test_the_linear_beta_loss_agrees_with_quadrature_over_time() -> None:
    def squared_angular_speed(t: float) -> float:
        c = at("vp", t)
        return float((c.dalpha / c.sigma) ** 2)

    expected = integrate.quad(squared_angular_speed, 0, 0.9, epsrel=1e-9)[0]
    assert integrability._vp(0.1) == pytest.approx(expected, rel=1e-8)


def test_every_loss_7_control_is_finite() -> None:
    for case in integrability.CASES:
        for control in integrability._controls(case):
            assert "(finite)" in integrability.infinite(case, control, CONTEXT).detail


# BIL-7, BIL-8, BIL-12


@pytest.mark.parametrize(
    "name", [linear_targets.POLAR, linear_targets.SINH, linear_targets.FRAME, linear_targets.DATA_POINT]
)
def test_charts_lead_back_to_the_velocity(name: str) -> None:
    problem, c, conditional = linear_targets.flow_problem("linear")
    chart = linear_targets._chart(name, problem, c)
    torch.testing.assert_close(chart.back(chart.of(conditional)), conditional, rtol=1e-9, atol=1e-9)


def test_the_data_chart_gives_the_data() -> None:
    problem, c, conditional = linear_targets.flow_problem("vp")
    found = linear_targets._chart(linear_targets.DATA_POINT, problem, c).of(conditional)
    torch.testing.assert_close(found, linear_targets.DATA.expand_as(found), rtol=1e-8, atol=1e-8)


def test_coordinates_that_are_not_linear_have_another_minimiser() -> None:
    problem, c, conditional = linear_targets.flow_problem("linear")
    for name in (linear_targets.POLAR, linear_targets.SINH):
        chart = linear_targets._chart(name, problem, c)
        mean = torch.einsum("nz,nzd->nd", problem.joint, chart.of(conditional))
        assert float((chart.back(mean[:, None])[:, 0] - problem.marginal).abs().max()) > 0.1


def test_bil_7_sees_a_slightly_wrong_posterior_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    right = linear_targets.posterior_mean
    monkeypatch.setattr(linear_targets, "posterior_mean", lambda *a: right(*a) * (1 + 1e-7))
    assert linear_targets.linear_prediction("x1, linear", "statement", CONTEXT).statistic > 1e-9


# A weight of time cancels at each t: what can break LOSS-6, BIL-8 and BIL-2, and what cannot


@pytest.mark.parametrize("weight", ["steep", "hole"])
def test_a_wild_weight_of_time_changes_nothing_and_one_with_a_hole_is_noticed(
    weight: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def steep(t: torch.Tensor) -> torch.Tensor:
        return torch.exp(25 * t)

    def hole(t: torch.Tensor) -> torch.Tensor:
        return torch.where((t > 0.3) & (t < 0.5), 0.0, 1.0).double()

    for module in (minimisers, linear_targets, theorem):
        monkeypatch.setattr(module, "wild", {"steep": steep, "hole": hole}[weight])
    found = {
        "LOSS-6": minimisers.one_minimiser("linear", "statement", CONTEXT).statistic < 1e-10,
        "BIL-8": linear_targets.diffusion_prediction(linear_targets.WILD, "statement", CONTEXT).statistic < 1e-12,
        "BIL-2": theorem.equal_gradients("flow: squared", "statement", CONTEXT).statistic < 1e-12,
    }
    # Equal gradients need no positive weight; one minimiser and identification do.
    assert found == {"LOSS-6": weight == "steep", "BIL-8": weight == "steep", "BIL-2": True}


def test_the_wild_weight_spans_twelve_decades_and_more_than_one_swing() -> None:
    w = minimisers.wild(torch.linspace(0.1, 0.9, 801, dtype=torch.float64)).log10()
    assert float(w.max()) > 5.99
    assert float(w.min()) < -5.99
    assert int((w[1:-1] > torch.maximum(w[:-2], w[2:])).sum()) >= 4
