"""Claims on adaptive and data weights, entropy, samplers and gradient noise: oracles, and broken formulas."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor

from reproflow.claims import ledger
from reproflow.claims.errata import equal_losses
from reproflow.claims.losses import adaptive, data_weights, gradient_noise, information, sampler_bounds
from reproflow.claims.policy import STATEMENT, Context, decide
from reproflow.exact import gradient_moments, three_gaussians
from reproflow.exact.minimiser import of_quadratic
from reproflow.exact.mixture import Mixture
from reproflow.theory.paths import forward_path

CONTEXT = Context()


def verdict(id: str, case: str) -> str:
    """The verdict on the statement alone."""
    (entry,) = ledger.find([id])
    claim = entry.meta["claim"]
    return decide(claim.kind, claim.function(case, STATEMENT, CONTEXT), claim.tolerance(case))[0]


def test_the_least_of_a_quadratic_is_where_it_is() -> None:
    at = torch.tensor([1.0, -2.0, 5.0], dtype=torch.float64)
    scale = torch.tensor([1e-6, 1e6, 0.0], dtype=torch.float64)
    found = of_quadratic(lambda x: (scale * (x - at).square()).sum(), torch.full_like(at, 7.0))
    torch.testing.assert_close(found, torch.tensor([1.0, -2.0, 7.0], dtype=torch.float64), rtol=1e-9, atol=0)


# LOSS-8


def test_the_enumerated_batches_have_the_mean_of_drawn_ones() -> None:
    every = adaptive.samples()
    prediction = adaptive._start()
    raw = (every.times / (1 - every.times)).square()[every.time][:, None].expand_as(every.p)
    exact = float(adaptive.batch_loss(every, raw, 3, prediction))
    generator = torch.Generator().manual_seed(0)
    drawn = torch.multinomial(every.p.flatten(), 3 * 100_000, replacement=True, generator=generator).view(-1, 3)
    w, losses = raw.flatten()[drawn], every.losses(prediction).flatten()[drawn]
    values = (w * losses).sum(1) / w.sum(1)
    assert abs(float(values.mean()) - exact) < 5 * float(values.std()) / math.sqrt(len(values))


def test_one_over_ones_own_loss_has_the_gradient_of_the_mean_logarithm() -> None:
    every = adaptive.samples()
    b = adaptive._start().requires_grad_()
    frozen = 1 / (every.losses(b).detach() + adaptive.FLOOR)
    by_weight = torch.autograd.grad((every.p * frozen * every.losses(b)).sum(), b)[0]
    by_logarithm = torch.autograd.grad((every.p * (every.losses(b) + adaptive.FLOOR).log()).sum(), b)[0]
    torch.testing.assert_close(by_weight, by_logarithm, rtol=1e-12, atol=1e-15)


def test_loss_8_sees_a_wrong_effective_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    right = adaptive.effective
    tilt = 1 + 1e-9 * torch.arange(4, dtype=torch.float64)
    monkeypatch.setattr(adaptive, "effective", lambda every, size: right(every, size) * tilt)
    assert verdict("LOSS-8", adaptive.SUM) == "refuted"
    assert verdict("LOSS-8", adaptive.LEARNED) == "supported"


def test_loss_8_sees_weights_that_see_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    right = adaptive._weights

    def leaking(case: str, variant: str, every: adaptive.Samples, losses: Tensor, average: Tensor) -> Tensor:
        return right(case, variant, every, losses, average) * (1 + 1e-8 * losses)

    monkeypatch.setattr(adaptive, "_weights", leaking)
    assert verdict("LOSS-8", adaptive.PAST) == "refuted"


# LOSS-9


def test_the_tilted_mixture_is_the_law_times_the_weight() -> None:
    """By adaptive quadrature, one coordinate at a time: mean of the tilted law on the plane."""
    law, direction = data_weights._law(data_weights.TILT), data_weights.DIRECTION

    def moment(axis: int, power: int) -> float:
        total = 0.0
        for weight, mean, std in zip(
            data_weights.DATA.weights, data_weights.DATA.means, data_weights.DATA.stds, strict=True
        ):
            sides = []
            for each in range(2):
                density = stats.norm(float(mean[each]), float(std)).pdf
                slope, k = float(direction[each]), power if each == axis else 0
                sides.append(integrate.quad(lambda u, f=density, s=slope, k=k: u**k * math.exp(s * u) * f(u), -9, 9)[0])
            total += float(weight) * sides[0] * sides[1]
        return total

    for axis in range(2):
        expected = moment(axis, 1) / moment(axis, 0)
        assert float(law.weights @ law.means[:, axis]) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("case", [data_weights.CLASSES, data_weights.POINTS])
def test_loss_9_sees_a_law_that_is_slightly_off(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = data_weights.COUNTS.clone()
    counts[0] += 1
    right = data_weights._law(data_weights.CLASSES)
    weights = right.weights * torch.tensor([1.0, 1.0, 1 + 1e-7], dtype=torch.float64)
    moved = Mixture(weights / weights.sum(), right.means, right.stds)
    monkeypatch.setattr(data_weights, "_law", lambda case: moved)
    monkeypatch.setattr(
        data_weights, "_enumerated", lambda: (data_weights.PLANE, torch.ones(5).double(), counts.double())
    )
    assert data_weights.data_weights(case, STATEMENT, CONTEXT).statistic > 1e-9


def test_the_grid_of_loss_9_has_converged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_weights, "GRID", 201)
    data_weights._on_grid.cache_clear()
    assert data_weights.data_weights(data_weights.TILT, STATEMENT, CONTEXT).statistic < 1e-12
    data_weights._on_grid.cache_clear()


# LOSS-10


@pytest.fixture
def _fresh_errors():
    information._errors.cache_clear()
    yield
    information._errors.cache_clear()


def test_the_mean_of_directions_is_that_of_their_density() -> None:
    for kappa in (0.5, 3.0, 40.0):
        mean = information.mean_length(torch.tensor([kappa], dtype=torch.float64), 2)
        parts = [
            integrate.quad(lambda a, p=p, k=kappa: math.cos(a) ** p * math.exp(k * (math.cos(a) - 1)), 0, math.pi)[0]
            for p in (0, 1)
        ]
        assert float(mean) == pytest.approx(parts[1] / parts[0], rel=1e-7)
        mean = information.mean_length(torch.tensor([kappa], dtype=torch.float64), 3)
        parts = [integrate.quad(lambda u, p=p, k=kappa: u**p * math.exp(k * (u - 1)), -1, 1)[0] for p in (0, 1)]
        assert float(mean) == pytest.approx(parts[1] / parts[0], rel=1e-7)


@pytest.mark.usefixtures("_fresh_errors")
def test_a_wrong_posterior_costs_its_divergence() -> None:
    q = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    found = information.entropy_by_errors(information.LINE, information.WRONG, CONTEXT).statistic
    assert found == pytest.approx(float((q * (3 * q).log()).sum()), abs=1e-9)
    normal = information.entropy_by_errors("normal, std 3", information.WRONG, CONTEXT).statistic
    assert normal == pytest.approx(math.log(2) + 1 / 8 - 1 / 2, abs=1e-9)


@pytest.mark.usefixtures("_fresh_errors")
@pytest.mark.parametrize("case", [information.LINE, information.MIXTURE, information.SPHERE])
def test_loss_10_sees_an_error_that_is_slightly_off(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = information.ERRORS[case]
    monkeypatch.setitem(information.ERRORS, case, lambda wrong, lam: right(wrong, lam) * (1 + 1e-4))
    assert verdict("LOSS-10", case) == "refuted"


# LOSS-11


def test_the_flow_of_the_ripple_is_that_of_its_velocity() -> None:
    each = sampler_bounds.ripple(5.0, 1.0)
    x1 = np.linspace(-1.5, 1.5, 7)
    start, log_slope = each.inverse(x1)
    found = integrate.solve_ivp(lambda t, x: each.amplitude * np.sin(5 * x), (0, 1), start, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(found.y[:, -1], x1, atol=1e-9)
    slopes = (each.inverse(x1 + 1e-6)[0] - each.inverse(x1 - 1e-6)[0]) / 2e-6
    np.testing.assert_allclose(np.exp(log_slope), slopes, rtol=1e-6)


def test_the_chain_without_its_error_keeps_the_law() -> None:
    assert sampler_bounds.sde_kl(sampler_bounds.ripple(5.0, 0.0)) == pytest.approx(0.0, abs=1e-11)


def test_loss_11_sees_a_flow_that_is_slightly_off(monkeypatch: pytest.MonkeyPatch) -> None:
    right = sampler_bounds.ripple
    monkeypatch.setattr(sampler_bounds, "ripple", lambda k, c: dataclasses.replace(right(k, c), end=1 + 1e-6))
    assert verdict("LOSS-11", sampler_bounds.LIMIT) == "refuted"


def test_loss_11_sees_a_chain_that_is_slightly_off(monkeypatch: pytest.MonkeyPatch) -> None:
    right = sampler_bounds.sde_kl
    monkeypatch.setattr(sampler_bounds, "sde_kl", lambda each: right(each) + 2e-4)
    assert verdict("LOSS-11", sampler_bounds.SDE) == "refuted"


# LOSS-12, E28


def test_the_jacobian_of_the_toy_network_is_that_of_derivatives() -> None:
    theta = three_gaussians.parameters(3).requires_grad_()
    x, t = torch.randn(2, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = [torch.autograd.grad(y, theta, retain_graph=True)[0] for y in three_gaussians.network(theta, x, t)]
    torch.testing.assert_close(
        three_gaussians.jacobian(theta.detach(), x, t), torch.stack(rows), rtol=1e-12, atol=1e-14
    )


def test_the_moments_are_those_of_drawn_gradients() -> None:
    path, theta = forward_path("linear"), three_gaussians.parameters(0)
    generator = torch.Generator().manual_seed(0)
    low, high = three_gaussians.T_RANGE
    c = path.at(low + (high - low) * torch.rand(200_000, generator=generator, dtype=torch.float64))
    z = three_gaussians.MIXTURE.sample(200_000, generator)
    eps = torch.randn(z.shape, generator=generator, dtype=torch.float64)
    x = (c.alpha[:, None] * z + c.sigma[:, None] * eps)[:, 0]
    error = three_gaussians.network(theta, x, c.t) - (c.dalpha[:, None] * z + c.dsigma[:, None] * eps)[:, 0]
    gradients = 2 * error[:, None] * three_gaussians.jacobian(theta, x, c.t)
    found = gradient_moments.moments(gradient_moments.conditional(path), theta)
    assert float(gradients.T.cov().trace()) == pytest.approx(float(found.covariance.trace()), rel=0.02)
    off = (gradients.mean(0) - found.mean) / (found.covariance.diag() / 200_000).sqrt()
    assert float(off.abs().max()) < 5


def test_the_conditional_quadrature_of_loss_12_has_converged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradient_moments, "NODES", 56)
    assert gradient_noise.cost_of_conditioning("vp", STATEMENT, CONTEXT).statistic < 1e-12


def test_loss_12_and_e28_see_a_second_term_that_is_slightly_off(monkeypatch: pytest.MonkeyPatch) -> None:
    right = gradient_moments.conditioning
    monkeypatch.setattr(gradient_moments, "conditioning", lambda draws, theta: right(draws, theta) * (1 + 1e-9))
    assert gradient_noise.cost_of_conditioning("cosine", STATEMENT, CONTEXT).statistic > 1e-10
    assert verdict("E28", "corrected") == "refuted"


def test_most_of_the_noise_of_a_trained_network_is_conditioning() -> None:
    places = gradient_moments.marginal(forward_path("linear"))
    shares = [gradient_noise.share(places, theta) for theta in gradient_noise.training(places).values()]
    assert shares == sorted(shares)
    assert shares[-1] > 0.9


# E29


def test_e29_sees_a_constant_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """With eps in the place of the score the two losses are one, and what is printed is right."""
    right = equal_losses._objective
    monkeypatch.setattr(equal_losses, "_objective", lambda path, on: right(path, "eps"))
    equal_losses.certified.cache_clear()
    assert verdict("E29", "printed") == "supported"
    assert verdict("E29", "corrected") == "refuted"
    equal_losses.certified.cache_clear()
