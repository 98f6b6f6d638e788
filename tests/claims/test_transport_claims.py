"""Claims on transport and straightness on a line: their oracles, and what each control breaks."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from line_mixture import DOUBLE, MEANS, STDS, WEIGHTS, at, column, tensor
from scipy import optimize, stats

from reproflow.claims.paths import transport
from reproflow.claims.tutorials import straightness
from reproflow.exact import three_gaussians
from reproflow.exact import transport as exact
from reproflow.exact.mixture import Mixture
from reproflow.learning.networks import exact_denoiser as denoisers
from reproflow.learning.sampling import ode, reflow
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.paths import get_path


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
        exact.log_odds(three_gaussians.MIXTURE, x, c), tensor(np.log(low) - np.log(high)), rtol=1e-12, atol=0
    )


def test_quantiles_are_roots_of_the_distribution_function() -> None:
    c, u = at("vp", 0.6), np.array([1e-7, 0.03, 0.5, 0.9])
    found = exact.quantile(three_gaussians.MIXTURE, tensor(np.log(u / (1 - u))), c)[:, 0]
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
    mapped = exact.monotone_map(three_gaussians.MIXTURE, e)
    torch.testing.assert_close(mapped[2:-2, 0], tensor([to_data(float(each)) for each in e[2:-2]]), rtol=1e-10, atol=0)
    torch.testing.assert_close(exact.monotone_inverse(three_gaussians.MIXTURE, mapped), e, rtol=1e-12, atol=1e-12)


def test_the_optimal_cost_is_that_of_sorted_quantiles() -> None:
    """n equally probable noise values and n data quantiles, in order; the error is of the tails, 1/n."""
    u = (np.arange(4000) + 0.5) / 4000
    grid, end = np.linspace(-6, 6, 3000), at("linear", 1.0)
    y = np.interp(u, [cdf(x, end) for x in grid], grid)
    assert exact.squared_wasserstein(three_gaussians.MIXTURE) == pytest.approx(
        ((y - stats.norm.ppf(u)) ** 2).mean(), abs=1e-3
    )


@pytest.mark.parametrize("t", [0.0, 0.3, 0.5, 0.8, 1.0])
def test_the_reflowed_field_is_the_slope_of_the_line_through_the_point(t: float) -> None:
    e = torch.linspace(-4, 4, 9, dtype=DOUBLE)[:, None]
    y = exact.monotone_map(three_gaussians.MIXTURE, e)
    found = exact.reflow_velocity(three_gaussians.MIXTURE, (1 - t) * e + t * y, t)
    torch.testing.assert_close(found, y - e, rtol=0, atol=1e-12)


def test_data_in_the_plane_have_no_quantiles() -> None:
    with pytest.raises(ValueError, match="2 dimensions"):
        exact.log_odds(transport.PLANE, torch.zeros(1, 2, dtype=DOUBLE), at("linear", 0.5))


# TUT-8, TUT-9


def test_crossing_is_what_conditional_flow_matching_cannot_reduce() -> None:
    z = three_gaussians.MIXTURE.sample(20_000, torch.Generator().manual_seed(0))
    eps = torch.randn(z.shape, generator=torch.Generator().manual_seed(1), dtype=DOUBLE)
    t = torch.rand(len(z), generator=torch.Generator().manual_seed(2), dtype=DOUBLE)
    c = get_path("linear").at(t)
    x = c.alpha[:, None] * z + c.sigma[:, None] * eps
    loss = (z - eps - three_gaussians.MIXTURE.marginal_velocity(x, c)).square()
    assert abs(straightness.crossing() - float(loss.mean())) < 5 * float(loss.std()) / math.sqrt(len(z))


def test_bending_is_measured_along_the_paths_that_a_solver_walks() -> None:
    ends_, times = column(-1.2, 0.4, 1.9), torch.linspace(0, 1, 201, dtype=DOUBLE).tolist()
    start = exact.monotone_inverse(three_gaussians.MIXTURE, ends_)
    x, speeds = start, []
    for a, b in itertools.pairwise(times):
        new, _ = ode.integrate(
            lambda x, t: three_gaussians.MIXTURE.marginal_velocity(x, at_linear(t)), x, [a, b], "heun"
        )
        speeds.append((new - x) / (b - a))
        x = new
    walked = float((torch.stack(speeds) - (x - start)).square().mean())
    torch.testing.assert_close(x, ends_, rtol=0, atol=1e-4)
    assert straightness.bending((ends_, torch.full((3,), 1 / 3, dtype=DOUBLE))) == pytest.approx(walked, rel=1e-3)


def at_linear(t: float) -> Coefficients:
    one = tensor(1.0)
    return Coefficients(t * one, t * one, (1 - t) * one, one, -one, "gaussian")


def test_the_package_measures_straightness_at_second_order_from_below() -> None:
    x0 = straightness._starts(10)
    denoiser = denoisers.exact_denoiser("linear")
    limit = straightness.bending(
        (exact.monotone_map(three_gaussians.MIXTURE, x0), torch.full((10,), 0.1, dtype=DOUBLE))
    )
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
