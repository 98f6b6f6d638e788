"""Path and transport claims: oracles for transport on a line, what each control breaks, and faults that are seen."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from scipy import integrate, optimize, stats

from reproflow.claims import exact_denoiser as denoisers
from reproflow.claims import toy
from reproflow.claims.paths import ends, stochastic, transport, velocity
from reproflow.claims.policy import STATEMENT, Context
from reproflow.claims.tutorials import solvers, straightness
from reproflow.exact import transport as exact
from reproflow.exact.mixture import Mixture
from reproflow.learning import reflow, sampling
from reproflow.theory import targets
from reproflow.theory.paths import Coefficients, Path, get_path

torch.set_num_threads(1)
CONTEXT = Context()
DOUBLE = torch.float64
WEIGHTS, MEANS, STDS = (each.numpy().ravel() for each in (toy.MIXTURE.weights, toy.MIXTURE.means, toy.MIXTURE.stds))


def tensor(values) -> torch.Tensor:
    return torch.tensor(values, dtype=DOUBLE)


def column(*values: float) -> torch.Tensor:
    return tensor(values)[:, None]


def at(path: str, t: float) -> Coefficients:
    return get_path(path).at(tensor(t))


def scales(c: Coefficients) -> np.ndarray:
    return np.sqrt(float(c.alpha) ** 2 * STDS**2 + float(c.sigma) ** 2)


def cdf(x: float, c: Coefficients) -> float:
    return float(WEIGHTS @ stats.norm.cdf(x, float(c.alpha) * MEANS, scales(c)))


def to_data(e: float) -> float:
    """T(e) by a root finder."""
    return optimize.brentq(lambda y: cdf(y, at("linear", 1.0)) - stats.norm.cdf(e), -20, 20, xtol=1e-14)


# Transport on a line


def test_log_odds_keep_their_digits_in_both_tails() -> None:
    c, x = at("cosine", 0.4), column(-9.0, -2.0, 0.1, 8.5)
    low, high = (f(x.numpy(), float(c.alpha) * MEANS, scales(c)) @ WEIGHTS for f in (stats.norm.cdf, stats.norm.sf))
    torch.testing.assert_close(
        exact.log_odds(toy.MIXTURE, x, c), tensor(np.log(low) - np.log(high)), rtol=1e-12, atol=0
    )


def test_quantiles_are_roots_of_the_distribution_function() -> None:
    c, u = at("vp", 0.6), np.array([1e-7, 0.03, 0.5, 0.9])
    found = exact.quantile(toy.MIXTURE, tensor(np.log(u / (1 - u))), c)[:, 0]
    wanted = [optimize.brentq(lambda x, p=p: cdf(x, c) - p, -20, 20, xtol=1e-14) for p in u]
    torch.testing.assert_close(found, tensor(wanted), rtol=1e-9, atol=1e-9)


def test_the_flow_of_one_gaussian_is_affine() -> None:
    single = Mixture(tensor([1.0]), column(0.7), tensor([0.4]))
    start, end, x = at("linear", 0.2), at("linear", 0.9), torch.linspace(-3, 3, 7, dtype=DOUBLE)[:, None]
    before, after = (float((c.alpha * 0.4) ** 2 + c.sigma**2) ** 0.5 for c in (start, end))
    wanted = end.alpha * 0.7 + (x - start.alpha * 0.7) * after / before
    torch.testing.assert_close(exact.flow_map(single, x, start, end), wanted, rtol=1e-12, atol=1e-12)
    assert exact.squared_wasserstein(single) == pytest.approx(0.7**2 + 0.6**2, rel=1e-12)


@pytest.mark.parametrize("stds", [STDS, np.zeros(3)])
def test_flux_velocity_is_a_difference_quotient_of_distribution_functions(stds: np.ndarray) -> None:
    path, t, h, x = get_path("vp_sigma_t"), 0.6, 1e-5, np.array([-1.0, 0.2, 1.5])

    def distribution(x: np.ndarray, t: float) -> np.ndarray:
        alpha, sigma = (float(each) for each in path(tensor(t)))
        return stats.norm.cdf(x[:, None], alpha * MEANS, np.sqrt(alpha**2 * stds**2 + sigma**2)) @ WEIGHTS

    change, density = distribution(x, t + h) - distribution(x, t - h), distribution(x + h, t) - distribution(x - h, t)
    mixture = (tensor(WEIGHTS), tensor(MEANS), tensor(stds))
    found = exact.flux_velocity(tensor(x)[:, None], tensor(t), path, *mixture)[:, 0]
    torch.testing.assert_close(found, tensor(-change / density), rtol=1e-7, atol=1e-7)


def test_the_monotone_map_its_inverse_and_the_cost() -> None:
    e = torch.linspace(-6, 6, 13, dtype=DOUBLE)[:, None]
    mapped = exact.monotone_map(toy.MIXTURE, e)
    torch.testing.assert_close(mapped[2:-2, 0], tensor([to_data(float(each)) for each in e[2:-2]]), rtol=1e-10, atol=0)
    torch.testing.assert_close(exact.monotone_inverse(toy.MIXTURE, mapped), e, rtol=1e-12, atol=1e-12)


def test_the_optimal_cost_is_that_of_sorted_quantiles() -> None:
    """n equally probable noise values and n data quantiles, in order; the error is of the tails, 1/n."""
    u = (np.arange(4000) + 0.5) / 4000
    grid, end = np.linspace(-6, 6, 3000), at("linear", 1.0)
    y = np.interp(u, [cdf(x, end) for x in grid], grid)
    assert exact.squared_wasserstein(toy.MIXTURE) == pytest.approx(((y - stats.norm.ppf(u)) ** 2).mean(), abs=1e-3)


@pytest.mark.parametrize("t", [0.0, 0.3, 0.5, 0.8, 1.0])
def test_the_reflowed_field_is_the_slope_of_the_line_through_the_point(t: float) -> None:
    e = torch.linspace(-4, 4, 9, dtype=DOUBLE)[:, None]
    y = exact.monotone_map(toy.MIXTURE, e)
    found = exact.reflow_velocity(toy.MIXTURE, (1 - t) * e + t * y, t)
    torch.testing.assert_close(found, y - e, rtol=0, atol=1e-12)


def test_data_in_the_plane_have_no_quantiles() -> None:
    with pytest.raises(ValueError, match="2 dimensions"):
        exact.log_odds(transport.PLANE, torch.zeros(1, 2, dtype=DOUBLE), at("linear", 0.5))


@pytest.mark.parametrize("target", ["velocity", "x1", "eps", "score", "v"])
def test_the_exact_denoiser_is_the_posterior_mean_whatever_it_predicts(target: str) -> None:
    x, t, c = column(-1.0, 0.3, 2.0), torch.full((3,), 0.4, dtype=DOUBLE), at("cosine", 0.4)
    denoiser = denoisers.exact_denoiser("cosine", target)
    torch.testing.assert_close(denoiser.velocity(x, t), toy.MIXTURE.marginal_velocity(x, c), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(denoiser.x1(x, t), toy.MIXTURE.posterior_mean(x, c), rtol=1e-12, atol=1e-12)


# PATH-1, PATH-2


def test_a_wrong_variance_integrates_to_one_and_is_seen_all_the_same() -> None:
    x, dx = toy.line(2001)
    c = at("linear", 0.6)
    narrow = Coefficients(c.t, c.alpha, c.sigma**2, c.dalpha, c.dsigma)
    assert float(toy.MIXTURE.log_density(x, narrow).exp().sum()) * dx == pytest.approx(1, abs=1e-12)
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
    x, c = transport._grid(5, 2.0), at("cosine", 0.5)
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
    honest = sampling.sde_shares
    monkeypatch.setattr(sampling, "sde_shares", lambda now, after, eta: (after[1], honest(now, after, eta)[1]))
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
    heun = sampling.Tableau((0.0, 1.0), ((), (1.0,)), (0.4, 0.6))
    monkeypatch.setitem(sampling.TABLEAUS, "heun", heun)
    assert solvers.solver_orders("heun linear", STATEMENT, CONTEXT).statistic > 0.5


# TUT-8, TUT-9


def test_crossing_is_what_conditional_flow_matching_cannot_reduce() -> None:
    z = toy.MIXTURE.sample(20_000, torch.Generator().manual_seed(0))
    eps = torch.randn(z.shape, generator=torch.Generator().manual_seed(1), dtype=DOUBLE)
    t = torch.rand(len(z), generator=torch.Generator().manual_seed(2), dtype=DOUBLE)
    c = get_path("linear").at(t)
    x = c.alpha[:, None] * z + c.sigma[:, None] * eps
    loss = (z - eps - toy.MIXTURE.marginal_velocity(x, c)).square()
    assert abs(straightness.crossing() - float(loss.mean())) < 5 * float(loss.std()) / math.sqrt(len(z))


def test_bending_is_measured_along_the_paths_that_a_solver_walks() -> None:
    ends_, times = column(-1.2, 0.4, 1.9), torch.linspace(0, 1, 201, dtype=DOUBLE).tolist()
    start = exact.monotone_inverse(toy.MIXTURE, ends_)
    x, speeds = start, []
    for a, b in itertools.pairwise(times):
        new, _ = sampling.integrate(lambda x, t: toy.MIXTURE.marginal_velocity(x, at_linear(t)), x, [a, b], "heun")
        speeds.append((new - x) / (b - a))
        x = new
    walked = float((torch.stack(speeds) - (x - start)).square().mean())
    torch.testing.assert_close(x, ends_, rtol=0, atol=1e-4)
    assert straightness.bending((ends_, torch.full((3,), 1 / 3, dtype=DOUBLE))) == pytest.approx(walked, rel=1e-3)


def at_linear(t: float) -> Coefficients:
    one = tensor(1.0)
    return Coefficients(t * one, t * one, (1 - t) * one, one, -one)


def test_the_package_measures_straightness_at_second_order_from_below() -> None:
    x0 = straightness._starts(10)
    denoiser = denoisers.exact_denoiser("linear")
    limit = straightness.bending((exact.monotone_map(toy.MIXTURE, x0), torch.full((10,), 0.1, dtype=DOUBLE)))
    gaps = [limit - reflow.straightness(denoiser, x0, None, (0.0, 1.0), steps) for steps in (24, 48)]
    assert min(gaps) > 0
    assert gaps[0] / gaps[1] == pytest.approx(4, rel=0.1)


def test_the_steps_needed_are_the_least() -> None:
    n = straightness.steps_needed(straightness.TO_SAMPLE, 1)
    limit = 1.05 * straightness._metric(straightness.TO_SAMPLE, straightness._euler(500, 1))
    values = [straightness._metric(straightness.TO_SAMPLE, straightness._euler(k, 1)) for k in range(1, n + 1)]
    assert [value <= limit for value in values] == [False] * (n - 1) + [True]


def test_shuffled_pairs_give_the_first_flow_back() -> None:
    x, t = column(-0.5, 0.8), torch.full((2,), 0.5, dtype=DOUBLE)
    first, shuffled, reflowed = (
        each.velocity(x, t)
        for each in (denoisers.exact_denoiser("linear"), straightness.flow(straightness.SHUFFLED), straightness.flow())
    )
    torch.testing.assert_close(shuffled, first, rtol=0, atol=0)
    assert float((reflowed - first).abs().max()) > 0.1
