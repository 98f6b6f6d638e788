"""Flow likelihoods: closed forms, quadrature and independent divergences, for every path and both kinds of data."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import integrate, optimize, stats
from torch import Tensor

from reproflow.evaluation import cell, flow_likelihood, likelihood
from reproflow.evaluation.flow_likelihood import Route, dequantised_nll, flow_nll, read_off_time
from reproflow.foundation import config, names
from reproflow.foundation.config import Model
from reproflow.foundation.errors import UsageError
from reproflow.learning import data
from reproflow.learning.models.denoiser import GaussianDenoiser
from reproflow.learning.models.heads import head_for
from reproflow.learning.models.stacked import initialise
from reproflow.theory.paths import Path, get_path
from reproflow.theory.targets import get_target

torch.set_num_threads(1)
DOUBLE = torch.float64
CPU = torch.device("cpu")
PATHS = [known.name for known in names.known() if (known.kind, known.process) == ("path", "gaussian")]
MEAN = torch.tensor([0.7, -0.4], dtype=DOUBLE)
STD = torch.tensor([0.3, 1.4], dtype=DOUBLE)
TURN = torch.linalg.qr(torch.tensor([[1.0, 0.6], [-0.3, 1.0]], dtype=DOUBLE)).Q


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class GaussianFlow:
    """The marginal velocity of data N(mean, Q diag(std²) Q'), from Gaussian regression."""

    device = CPU
    head = SimpleNamespace(kind="gaussian")

    def __init__(self, path: str = "linear") -> None:
        self.path = get_path(path)

    def velocity(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        c = self.path.at(t.double()).map(lambda value: value[:, None])
        z = (x - c.alpha * MEAN) @ TURN
        # E[u | x] = mean of u + Cov(u, x) Var(x)^-1 (x - mean of x), in the axes of the data.
        covariance = c.dalpha * c.alpha * STD**2 + c.dsigma * c.sigma
        return c.dalpha * MEAN + (covariance / self.spread(c.alpha, c.sigma) ** 2 * z) @ TURN.T

    @staticmethod
    def spread(alpha: Tensor, sigma: Tensor) -> Tensor:
        return (alpha**2 * STD**2 + sigma**2).sqrt()

    def nll(self, x: Tensor, t_range: tuple[float, float]) -> np.ndarray:
        """From N(0, s² I) the flow is affine: the distance to the mean, over the spread, stays what it was."""
        (a0, s0), (a1, s1) = (self.path(torch.tensor(t, dtype=DOUBLE)) for t in t_range)
        ratio = self.spread(a0, s0) / self.spread(a1, s1)
        start = a0 * MEAN @ TURN + ((x - a1 * MEAN) @ TURN) * ratio
        return -stats.norm.logpdf(start.numpy(), scale=math.hypot(a0, s0)).sum(1) - float(ratio.log().sum())


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


def network(target: str, scale: float, dataset: str = "digits8") -> GaussianDenoiser:
    """A small network of random weights, those of the last layer with this deviation (a fresh one is silent)."""
    head = head_for(data.get_dataset(dataset), "gaussian", target, Model(width=16, depth=1))
    made = initialise(head.architecture, [("test",)]).requires_grad_(False)
    made.weights[-1].data.normal_(0, scale, generator=generator(0))
    return GaussianDenoiser(made, head, get_path("cosine"), get_target(target))


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


# -- levels ------------------------------------------------------------------------------------------------------------


class ExactLevels:
    """The exact posterior of independent pixels with law p (V,) over levels `values`, and the flow it implies."""

    device = CPU
    head = SimpleNamespace(kind="levels")

    def __init__(self, p: Tensor, values: Tensor, path: Path) -> None:
        self.p, self.values, self.path = p, values, path

    def x1_logits(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        alpha, sigma = (each[:, None, None] for each in self.path(t.double()))
        return self.p.log() - (x[..., None] - alpha * self.values) ** 2 / (2 * sigma**2)

    def velocity(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        c = self.path.at(t.double()).map(lambda value: value[:, None])
        x1 = self.x1_logits(x, t).softmax(-1) @ self.values
        return c.dalpha * x1 + c.dsigma * (x - c.alpha * x1) / c.sigma


P = torch.tensor([0.1, 0.4, 0.3, 0.15, 0.05], dtype=DOUBLE)


@pytest.mark.parametrize(("path", "unit"), [*((path, 1.0) for path in PATHS), ("linear", 3.0)])
def test_the_bound_of_an_exact_model_is_minus_log_p_whatever_the_unit(path: str, unit: float) -> None:
    """With the exact posterior as decoder log q(z|x) - log q(z) - log P(x|z) = -log P(x), draw by draw.

    What is left is log q(z_tmin) - log N(z_tmin; 0, s²) where the flow ends, which in one dimension keeps quantiles.
    """
    values = unit * torch.linspace(-1, 1, 5, dtype=DOUBLE)
    levels, t_min = torch.stack([torch.arange(5), 4 - torch.arange(5)], 1), 1e-3
    model = ExactLevels(P, values, get_path(path))
    flow = dequantised_nll(model, levels, None, generator(0), values, (t_min, 0.999), steps=16)
    times = torch.tensor([t_min, read_off_time(model.path, values, (t_min, 0.999))], dtype=DOUBLE)
    (a0, a1), (s0, s1) = (each.tolist() for each in model.path(times))
    eps = torch.randn(levels.shape, generator=generator(0), dtype=DOUBLE)
    base = np.array(
        [_log_ratio(float(z), values, (a0, s0), (a1, s1)) for z in (a1 * values[levels] + s1 * eps).view(-1)]
    )
    expected = -P.log()[levels].sum(1) + torch.from_numpy(base).view(-1, 2).sum(1)
    assert ((flow.nats - expected).abs() < flow.error + 1e-5).all()
    assert float(flow.error.max()) < 0.06
    assert float(base.std()) < 0.05 * unit


def _log_ratio(z: float, values: Tensor, noise: tuple[float, float], stop: tuple[float, float]) -> float:
    """log q(x) - log N(x; 0, s²) at the noise end's quantile that z is at the other end of the flow."""

    def law(at: tuple[float, float], function) -> float:
        return float(P.numpy() @ function((at[0] * values).numpy(), at[1]))

    level = law(stop, lambda m, s: stats.norm.cdf(z, m, s))
    x = optimize.brentq(lambda x: law(noise, lambda m, s: stats.norm.cdf(x, m, s)) - level, -9 * noise[1], 9 * noise[1])
    return math.log(law(noise, lambda m, s: stats.norm.pdf(x, m, s))) - stats.norm.logpdf(x, scale=math.hypot(*noise))


def test_the_bound_of_another_model_is_its_expectation_by_quadrature() -> None:
    """A Gaussian flow that knows no levels: E_q[log q(z|x) - log p(z) - log P(x|z)] and -log P(x) in two dimensions."""
    model, values, t_min = GaussianFlow("cosine"), torch.linspace(-1, 1, 5, dtype=DOUBLE), 1e-3
    stop = read_off_time(model.path, values, (t_min, 0.999))
    alpha, sigma = (float(each) for each in model.path(torch.tensor(stop, dtype=DOUBLE)))
    nodes = torch.linspace(-7, 7, 161, dtype=DOUBLE)
    eps = torch.cartesian_prod(nodes, nodes)
    weights = stats.norm.pdf(eps.numpy()).prod(1) * float(nodes[1] - nodes[0]) ** 2
    levels = torch.tensor([[1, 3]])
    z = alpha * values[levels] + sigma * eps
    likelihoods = stats.norm.pdf(z[..., None].numpy(), alpha * values.numpy(), sigma)
    decoder = (likelihoods[:, [0, 1], levels[0]] / likelihoods.sum(-1)).prod(1)
    log_q = stats.norm.logpdf(z.numpy(), alpha * values[levels].numpy(), sigma).sum(1)
    terms = log_q + model.nll(z, (t_min, stop)) - np.log(decoder)
    expected = float(weights @ terms)
    exact = -math.log(float(weights @ np.exp(-terms)))
    many = levels.repeat(4000, 1)
    flow = dequantised_nll(model, many, None, generator(3), values, t_range=(t_min, 0.999), steps=8)
    se = float(flow.nats.std()) / math.sqrt(4000)
    assert abs(float(flow.nats.mean()) - expected) < 4.5 * se
    assert float(flow.nats.mean()) > exact > 0
    assert se < 0.1 * (expected - exact)


@pytest.mark.parametrize("path", PATHS)
def test_levels_are_read_off_where_noise_is_as_wide_as_a_bin(path: str) -> None:
    values = torch.linspace(-1, 1, 17, dtype=DOUBLE)
    alpha, sigma = get_path(path)(torch.tensor(read_off_time(get_path(path), values, (1e-3, 0.999)), dtype=DOUBLE))
    assert float(sigma / alpha) == pytest.approx(stats.uniform(0, 1 / 8).std(), rel=1e-9)
    assert read_off_time(get_path(path), values, (0.1, 0.3)) == 0.3


# -- cells -------------------------------------------------------------------------------------------------------------


def experiment(**settings: object) -> config.Experiment:
    written = {
        "name": "digits",
        "process": "gaussian",
        "dataset": "digits8",
        "paths": ["cosine"],
        "weightings": ["elbo"],
        "seeds": [0],
        "likelihood": {"points": 16, "repeats": 1, "ode_points": 16, "ode_steps": 6} | settings,
    }
    return config.check({"name": "t", "experiments": [written]}).experiments[0]


def test_a_silent_posterior_codes_every_level_alike() -> None:
    """A network that adds nothing to log N(x; alpha v, sigma²) is the exact posterior of uniform levels: log2 17."""
    found = cell.likelihood(network("x1", 0.0), experiment(), data.get_dataset("digits8"))
    columns = found.columns
    assert (found.status, found.reason) == ("ok", "")
    assert abs(columns["ode_bits_per_dim"] - math.log2(17)) < 3 * columns["ode_bits_per_dim_se"] + 0.01
    assert abs(columns["bound_bits_per_dim"] - math.log2(17)) < 4.5 * columns["bound_bits_per_dim_se"] + 0.01
    assert columns["ode_bits_per_dim_se"] < 0.1


def test_any_target_has_both_likelihoods() -> None:
    """A silent velocity leaves N(0, s²) where it is: the flow's bound is a Gaussian's, by quadrature."""
    images = data.get_dataset("digits8")
    found = cell.likelihood(network("velocity", 0.0), experiment(points=450, ode_points=450), images)
    h, levels = 1 / 8, images.tokens("test").numpy()
    rho = h / math.sqrt(12)
    alpha, sigma, values = math.cos(math.atan(rho)), math.sin(math.atan(rho)), np.linspace(-1, 1, 17)

    def bits(level: int) -> float:
        def term(eps: float) -> float:
            z = alpha * values[level] + sigma * eps
            decoder = stats.norm.logpdf(z, alpha * values, sigma)
            log_p = decoder[level] - np.logaddexp.reduce(decoder)
            return stats.norm.pdf(eps) * (stats.norm.logpdf(eps) - math.log(sigma) - stats.norm.logpdf(z) - log_p)

        return integrate.quad(term, -8, 8, limit=200)[0] / math.log(2)

    expected = np.array([bits(level) for level in range(17)])[levels].mean()
    # All that is left is the noise: one draw for each of 450 x 64 pixels.
    assert found.columns["ode_bits_per_dim"] == pytest.approx(expected, abs=0.03)
    assert math.isfinite(found.columns["bound_bits_per_dim"])


def test_a_solver_too_coarse_is_refused_and_the_cell_kept() -> None:
    found = cell.likelihood(network("x1", 0.0), experiment(ode_steps=1), data.get_dataset("digits8"))
    assert "ode_bits_per_dim" not in found.columns
    assert math.isfinite(found.columns["bound_bits_per_dim"])
    assert found.status == "ok"
    assert "1 and 2 solver steps differ by" in found.reason
    assert "raise likelihood.ode_steps" in found.reason


def test_the_integration_error_is_part_of_the_reported_one() -> None:
    """The same points and noise: fewer steps, a larger error; and exact beside estimated divergence within both."""
    images, model = data.get_dataset("digits8"), network("x1", 0.5)
    several = [
        cell.likelihood(model, experiment(ode_steps=n, divergence=how, probes=2, ode_points=8), images)
        for n, how in ((3, "hutchinson"), (5, "hutchinson"), (3, "exact"))
    ]
    bits = {
        name: [float(likelihood.bits_per_dim(each.nats[name], 64).mean()) for each in several]
        for name in ("ode_nats", "ode_coarse")
    }
    for each, nats, coarse in zip(several, *bits.values(), strict=True):
        spread = float(likelihood.bits_per_dim(each.nats["ode_nats"], 64).std()) / math.sqrt(8)
        if each.columns.get("ode_bits_per_dim_se"):
            assert each.columns["ode_bits_per_dim_se"] == pytest.approx(math.hypot(spread, nats - coarse))
    errors = [abs(a - b) for a, b in zip(*bits.values(), strict=True)]
    assert errors[1] < errors[0] / 3
    probe = float(likelihood.bits_per_dim(several[0].nats["ode_probe_se"], 64).square().mean().sqrt()) / math.sqrt(8)
    assert abs(bits["ode_nats"][0] - bits["ode_nats"][2]) < 4.5 * probe
    assert probe > 0
