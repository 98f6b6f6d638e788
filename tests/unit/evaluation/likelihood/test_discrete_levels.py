"""Likelihoods of levels: exact models and other ones by quadrature, and the cells that report them."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gaussian_flow import CPU, DOUBLE, PATHS, GaussianFlow, generator, network
from scipy import integrate, optimize, stats
from torch import Tensor

from reproflow.evaluation import cells
from reproflow.evaluation.likelihood import bound
from reproflow.evaluation.likelihood.flow import dequantised_nll, read_off_time
from reproflow.foundation import config
from reproflow.learning import data
from reproflow.theory.paths import Path, get_path


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
@pytest.mark.default_cases(2)
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
    found = cells.likelihood(network("x1", 0.0), experiment(), data.get_dataset("digits8"))
    columns = found.columns
    assert (found.status, found.reason) == ("ok", "")
    assert abs(columns["ode_bits_per_dim"] - math.log2(17)) < 3 * columns["ode_bits_per_dim_se"] + 0.01
    assert abs(columns["bound_bits_per_dim"] - math.log2(17)) < 4.5 * columns["bound_bits_per_dim_se"] + 0.01
    assert columns["ode_bits_per_dim_se"] < 0.1


def test_any_target_has_both_likelihoods() -> None:
    """A silent velocity leaves N(0, s²) where it is: the flow's bound is a Gaussian's, by quadrature."""
    images = data.get_dataset("digits8")
    found = cells.likelihood(network("velocity", 0.0), experiment(points=450, ode_points=450), images)
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
    found = cells.likelihood(network("x1", 0.0), experiment(ode_steps=1), data.get_dataset("digits8"))
    assert "ode_bits_per_dim" not in found.columns
    assert math.isfinite(found.columns["bound_bits_per_dim"])
    assert found.status == "ok"
    assert "1 and 2 solver steps differ by" in found.reason
    assert "raise likelihood.ode_steps" in found.reason


def test_the_integration_error_is_part_of_the_reported_one() -> None:
    """The same points and noise: fewer steps, a larger error; and exact beside estimated divergence within both."""
    images, model = data.get_dataset("digits8"), network("x1", 0.5)
    several = [
        cells.likelihood(model, experiment(ode_steps=n, divergence=how, probes=2, ode_points=8), images)
        for n, how in ((3, "hutchinson"), (5, "hutchinson"), (3, "exact"))
    ]
    bits = {
        name: [float(bound.bits_per_dim(each.nats[name], 64).mean()) for each in several]
        for name in ("ode_nats", "ode_coarse")
    }
    for each, nats, coarse in zip(several, *bits.values(), strict=True):
        spread = float(bound.bits_per_dim(each.nats["ode_nats"], 64).std()) / math.sqrt(8)
        if each.columns.get("ode_bits_per_dim_se"):
            assert each.columns["ode_bits_per_dim_se"] == pytest.approx(math.hypot(spread, nats - coarse))
    errors = [abs(a - b) for a, b in zip(*bits.values(), strict=True)]
    assert errors[1] < errors[0] / 3
    probe = float(bound.bits_per_dim(several[0].nats["ode_probe_se"], 64).square().mean().sqrt()) / math.sqrt(8)
    assert abs(bits["ode_nats"][0] - bits["ode_nats"][2]) < 4.5 * probe
    assert probe > 0
