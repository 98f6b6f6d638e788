"""BIL-2 to BIL-6 and BIL-9: what each control breaks, and which mistakes pass where the problem is chosen badly."""

from __future__ import annotations

import pytest
import torch

from reproflow.claims.generator_matching import components, converse, identification, jumps, theorem
from reproflow.claims.policy import Context, decide, row_ok, run_claim
from reproflow.exact import ctmc, flows, manifold, matching
from reproflow.exact.minimiser import loss_derivatives
from reproflow.foundation import registry
from reproflow.theory.divergences import get_divergence

CONTEXT = Context()


def ones(found: matching.Comparison) -> torch.Tensor:
    return torch.ones(1, len(found.floor), dtype=torch.float64)


def test_every_divergence_and_process_has_its_row():
    cases = set(registry.get("claim", "BIL-2", "any").meta["claim"].cases())
    for name in ("flow", "diffusion score", "jump", "edit", "sphere", "torus"):
        assert f"{name}: mahalanobis" in cases
    assert "edit: itakura_saito" in cases
    assert "flow: kl_rates" not in cases
    assert "jump: l1" not in cases


@pytest.mark.parametrize("process", ["gaussian", "masked"])
def test_all_registered_weights_and_laws_take_part(process):
    weights = theorem.time_weights(process, (0.1, 0.5, 0.8))
    pairs = len(registry.entries("weighting", process)) * len(registry.entries("time", process))
    assert weights.shape == (pairs + 1, 3)  # and one like no other
    assert bool((weights > 0).all())


def test_a_weight_that_vanishes_between_the_times_is_left_out():
    names = ("uniform", "expr:(t<0.3)+(t>0.4)", "expr:t-0.5")
    assert theorem._time_weights("gaussian", (0.1, 0.8), names, ("uniform",)).shape == (1, 2)


def test_l1_has_no_power_where_predictions_lie_outside_the_targets():
    problem, l1 = flows.problem(nodes=5), get_divergence("l1")
    theta = matching.parameters(problem, 1)
    inside = matching.compare(problem, l1, theta)
    outside = matching.compare(problem, l1, theta, predict=lambda p, theta: matching.predict(p, theta) + 100)
    assert float(inside.gradient_gaps(ones(inside))) > 0.1
    assert float(outside.gradient_gaps(ones(outside))) < 1e-12
    # So the problem is chosen such that predictions do lie among the targets.
    b = matching.predict(problem, theta)
    among = (b > problem.target.amin(1)) & (b < problem.target.amax(1))
    assert float(among.double().mean()) > 0.3


def test_losses_that_pass_gradient_equality_and_must_not_be_identified():
    problem = ctmc.problem()
    theta = matching.parameters(problem, 0)
    for loss in (
        lambda a, b, t, x: -(a - b).square().sum(1),
        lambda a, b, t, x: -(a * b.log()).sum(1),
    ):
        found = matching.compare(problem, loss, theta)
        assert float(found.gradient_gaps(ones(found))) < 1e-14
    case = "kl_rates: minimum at the target"
    for control in (converse.NEGATED, converse.DROPPED):
        measured = converse.only_bregman(case, control, CONTEXT)
        assert decide("exact", measured, 1e-9)[0] == "refuted"
        assert "not identified" in measured.detail


def test_the_prior_keeps_the_mass_of_every_node():
    problem = manifold.problem("sphere", n=4)
    wrong = theorem.with_prior(problem)
    assert torch.allclose(wrong.joint.sum(1), problem.joint.sum(1))
    rows = wrong.joint / wrong.joint.sum(1, keepdim=True)
    assert torch.allclose(rows, rows[:1].expand_as(rows))


