"""Claims on paths, velocities and samplers: what each control breaks, and faults that are noticed."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from line_mixture import DOUBLE, MEANS, STDS, WEIGHTS, at, column, tensor
from scipy import integrate, stats

from reproflow.claims.paths import ends, stochastic, transport, velocity
from reproflow.claims.policy import STATEMENT, Context
from reproflow.claims.tutorials import solvers
from reproflow.exact import three_gaussians
from reproflow.learning.networks import exact_denoiser as denoisers
from reproflow.learning.sampling import ode, sde
from reproflow.numerics import trapezoid
from reproflow.theory import targets
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.paths import Path, get_path

CONTEXT = Context()


@pytest.mark.parametrize("target", ["velocity", "x1", "eps", "score", "v"])
def test_the_exact_denoiser_is_the_posterior_mean_whatever_it_predicts(target: str) -> None:
    x, t, c = column(-1.0, 0.3, 2.0), torch.full((3,), 0.4, dtype=DOUBLE), at("cosine", 0.4)
    denoiser = denoisers.exact_denoiser("cosine", target)
    torch.testing.assert_close(
        denoiser.velocity(x, t), three_gaussians.MIXTURE.marginal_velocity(x, c), rtol=1e-12, atol=1e-12
    )
    torch.testing.assert_close(denoiser.x1(x, t), three_gaussians.MIXTURE.posterior_mean(x, c), rtol=1e-12, atol=1e-12)


# PATH-1, PATH-2


def test_a_wrong_variance_integrates_to_one_and_is_seen_all_the_same() -> None:
    x, dx = three_gaussians.line(2001)
    c = at("linear", 0.6)
    narrow = Coefficients(c.t, c.alpha, c.sigma**2, c.dalpha, c.dsigma, c.process)
    assert float(three_gaussians.MIXTURE.log_density(x, narrow).exp().sum()) * dx == pytest.approx(1, abs=1e-12)
    assert ends._deviation(c, ends.VARIANCE) > 0.01


def test_the_law_at_an_end_is_the_noise_or_the_data() -> None:
    x = torch.linspace(-3, 3, 7, dtype=DOUBLE)[:, None]
    noise, data = ends._law(x, tensor(0.0), tensor(1.0)), ends._law(x, tensor(1.0), tensor(0.0))
    torch.testing.assert_close(noise, tensor(stats.norm.pdf(x[:, 0])), rtol=1e-12, atol=0)
    torch.testing.assert_close(data, tensor(stats.norm.pdf(x, MEANS, STDS) @ WEIGHTS), rtol=1e-12, atol=0)


def test_noise_that_stays_breaks_the_data_end_only() -> None:
    path = get_path("linear")
    noise, data = (max(ends._distances(path, end, tensor([end, 1 - end]), ends.HALF)) for end in (0.0, 1.0))
    assert noise < 1e-9
    assert data > 0.3


@pytest.mark.parametrize(("path", "missed"), [("linear", set()), ("vp", {0.0}), ("edm", {0.0, 1.0})])
def test_paths_that_miss_an_end_by_design_say_so(path: str, missed: set[float]) -> None:
    assert ends.by_design(get_path(path)) == missed
    assert ends.boundary(path, STATEMENT, CONTEXT).detail.count("by design") == len(missed)


def test_a_path_that_misses_an_end_without_saying_so_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ends, "by_design", lambda path: set())
    assert ends.boundary("vp", STATEMENT, CONTEXT).statistic > 1e-4


# PATH-4, PATH-6 to PATH-9


def test_the_printed_weights_of_the_marginal_field_do_not_sum_to_one() -> None:
    c, x = at("linear", 0.5), column(-1.0, 0.4, 1.2)
    prior = (velocity.COUNTS / velocity.COUNTS.sum()).numpy()
    joint = stats.norm.pdf(x, float(c.alpha) * velocity.POINTS, float(c.sigma)) * prior
    density = joint.sum(1, keepdims=True)
    slopes = (velocity.POINTS.numpy() - x.numpy()) / 0.5
    for variant, weights in [(STATEMENT, joint / density), (velocity.PRINTED, joint / density * prior / density)]:
        torch.testing.assert_close(velocity._average(x, c, variant)[:, 0], tensor((weights * slopes).sum(1)))
    assert abs((joint / density * prior / density).sum(1) - 1).min() > 0.1


def test_the_flow_error_falls_at_the_order_of_the_solver() -> None:
    errors = [transport.flow_error("linear", STATEMENT, steps) for steps in (32, 64)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.3)


def test_a_quarter_turn_of_the_score_is_as_large_and_another_field() -> None:
    x, c = trapezoid.square(5, 2.0)[0], at("cosine", 0.5)
    turned, score = (transport._turned(x, c, variant) for variant in (STATEMENT, transport.UNROTATED))
    torch.testing.assert_close(turned.norm(dim=1), score.norm(dim=1))
    assert float((turned * score).sum(1).abs().max()) < 1e-12
    assert float(turned.norm(dim=1).min()) > 1e-3


def test_paired_noise_has_the_regression_of_its_covariance() -> None:
    c, x = at("vp", 0.6), column(1.0)
    covariance = np.array([[1, stochastic.CORRELATION], [stochastic.CORRELATION, 1]])
    here, speed = (np.array([float(a), float(b)]) for a, b in ((c.alpha, c.sigma), (c.dalpha, c.dsigma)))
    score, u = stochastic._paired(x, c)
    assert float(score) == pytest.approx(-1 / (here @ covariance @ here))
    assert float(u) == pytest.approx(speed @ covariance @ here / (here @ covariance @ here))


def test_without_noise_the_score_term_does_not_matter_and_with_noise_each_control_bites() -> None:
    right = stochastic._residuals(get_path("linear"), STATEMENT)
    for control in (stochastic.NO_SCORE, stochastic.FULL):
        wrong = stochastic._residuals(get_path("linear"), control)
        assert wrong["0"] == right["0"] < 1e-7
        assert min(value for name, value in wrong.items() if name != "0") > 0.5


def test_the_widened_variance_is_its_closed_form() -> None:
    """d(V/v) = g²/v dt with v = t² + (1-t)², where the drift has no score term."""
    extra = integrate.quad(lambda t: (1.3 * (1 - 0.5 * t)) ** 2 / (t**2 + (1 - t) ** 2), 0, 0.95)[0]
    assert stochastic._carried_variance(stochastic.NO_SCORE) == pytest.approx(0.905 * (1 + extra), rel=1e-8)


# Faults of the package that these claims see


def test_a_wrong_share_of_noise_in_the_sampler_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = sde.sde_shares
    monkeypatch.setattr(sde, "sde_shares", lambda now, after, eta: (after[1], honest(now, after, eta)[1]))
    assert stochastic.any_diffusion(stochastic.SAMPLER, STATEMENT, CONTEXT).statistic > 0.1


def test_a_slightly_wrong_derivative_of_a_path_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Path.at
    monkeypatch.setattr(
        Path, "at", lambda self, t: dataclasses.replace(c := right(self, t), dsigma=c.dsigma * (1 + 1e-8))
    )
    assert velocity.marginal_velocity("cosine", STATEMENT, CONTEXT).statistic > 1e-10


def test_a_slightly_wrong_conversion_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    right = targets.convert

    def wrong(prediction, x, c, source, to):
        return right(prediction, x, dataclasses.replace(c, sigma=c.sigma * (1 + 1e-9)), source, to)

    for claim, module in [(stochastic.score_and_velocity, stochastic), (velocity.marginal_velocity, velocity)]:
        monkeypatch.setattr(module, "convert", wrong)
        assert claim("linear", STATEMENT, CONTEXT).statistic > 1e-11


def test_a_method_of_lower_order_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    heun = ode.Tableau((0.0, 1.0), ((), (1.0,)), (0.4, 0.6))
    monkeypatch.setitem(ode.TABLEAUS, "heun", heun)
    assert solvers.solver_orders("heun linear", STATEMENT, CONTEXT).statistic > 0.5
