"""Flow likelihoods: closed forms, quadrature and independent traces of the Jacobian, for every path."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from gaussian_flow import CPU, DOUBLE, MEAN, PATHS, STD, TURN, GaussianFlow, generator, network
from scipy import stats
from torch import Tensor

from reproflow.evaluation.likelihood import flow as flow_likelihood
from reproflow.evaluation.likelihood.flow import Route, dequantised_nll, flow_nll
from reproflow.foundation.errors import UsageError
from reproflow.learning import data
from reproflow.theory.paths import get_path


def gaussian_points(n: int) -> Tensor:
    return MEAN + (STD * torch.randn(n, 2, generator=generator(1), dtype=DOUBLE)) @ TURN.T


# -- densities ---------------------------------------------------------------------------------------------------------


def test_flow_nll_of_a_gaussian_is_its_density() -> None:
    x = gaussian_points(50)
    expected = -stats.multivariate_normal(MEAN.numpy(), ((TURN * STD**2) @ TURN.T).numpy()).logpdf(x.numpy())
    flow = flow_nll(GaussianFlow(), x, t_range=(0.0, 1.0), steps=64)
    np.testing.assert_allclose(flow.nats.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("t_range", [(1e-3, 1 - 1e-3), (0.1, 0.8)])
@pytest.mark.default_cases(4)
def test_every_path_and_range_has_the_density_of_its_own_model(path: str, t_range: tuple[float, float]) -> None:
    """The reported integration error is an upper bound of the true one, and small."""
    model, x = GaussianFlow(path), gaussian_points(20)
    flow = flow_nll(model, x, t_range=t_range, steps=32)
    assert ((flow.nats - torch.from_numpy(model.nll(x, t_range))).abs() < flow.error + 1e-7).all()
    assert float(flow.error.max()) < 5e-3


def test_flow_nll_converges_at_order_four_and_reports_its_error() -> None:
    model, x = GaussianFlow(), gaussian_points(30)
    exact = torch.from_numpy(model.nll(x, (0.01, 0.99)))
    flows = [flow_nll(model, x, t_range=(0.01, 0.99), steps=n) for n in (16, 32)]
    errors = [float((value - exact).abs().mean()) for value in (flows[0].coarse, flows[0].nats, flows[1].nats)]
    orders = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert all(3.6 < order < 4.6 for order in orders)
    # |N - 2N| is the error of the coarse solution to leading order.
    assert float(flows[0].error.mean()) == pytest.approx(errors[0], rel=0.2)


class Swirl:
    """A smooth field without any closed form, y turning it."""

    device = CPU
    path = get_path("linear")

    def velocity(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        phase = t if y is None else t + y
        first = (1.3 * x[:, 1] + phase).sin() + 0.3 * x[:, 0]
        return torch.stack([first, (x[:, 0] - 2 * phase).cos() * (0.7 * x[:, 1]).tanh()], -1)


def test_flow_density_integrates_to_one_and_uses_labels() -> None:
    axis = torch.linspace(-9, 9, 110, dtype=DOUBLE)
    x = torch.cartesian_prod(axis, axis)
    y = torch.ones(len(x), dtype=torch.int64)
    area = float(axis[1] - axis[0]) ** 2
    plain, turned = (flow_nll(Swirl(), x, label, (0.0, 1.0), steps=10).nats for label in (None, y))
    for nats in (plain, turned):
        assert float((-nats).exp().sum()) * area == pytest.approx(1, abs=1e-3)
    assert (plain - turned).abs().max() > 0.1


def test_flow_nll_in_float32_answers_the_same_and_leaves_no_gradient() -> None:
    x = gaussian_points(20)
    weight = torch.nn.Parameter(torch.ones(()))

    class Scaled(Swirl):
        def velocity(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
            return weight.to(x.dtype) * super().velocity(x, t, y)

    double, single = (flow_nll(Scaled(), each, steps=8).nats for each in (x, x.float()))
    torch.testing.assert_close(double, single, rtol=1e-4, atol=1e-4)
    assert not single.requires_grad
    assert weight.grad is None


def test_integer_data_need_dequantisation() -> None:
    with pytest.raises(UsageError, match="dequantise"):
        flow_nll(Swirl(), torch.zeros(4, 2, dtype=torch.int64))


@pytest.mark.parametrize("path", PATHS)
def test_a_route_steps_evenly_in_its_own_variable(path: str) -> None:
    """t runs down from end to end; its pace, and the growth of its scale, are derivatives (central differences)."""
    for t_range in ((1e-3, 1 - 1e-3), (0.01, 0.977)):
        route = Route.over(get_path(path), t_range, 400)
        assert (float(route.t[-1]), float(route.t[0])) == t_range
        assert (route.t.diff() < 0).all()
        inner = slice(1, -1)
        for value, by_t in ((route.t, torch.ones_like(route.t)), (route.scale, route.growth)):
            slope = (value[2:] - value[:-2]) * 400
            expected = (by_t * route.pace)[inner]
            torch.testing.assert_close(slope, expected, rtol=2e-2, atol=2e-3 * float(expected.abs().max()) + 1e-9)


# -- divergences -------------------------------------------------------------------------------------------------------


def test_hutchinson_probes_are_unbiased_for_the_exact_divergence() -> None:
    x = gaussian_points(3).repeat_interleave(400, 0)
    exact = flow_nll(Swirl(), x, t_range=(0.0, 1.0), steps=4)
    probes = torch.randint(2, (2, *x.shape), generator=generator(2)).double() * 2 - 1
    sampled = flow_nll(Swirl(), x, t_range=(0.0, 1.0), steps=4, probes=probes)
    for each in (sampled.nats - exact.nats).reshape(3, 400):
        assert each.std() > 1e-3
        assert abs(float(each.mean())) < 4.5 * float(each.std()) / 20
    assert not exact.probe_se.any()
    assert flow_nll(Swirl(), x[:2], steps=4, probes=probes[:1, :2]).probe_se.isnan().all()


@pytest.mark.parametrize(("target", "scale"), [("x1", 3.0), ("velocity", 0.4)])
def test_exact_and_estimated_divergence_of_images_agree(target: str, scale: float) -> None:
    images, denoiser, probes = data.get_dataset("digits8"), network(target, scale), 24
    levels, y = images.tokens("test")[:6], images.labels("test")[:6]
    signs = torch.randint(2, (probes, *levels.shape), generator=generator(3)).float() * 2 - 1
    exact, sampled = (
        dequantised_nll(denoiser, levels, y, generator(1), images.values.float(), steps=1, probes=each)
        for each in (None, signs)
    )
    z = (sampled.nats - exact.nats) / sampled.probe_se
    assert float(sampled.probe_se.min()) > 0.05
    assert float(z.abs().max()) < 5
    assert abs(float(z.mean())) < 4 / math.sqrt(6)


def test_the_divergence_of_a_network_is_the_trace_of_its_jacobian(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many directions are pulled back at a time."""
    denoiser, x = network("x1", 3.0), torch.randn(3, 64, generator=generator(5))
    y, t = torch.tensor([0, 4, 7]), torch.tensor([0.6])
    jacobian = torch.autograd.functional.jacobian(lambda z: denoiser.velocity(z, t.expand(3), y), x)
    expected = torch.einsum("bibi->b", jacobian).double()
    for directions in (16, 5):
        monkeypatch.setattr(flow_likelihood, "DIRECTIONS", directions)
        v, found = flow_likelihood._with_divergence(lambda z: denoiser.velocity(z, t.expand(3), y), x, None)
        torch.testing.assert_close(found[0], expected, rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(v, denoiser.velocity(x, t.expand(3), y))
