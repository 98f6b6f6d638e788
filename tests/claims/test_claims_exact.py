"""The exact claims: verdicts, what each control breaks, and oracles that share no code with the claims."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import pytest
import torch
from scipy import integrate, stats

from reproflow.claims import ledger
from reproflow.claims.bounds import masked_matching as bounds
from reproflow.claims.generator_matching import lemma as generator_matching
from reproflow.claims.losses import conversions
from reproflow.claims.losses import matching as losses
from reproflow.claims.paths import transport, velocity
from reproflow.claims.policy import Context, gate, run_claim
from reproflow.exact import conditional_losses, three_gaussians
from reproflow.foundation import registry
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.paths import forward_path, get_path
from reproflow.theory.targets import get_target
from reproflow.theory.weightings import weighting

CONTEXT = Context()
EXACT = [entry for entry in ledger.find() if entry.meta["claim"].tier == "exact"]


@pytest.mark.parametrize("entry", EXACT, ids=lambda entry: entry.name)
def test_every_exact_claim_is_as_expected_and_its_controls_refuted(entry: registry.Entry) -> None:
    rows = run_claim(entry, CONTEXT)
    assert gate(rows) == 0, [(row["case"], row["verdict"], row["reason"]) for row in rows]


@pytest.mark.parametrize(
    ("id", "kind", "process"),
    [
        ("LOSS-1", "path", "gaussian"),
        ("LOSS-5", "path", "gaussian"),
        ("PATH-3", "path", "gaussian"),
        ("PATH-5", "path", "gaussian"),
        ("BIL-1", "time", "gaussian"),
        ("ST-9", "weighting", "masked"),
    ],
)
def test_claims_cover_what_is_registered(id: str, kind: str, process: str) -> None:
    (entry,) = [entry for entry in EXACT if entry.name == id]
    cases = {case.split()[0] for case in entry.meta["claim"].cases()}
    assert cases >= {noun.name for noun in registry.entries(kind, process)}


# LOSS-1

VELOCITY = conditional_losses.Regression(get_target("velocity"))


def test_the_toy_network_has_the_parameters_it_says() -> None:
    theta = three_gaussians.parameters(0).requires_grad_()
    value = three_gaussians.network(
        theta, torch.linspace(-1, 1, 5, dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64)
    )
    (gradient,) = torch.autograd.grad(value.square().sum(), theta)
    assert theta.shape == (31,)
    assert bool((gradient != 0).all())


def test_cfm_by_quadrature_agrees_with_monte_carlo() -> None:
    theta, c = three_gaussians.parameters(0), get_path("linear").at(torch.tensor(0.6, dtype=torch.float64))
    generator = torch.Generator().manual_seed(0)
    z = three_gaussians.MIXTURE.sample(200_000, generator)
    eps = torch.randn(z.shape, generator=generator, dtype=torch.float64)
    x = (c.alpha * z + c.sigma * eps)[:, 0]
    loss = (three_gaussians.network(theta, x, c.t) - (z - eps)[:, 0]).square()
    error = float(loss.std() / math.sqrt(len(loss)))
    found = VELOCITY.conditional(functools.partial(three_gaussians.network, theta), c.map(lambda value: value[None]))
    assert abs(float(found) - float(loss.mean())) < 5 * error


def test_fm_by_the_trapezoid_rule_agrees_with_adaptive_quadrature() -> None:
    theta, c = three_gaussians.parameters(1), get_path("cosine").at(torch.tensor(0.7, dtype=torch.float64))

    def integrand(x: float) -> float:
        at = torch.tensor([[x]], dtype=torch.float64)
        gap = three_gaussians.network(theta, at[:, 0], c.t) - three_gaussians.MIXTURE.marginal_velocity(at, c)[:, 0]
        return float(three_gaussians.MIXTURE.log_density(at, c).exp() * gap**2)

    expected = integrate.quad(integrand, -9, 9, epsabs=1e-11, epsrel=1e-11, limit=200)[0]
    found = VELOCITY.marginal(functools.partial(three_gaussians.network, theta), c.map(lambda value: value[None]))
    assert float(found) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("control", [losses.L1, losses.WEIGHT, losses.PRIOR])
def test_loss_1_controls_break_the_gradient_itself(control: str) -> None:
    assert losses.fm_cfm_gap("linear", control, 0)[0] > 0.1


@pytest.mark.parametrize("kind", ["t", "z", "x"])
def test_loss_1_quadrature_has_converged(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    finer = {**conditional_losses.NODES, kind: 3 * conditional_losses.NODES[kind] // 2}
    monkeypatch.setattr(conditional_losses, "NODES", finer)
    assert max(losses.fm_cfm_gap("vp", "statement", 1)) < 2e-14


# LOSS-5


def test_a_dropped_factor_is_another_weight_and_a_wrong_x_a_wrong_target() -> None:
    for control, kind in [
        (conversions.SWAPPED, "different weight"),
        (conversions.DROPPED, "different weight"),
        (conversions.WRONG_X, "wrong target"),
    ]:
        assert kind in conversions.conversion_table("linear", control, CONTEXT).detail


def test_the_dropped_factor_is_the_one_over_one_minus_t_squared_of_the_linear_path() -> None:
    t = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    c = get_path("linear").at(t)
    ratio = conversions.TABLE["velocity"][0](c) / conversions.TABLE["x1"][0](c)
    torch.testing.assert_close(ratio, 1 / (1 - t) ** 2, rtol=1e-13, atol=0)


def test_loss_5_sees_a_small_fault_in_the_conversion(monkeypatch: pytest.MonkeyPatch) -> None:
    right = conversions.convert

    def slightly_off(prediction, x, c, source, to):
        return right(prediction, x, dataclasses.replace(c, sigma=c.sigma * (1 + 1e-9)), source, to)

    monkeypatch.setattr(conversions, "convert", slightly_off)
    assert conversions.conversion_table("linear", "statement", CONTEXT).statistic > 1e-12


# PATH-3, PATH-5


def test_the_central_difference_of_straight_lines_is_data_minus_noise() -> None:
    z, eps = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = velocity.central_difference(get_path("linear"), z, eps, torch.full((5,), 0.4, dtype=torch.float64))
    torch.testing.assert_close(found, z - eps, rtol=1e-8, atol=1e-8)


def test_the_missing_dsigma_is_invisible_exactly_where_sigma_is_time() -> None:
    z, eps = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    t = torch.linspace(0.2, 0.8, 4, dtype=torch.float64)
    # 003's own choice in its own time: alpha = sqrt(1 - t²), sigma = t.
    alpha = (1 - t**2).sqrt()
    own = Coefficients(t, alpha, t, -t / alpha, torch.ones_like(t), "gaussian")
    for right, wrong in zip(
        velocity._forms(own, z, eps, "statement"), velocity._forms(own, z, eps, velocity.MISSING), strict=True
    ):
        torch.testing.assert_close(wrong, right, rtol=0, atol=1e-15)
    assert velocity.conditional_velocity("cosine", velocity.MISSING, CONTEXT).statistic > 1


def test_the_continuity_residual_falls_at_order_four_and_a_wrong_field_keeps_its_own() -> None:
    path = get_path("cosine")
    right = [transport.continuity_residual(path, "statement", h, 1e-4) for h in (0.02, 0.01)]
    wrong = [transport.continuity_residual(path, transport.SINE, h, 1e-4) for h in (0.02, 0.01)]
    assert math.log2(right[0] / right[1]) == pytest.approx(4, abs=0.1)
    assert wrong[1] == pytest.approx(wrong[0], rel=0.01)


# BIL-1


@pytest.mark.parametrize("case", ["uniform", "u_squared", generator_matching.MIXED])
def test_bil_1_controls_break_what_they_say_and_nothing_else(case: str) -> None:
    forgotten = generator_matching.lemma_parts(case, generator_matching.FORGET_K)
    assert forgotten["identity"] > 0.1
    assert max(forgotten["mass"], forgotten["unseen length"]) < 1e-13
    for control, unseen in [(generator_matching.GRID, 1.0), (generator_matching.HOLE, 0.2)]:
        parts = generator_matching.lemma_parts(case, control)
        assert parts["unseen length"] == pytest.approx(unseen, abs=1e-12)
        assert max(parts["identity"], parts["mass"]) < 1e-13


def test_bil_1_expectations_agree_with_adaptive_quadrature() -> None:
    def weighted(t: float) -> float:
        return 4 * t**2 * math.exp(-t)

    def both(t: float) -> float:
        return weighted(t) * (math.exp(-3 * t) + t)

    def expect(f) -> float:
        smooth = integrate.quad(lambda t: f(t) * (0.7 + 0.2 * stats.beta.pdf(t, 2, 5)), 0, 1, epsabs=1e-14)[0]
        return smooth + 0.1 * f(0.25)

    law = generator_matching._law(generator_matching.MIXED)
    k = generator_matching._expectation(law, generator_matching._weight)
    assert k == pytest.approx(expect(weighted), rel=1e-12)
    left = generator_matching._expectation(law, lambda t: generator_matching._weight(t) * generator_matching._loss(t))
    assert left == pytest.approx(expect(both), rel=1e-12)
    mass, right = generator_matching._by_cdf(law, generator_matching._weight, k)
    assert mass == pytest.approx(1, abs=1e-13)
    assert right == pytest.approx(expect(both) / expect(weighted), rel=1e-12)


def test_the_reweighted_law_is_the_law_of_accepted_draws() -> None:
    """Rejection sampling: t ~ D kept with probability w(t)/max w has the law D~."""
    u, keep = torch.rand(2, 400_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    t = u**2
    w = generator_matching._weight(t)
    loss = generator_matching._loss(t[keep < w / generator_matching._weight(torch.tensor(1.0))])
    law = generator_matching._law("u_squared")
    total = generator_matching._expectation(law, generator_matching._weight)
    error = float(loss.std() / math.sqrt(len(loss)))
    assert abs(float(loss.mean()) - generator_matching._by_cdf(law, generator_matching._weight, total)[1]) < 5 * error


# ST-9


def test_the_closed_forms_of_st_9_round_to_the_printed_numbers() -> None:
    s = torch.tensor(bounds.NOISE_TIMES, dtype=torch.float64)
    for form, printed in bounds.FORMS.values():
        assert [round(w, 5) for w in form(0.5 * math.pi * (1 - s)).tolist()] == list(printed)


@pytest.mark.parametrize(("on", "function"), [("canonical", "tanh"), ("ce", "cube")])
def test_a_new_masked_weighting_is_held_to_its_own_function(
    on: str, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "BUILT_IN", registry.BUILT_IN.copy())
    functions: dict[str, Any] = {"tanh": lambda t, lam: 2 - torch.tanh(lam), "cube": lambda t, lam: 1 + t**3}

    @weighting("mine", on=on, cite="here")
    def mine(t, lam):
        return functions[function](t, lam)

    (row,) = [r for r in run_claim(registry.get("claim", "ST-9", "any"), CONTEXT) if r["case"] == "mine"]
    assert (row["verdict"], row["control_verdict"]) == ("supported", "refuted")
    assert "its own function" in row["reason"]


def test_st_9_sees_a_schedule_other_than_the_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "forward_path", lambda name, process: forward_path("linear", process))
    assert bounds.masked_matching("fm", "statement", CONTEXT).statistic > 0.1