@pytest.mark.parametrize("process", ["flow", "jump"])
def test_the_prior_control_changes_the_target_and_not_the_network(process):
    problem, squared = theorem._problem(process), get_divergence("squared")
    found = theorem._compare(problem, squared, theorem.PRIOR)
    prediction = matching.predict(problem, matching.parameters(problem, 0))
    prior = problem.joint.sum(0) / problem.joint.sum()
    wrong = torch.einsum("z,nzd->nd", prior, problem.target)
    expected = problem.joint.sum(1) * (wrong - prediction).square().sum(1)
    assert float(found.marginal.sum()) == pytest.approx(float(expected.sum()), rel=1e-12)
    assert float(found.conditional.sum()) == pytest.approx(
        float(theorem._compare(problem, squared, "statement").conditional.sum()), rel=1e-12
    )


def test_expectations_follow_the_registry():
    expected = registry.get("claim", "BIL-4", "any").meta["claim"].expectation
    assert expected("l1: equal gradients") == "refuted"
    assert expected("l1: minimum at its functional") == "supported"
    assert expected("kl_rates: affine in the target") == "supported"
    assert sum(1 for _ in converse._Expected()) == len(converse._Expected()) == 14


@pytest.mark.parametrize(
    ("variant", "identified", "minimiser", "arrival"),
    [
        ("statement", True, False, False),
        (identification.WEIGHT, True, True, True),
        (identification.DEGENERATE, False, True, True),
        (identification.NEGATED, False, False, False),
    ],
)
def test_what_the_controls_of_the_minimiser_break(variant, identified, minimiser, arrival):
    parts, words = identification.minimum_parts("kl_rates", variant)
    assert words == ("identified" if identified else "not identified")
    assert (parts["minimiser"] > 1e-4, parts["arrival"] > 1e-4) == (minimiser, arrival)


def test_left_out_times_are_said_to_be_not_identified():
    rows = run_claim(registry.get("claim", "BIL-5", "any"), CONTEXT)
    assert len(rows) == 3
    assert all(row_ok(row) for row in rows)
    for row in rows:
        assert row["reason"].startswith("not identified: excess loss 0,")
        assert row["statistic"] > 1e-3
        assert row["reason"].count("(identified") == 2


def test_left_out_times_are_undecided_where_newton_finds_no_minimum(monkeypatch):
    monkeypatch.setattr(identification, "minimise", lambda problem, loss, weight, start, steps: start)
    measured = identification.left_out_times(identification.HOLE, "statement", CONTEXT)
    assert decide("exact", measured, 1e-10) == ("inconclusive", measured.detail)
    assert measured.detail.startswith("no minimiser")


def test_one_posterior_too_small_moves_one_part_only():
    right = components.compare_parts("squared", "kl_rates", "statement")
    wrong = components.compare_parts("squared", "kl_rates", components.OWN)
    assert torch.allclose(right.conditional_gradient, wrong.conditional_gradient)
    assert float(wrong.gradient_gaps(ones(wrong))) > 0.01


def test_dropped_sum_leaves_gradients_equal_but_not_stationary():
    problem = ctmc.problem()
    slope = loss_derivatives(
        problem, lambda a, b, t, x: -(a * b.log()).sum(1), torch.ones_like(problem.t), problem.marginal
    )[0]
    assert torch.allclose(slope, -problem.joint.sum(1, keepdim=True).expand_as(slope))


def test_masked_rates_with_carry_over_add_up_to_the_hazard_of_hidden_tokens():
    x1, z = torch.tensor([[0, 2, 3]]), torch.tensor([[4, 2, 4]])
    p = torch.softmax(torch.randn(1, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64), -1)
    target, predicted = jumps._token_rates(x1, z, p, "statement")
    assert torch.allclose(predicted.sum(-1), torch.tensor([[1.0, 0.0, 1.0]], dtype=torch.float64))
    assert target.nonzero().tolist() == [[0, 0, 0], [0, 2, 3]]
    shown = jumps._token_rates(x1, z, p, jumps.CARRY)[1][0, 1]
    assert float(shown[2]) == 0
    assert float(shown.sum()) == pytest.approx(1 - float(p[0, 1, 2]))
    assert float(jumps._token_rates(x1, z, p, jumps.MASK)[1][0, 0].sum()) == pytest.approx(0.9)
