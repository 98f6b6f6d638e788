"""The enumerated chain, the quadrature problems in the plane, and the tools on them, against scipy and brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import integrate, linalg, optimize

from reproflow.exact import components, criterion, ctmc, flows, functionals, matching
from reproflow.exact.empirical import posterior_mean
from reproflow.exact.matching import Problem
from reproflow.exact.minimiser import curvature, loss_derivatives, minimise
from reproflow.theory.divergences import get_divergence
from reproflow.theory.paths import get_path
from reproflow.theory.targets import get_target

DOUBLE = torch.float64


def tensor(values) -> torch.Tensor:
    return torch.tensor(values, dtype=DOUBLE)


@pytest.mark.parametrize("path", ["linear", "cosine", "polynomial"])
def test_conditional_rates_generate_the_conditional_path(path):
    chain, h = ctmc.five_states(path), 1e-5
    t = tensor([0.2, 0.5, 0.8])
    slope = (chain.conditional(t + h) - chain.conditional(t - h)) / (2 * h)
    inflow = torch.einsum("tzx,tzxy->tzy", chain.conditional(t), ctmc.generator(chain.conditional_rates(t)))
    assert torch.allclose(inflow, slope, atol=1e-9)
    assert bool((chain.conditional_rates(t) >= 0).all())


def test_posterior_is_bayes_rule_state_by_state():
    chain, t = ctmc.five_states(), tensor([0.35])
    conditional = chain.conditional(t)[0].numpy()
    for state in range(5):
        weights = [q * conditional[z, state] for z, q in enumerate(chain.prior.tolist())]
        assert np.allclose(chain.posterior(t)[0, state], np.array(weights) / sum(weights), atol=1e-15)


def test_forward_residual_tells_other_rates():
    chain, t = ctmc.five_states("cosine"), tensor([0.2, 0.6])
    rates = chain.marginal_rates(t)
    assert chain.forward_residual(rates, t).abs().max() < 1e-14
    assert chain.forward_residual(1.1 * rates, t).abs().max() > 1e-2


def test_transport_agrees_with_the_matrix_exponential_and_with_scipy():
    chain = ctmc.five_states("cosine")
    edges, start = tensor([0.0, 0.4, 0.7]), chain.base
    constant = chain.marginal_rates(tensor([0.3]))[0]
    moved = ctmc.transport(start, constant.expand(12, -1, -1), edges)
    assert np.allclose(moved, start.numpy() @ linalg.expm(0.7 * ctmc.generator(constant).numpy()), atol=1e-14)

    def slope(t: float, p: np.ndarray) -> np.ndarray:
        # Rates that are not the right ones, so that the answer is not known beforehand; they jump at 0.4.
        factor = 2.0 if t < 0.4 else 0.5
        return factor * p @ ctmc.generator(chain.marginal_rates(tensor([t])))[0].numpy()

    p = start.numpy()
    for low, high in ((0.0, 0.4 - 1e-13), (0.4, 0.7)):
        p = integrate.solve_ivp(slope, (low, high), p, rtol=1e-9, atol=1e-11, method="DOP853").y[:, -1]
    t = ctmc.stage_times(edges)
    rates = torch.where(t < 0.4, 2.0, 0.5)[:, None, None] * chain.marginal_rates(t)
    assert np.allclose(ctmc.transport(start, rates, edges), p, atol=1e-9)


def test_nodes_of_the_chain_hold_its_rates():
    chain, t = ctmc.five_states(), tensor([0.1, 0.6])
    problem = chain.problem(t)
    assert torch.allclose(ctmc.from_others(problem.marginal), chain.marginal_rates(t), atol=1e-14)
    assert torch.allclose(problem.joint.sum(1).view(2, 5), chain.marginal(t), atol=1e-15)
    rates = chain.conditional_rates(t)
    assert problem.target[5 + 3, 2].tolist() == [float(rates[1, 2, 3, y]) for y in (0, 1, 2, 4)]
    assert torch.equal(ctmc.from_others(ctmc.to_others(rates[:, 0]).flatten(0, 1)), rates[:, 0])


def test_graded_times_end_where_they_should():
    t = ctmc.graded(0.1, 0.9, 8)
    assert (len(t), round(float(t[0]), 15), round(float(t[-1]), 15)) == (9, 0.1, 0.9)
    assert torch.allclose((1 - t[1:]) / (1 - t[:-1]), tensor((0.1 / 0.9) ** 0.125).expand(8))


@pytest.mark.parametrize("target", ["velocity", "x1", "eps", "score"])
def test_marginal_targets_in_the_plane_are_the_attention_posterior(target):
    problem = flows.problem(target, "cosine", nodes=4)
    copies = torch.tensor([round(20 * q) for q in flows.PRIOR])
    data = flows.points().repeat_interleave(copies, 0)
    c = get_path("cosine").at(problem.t)
    mean = posterior_mean(problem.x, data, c)
    eps = (problem.x - c.alpha[:, None] * mean) / c.sigma[:, None]
    assert torch.allclose(problem.marginal, get_target(target).of(mean, eps, c), atol=1e-10)


def test_nodes_in_the_plane_are_a_quadrature():
    t = tensor([0.2, 0.5])
    problem = flows.problem(t=t, nodes=40)
    mass = problem.joint.view(2, -1, 5).sum(1)
    assert torch.allclose(mass, tensor(flows.PRIOR).expand(2, 5), atol=1e-8)
    mean = torch.einsum("nz,nd->zd", problem.joint[:1600], problem.x[:1600]) / tensor(flows.PRIOR)[:, None]
    assert torch.allclose(mean, 0.2 * flows.points(), atol=1e-8)


def test_two_parts_share_one_posterior():
    both, alone = components.problem(nodes=3), components.problem(nodes=3, seen=("flow",))
    other = components.problem(nodes=3, seen=("jump",))
    assert torch.allclose(both.joint.sum(1), alone.joint.sum(1))
    assert torch.allclose(both.joint.sum(1), other.joint.sum(1))
    t = tensor([0.1, 0.3, 0.5, 0.7])
    flow = flows.problem(t=t, nodes=3)
    # Summing over the five states gives the flow's own problem back.
    assert torch.allclose(both.joint.view(4, 9, 5, 5).sum(2).view(-1, 5), flow.joint, atol=1e-14)
    assert torch.allclose(alone.marginal.view(36, 5, 6)[:, 2, :2], flow.marginal, atol=1e-13)
    assert not torch.allclose(both.marginal.view(36, 5, 6)[:, 2, :2], flow.marginal, atol=1e-2)
    posterior = other.joint / other.joint.sum(1, keepdim=True)
    assert torch.allclose(posterior.view(4, 9, 5, 5)[:, 0], posterior.view(4, 9, 5, 5)[:, 7])


def small(domain: str = "positive") -> Problem:
    target = tensor([[[0.5, 2.0], [1.5, 0.3], [4.0, 1.0]]])
    return Problem("toy", domain, tensor([0.4]), tensor([[0.2, -0.7]]), tensor([[0.2, 0.45, 0.35]]), target)


@pytest.mark.parametrize("name", ["itakura_saito", "hellinger", "neyman", "pearson"])
def test_newton_finds_scipys_minimum(name):
    problem, divergence, one = small(), get_divergence(name), tensor([1.0])
    functional = functionals.FUNCTIONALS[str(divergence.functional)](problem.joint, problem.target)
    found = minimise(problem, divergence, one, 1.05 * functional, steps=10)

    def value(b: np.ndarray) -> float:
        return float(problem.conditional_loss(torch.from_numpy(b)[None], divergence, one))

    reference = optimize.minimize(
        value, np.array([1.0, 1.0]), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-15}
    )
    assert np.allclose(found[0], reference.x, atol=1e-6)
    assert torch.allclose(found, functional, atol=1e-10)
    assert float(curvature(problem, divergence, one, found).min()) > 1e-3


def test_minimiser_leaves_alone_what_the_weight_does_not_see():
    problem, start = small(), tensor([[3.0, 3.0]])
    squared = get_divergence("squared")
    assert torch.equal(minimise(problem, squared, tensor([0.0]), start), start)
    assert float(curvature(problem, squared, tensor([0.0]), start)) == 0
    gradient, hessian = loss_derivatives(problem, squared, tensor([2.0]), start)
    assert torch.allclose(gradient, 4 * (start - problem.marginal))
    assert torch.allclose(hessian[0], 4 * torch.eye(2, dtype=DOUBLE))


@pytest.mark.parametrize("name", list(functionals.FUNCTIONALS))
def test_functionals_by_brute_force(name):
    problem = small()
    f, p = problem.target[0].numpy(), problem.joint[0].numpy()
    expected = {
        "mean": p @ f,
        "median": np.array([1.5, 1.0]),
        "geometric mean": np.prod(f ** p[:, None], 0),
        "squared mean of the root": (p @ f**0.5) ** 2,
        "root mean square": (p @ f**2) ** 0.5,
        "harmonic mean": 1 / (p @ (1 / f)),
    }[name]
    assert np.allclose(functionals.FUNCTIONALS[name](problem.joint, problem.target)[0], expected)


def test_criterion_on_losses_that_nobody_registered():
    def cubic(a, b, t, x):
        return (a - b).abs().pow(3).sum(1)

    def shifted(a, b, t, x):  # a Bregman divergence plus functions of a: its gradient is the same
        return (1 + t) * (a - b).square().sum(1) + a.sin().sum(1)

    def broken(a, b, t, x):
        return (a - b).sum(1).sqrt()

    assert criterion.affine_in_target(cubic).residual > 0.1
    assert criterion.affine_in_target(shifted).residual < criterion.AFFINE
    assert criterion.affine_in_target(broken).residual == float("inf")
    wide = get_divergence("huber:delta=1000")
    assert criterion.affine_in_target(wide).residual < criterion.AFFINE  # squared wherever it is looked at
    assert criterion.affine_in_target(get_divergence("huber:delta=5")).residual > 1e-3


def test_criterion_names_a_point_where_it_fails():
    found = criterion.affine_in_target(get_divergence("l1"), dim=1)
    assert min(found.a[0], found.other[0]) < found.b[0] < max(found.a[0], found.other[0])
    assert 0 < found.t < 1
    assert len(found.x) == 1


def test_criterion_curvature():
    def flat(a, b, t, x):
        return (a - b).sum(1).square()

    assert criterion.least_curvature(flat) == pytest.approx(0, abs=1e-12)
    assert criterion.least_curvature(lambda a, b, t, x: -(a - b).square().sum(1)) == pytest.approx(-1)
    assert criterion.least_curvature(get_divergence("squared")) == pytest.approx(1)
    assert criterion.stationary_at_target(lambda a, b, t, x: (a - b + 1).square().sum(1)).residual > 0.3


def test_gradients_of_a_comparison_are_those_of_the_losses():
    problem, squared = ctmc.problem(), get_divergence("kl_rates")
    theta = matching.parameters(problem, 3)
    found = matching.compare(problem, squared, theta)
    times = problem.t.unique()
    weights = torch.rand(1, len(times), generator=torch.Generator().manual_seed(0), dtype=DOUBLE)
    at_nodes = weights[0][torch.searchsorted(times, problem.t)]
    moved = theta.clone().requires_grad_()
    for side, gradient in (
        (problem.conditional_loss, found.conditional_gradient),
        (problem.marginal_loss, found.marginal_gradient),
    ):
        direct = torch.autograd.grad(side(matching.predict(problem, moved), squared, at_nodes), moved)[0]
        assert torch.allclose((weights @ gradient)[0], direct, atol=1e-12)


def test_impossible_latents_do_not_show_their_targets():
    possible = small()
    target = torch.cat([possible.target, tensor([[[1e300, -1.0]]])], 1)
    joint = torch.cat([possible.joint, tensor([[0.0]])], 1)
    problem = Problem("toy", "real", possible.t, possible.x, joint, target)
    b = tensor([[1.0, 1.0]]).requires_grad_()
    loss = problem.conditional_loss(b, get_divergence("exponential"), tensor([1.0]))
    assert bool(torch.autograd.grad(loss, b)[0].isfinite().all())
    assert float(loss.detach()) == pytest.approx(
        float(possible.conditional_loss(b.detach(), get_divergence("exponential"), tensor([1.0])))
    )
