"""The errata in formulas: oracles for what they compute, and what each control breaks."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor

from reproflow.claims.errata import densities, fields, notation, weights, worked_numbers
from reproflow.claims.policy import Context, Measurement
from reproflow.exact import three_gaussians
from reproflow.exact.mixture import Mixture
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.paths import get_path
from reproflow.theory.targets import convert, get_target
from reproflow.theory.times import get_time_law

NORMAL = Mixture(torch.ones(1), torch.zeros(1, 1), torch.ones(1))


def value(function: Callable[[str, Context], Measurement], form: str) -> float:
    return function(form, Context()).statistic


def scalar(x: float) -> Tensor:
    return torch.tensor(x, dtype=torch.float64)


# E01


def test_the_sampled_variance_of_the_path_is_the_corrected_one() -> None:
    eps = torch.randn(200_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    alpha, sigma = get_path("linear")(scalar(0.6))
    assert float((alpha * 2 + sigma * eps).var()) == pytest.approx(0.16, rel=0.02)
    shift = np.linspace(-4, 4, 161)
    for form, variance in (("printed", lambda t: 1 - t**2), (densities.STD, lambda t: 1 - t)):
        gaps = [stats.norm.cdf((1 - t) * shift / math.sqrt(variance(t))) - stats.norm.cdf(shift) for t in T_NINE]
        assert value(densities.condot_variance, form) == pytest.approx(np.abs(gaps).max(), rel=1e-9)


T_NINE = np.linspace(0.1, 0.9, 9)


# E03, E26


@pytest.mark.parametrize("power", [-2.0, -1.0, -0.5, 0.0, 1.0])
def test_the_last_decade_over_the_first_is_the_power_law_s(power: float) -> None:
    ratio, _ = densities.last_over_first(lambda c: (1 - c.t) ** power)
    assert ratio == pytest.approx(max(10 ** (-3 * (1 + power)), 1e-3), rel=0.1)


def test_the_vp_loss_of_normal_data_grows_like_the_inverse_hyperbolic_tangent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(three_gaussians, "MIXTURE", NORMAL)
    path = get_path("vp_sigma_t")
    t = torch.tensor([1e-5, 1e-3, 0.1, 0.5, 0.9], dtype=torch.float64)
    expected = 1 / (1 - (1 - t) ** 2)  # Var(u|x) of N(0, 1) data
    assert torch.allclose(densities.toy_variance("velocity", path.at(t)), expected, rtol=1e-9)
    _, sums = densities._decades(lambda c: densities.toy_variance("velocity", c), "vp_sigma_t", 0)
    ends = np.arctanh(1 - 10.0 ** -np.arange(1, 6))
    assert [float(x) for x in sums.split(", ")] == pytest.approx(list(np.diff(ends)), rel=5e-3)


def test_the_score_variance_agrees_with_monte_carlo_and_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    c = get_path("linear").at(scalar(0.7).reshape(1))
    generator = torch.Generator().manual_seed(1)
    z = three_gaussians.MIXTURE.sample(200_000, generator)
    eps = torch.randn(z.shape, generator=generator, dtype=torch.float64)
    x = c.alpha * z + c.sigma * eps
    error = (-eps / c.sigma - three_gaussians.MIXTURE.score(x, c)).square()
    found = float(densities.toy_variance("score", c))
    assert abs(found - float(error.mean())) < 5 * float(error.std()) / math.sqrt(len(z))
    monkeypatch.setattr(three_gaussians, "MIXTURE", NORMAL)
    t = torch.linspace(0.1, 0.9, 5, dtype=torch.float64)
    assert torch.allclose(
        densities.toy_variance("score", get_path("linear").at(t)),
        t**2 / (t**2 + (1 - t) ** 2) / (1 - t) ** 2,
        rtol=1e-9,
    )


def test_on_a_finite_set_the_score_variance_is_that_of_the_enumerated_posterior_and_its_integral_converges() -> None:
    t, z = 0.6, densities.DATA[:, 0].numpy()

    def integrand(x: float) -> float:
        joint = stats.norm.pdf(x, t * z, 1 - t) / len(z)
        score = -(x - t * z) / (1 - t) ** 2
        mean = joint @ score / joint.sum()
        return float(joint @ (score - mean) ** 2)

    expected = integrate.quad(integrand, -8, 8, epsabs=1e-12, limit=200)[0]
    found = densities._finite_set_variance(get_path("linear").at(scalar(t).reshape(1)))
    assert float(found) == pytest.approx(expected, rel=1e-6)
    ratio, _ = densities.last_over_first(densities._finite_set_variance)
    assert ratio < 2e-3


def test_what_leaves_a_logarithm_has_equal_decades() -> None:
    assert value(densities.score_matching_constant, densities.SIGMA) == pytest.approx(1, abs=0.05)
    assert value(densities.vp_sigma_t_loss, densities.RAND_SQUARED) == pytest.approx(1, abs=0.05)


# E04, E05, E06


def test_the_velocity_that_carries_the_cdf_is_the_marginal_velocity() -> None:
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    for t in fields.TIMES:
        expected = three_gaussians.MIXTURE.marginal_velocity(x, get_path("linear").at(t))[:, 0]
        assert torch.allclose(fields._transport_velocity(x, t), expected, atol=1e-8)


def test_the_printed_weights_do_not_integrate_to_one_and_the_posterior_s_do() -> None:
    x, t = 0.4, 0.5
    c = get_path("linear").at(scalar(t))
    pi, mu, s = (
        each.flatten().numpy()
        for each in (three_gaussians.MIXTURE.weights, three_gaussians.MIXTURE.means, three_gaussians.MIXTURE.stds)
    )
    prior = lambda z: float(pi @ stats.norm.pdf(z, mu, s))  # noqa: E731
    joint = lambda z: prior(z) * stats.norm.pdf(x, t * z, 1 - t)  # noqa: E731
    evidence = integrate.quad(joint, -6, 6, limit=200)[0]
    printed = integrate.quad(lambda z: joint(z) * prior(z) / evidence**2, -6, 6, limit=200)[0]
    z, density, posterior, p = fields._posterior(scalar(x).reshape(1, 1), c)
    spacing = float(z[1] - z[0])
    assert float(p) == pytest.approx(evidence, rel=1e-8)
    assert float(posterior.sum()) * spacing == pytest.approx(1, rel=1e-12)
    assert float((posterior * density / p).sum()) * spacing == pytest.approx(printed, rel=1e-8)
    assert abs(printed - 1) > 0.05


def test_the_divergence_by_differences_is_autograd_s() -> None:
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    field = lambda x: torch.stack([torch.sin(x[:, 0]) * x[:, 1], torch.exp(0.3 * x[:, 1]) * x[:, 0]], 1)  # noqa: E731
    expected = torch.cos(x[:, 0]) * x[:, 1] + 0.3 * torch.exp(0.3 * x[:, 1]) * x[:, 0]
    assert torch.allclose(fields.divergence(field, x), expected, atol=1e-9)


def test_the_sign_misprint_is_off_by_twice_the_change_of_density() -> None:
    x = torch.linspace(-3, 3, 61, dtype=torch.float64)[:, None]
    h = 1e-5
    path = get_path("linear")
    slopes = [
        (
            three_gaussians.MIXTURE.log_density(x, path.at(t + h)).exp()
            - three_gaussians.MIXTURE.log_density(x, path.at(t - h)).exp()
        )
        / (2 * h)
        for t in fields.TIMES
    ]
    expected = 2 * float(torch.stack(slopes).abs().max())
    assert value(fields.divergence_sign, "printed") == pytest.approx(expected, rel=1e-5)


def test_the_turned_score_s_flux_is_divergence_free_and_not_zero_and_the_outward_field_s_is_not() -> None:
    c = get_path("linear").at(scalar(0.5))

    def divergence_of(field: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        x = x.requires_grad_()
        flux = fields.PLANE.log_density(x, c).exp()[:, None] * field(x)
        parts = [torch.autograd.grad(flux[:, i].sum(), x, retain_graph=True)[0][:, i] for i in range(2)]
        return torch.stack(parts).sum(0)

    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    turned = divergence_of(lambda x: fields._turned_score(x, c), x.clone())
    assert float(turned.abs().max()) < 1e-14
    assert float(fields._turned_score(x, c).norm(dim=1).min()) > 0.01
    assert float(divergence_of(lambda x: 0.1 * x, x.clone()).abs().max()) > 0.01


# E07, E08, E09


def test_the_worked_numbers_are_the_source_s() -> None:
    x = 0.7 * worked_numbers.Z + 0.3 * worked_numbers.NOISE
    assert torch.allclose(x, torch.tensor([[2.16, 2.65]], dtype=torch.float64))
    assert float(((worked_numbers.PREDICTION - (worked_numbers.Z - x) / 0.3) ** 2).sum()) == pytest.approx(0.005)


def test_a_point_that_follows_the_field_keeps_its_speed() -> None:
    x, steps, speeds = worked_numbers.NOISE[0].numpy().copy(), 100, []
    for k in range(steps):
        velocity = (worked_numbers.Z[0].numpy() - x) / (1 - k / steps)
        speeds.append(np.linalg.norm(velocity))
        x = x + velocity / steps
    assert speeds == pytest.approx([math.hypot(2.8, 4.5)] * steps)
    assert value(worked_numbers.constant_speed, worked_numbers.QUADRATIC) == pytest.approx(
        98, rel=1e-6
    )  # 2 t |z - eps|


def test_the_guard_biases_by_what_the_docstring_says_and_its_absence_only_cancels() -> None:
    said = worked_numbers.guarded_target("printed", Context()).detail.split("off by ")[1].split(" at ")[0]
    expected = [1e-5 / (10.0**-k + 1e-5) for k in range(1, 6)]
    assert [float(x) for x in said.split(", ")] == pytest.approx(expected, rel=0.05)
    assert value(worked_numbers.guarded_target, worked_numbers.UNGUARDED) < 0.05


# E18, E19, E20


def test_the_law_of_rand_squared_is_003_s_line_reversed() -> None:
    t = torch.rand(400_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64) ** 2  # 003's own time
    loss = lambda t: torch.exp(-3 * t) + t  # noqa: E731
    drawn = 1 - get_time_law("one_minus_u_squared").quantile(torch.linspace(0, 1, 100_001, dtype=torch.float64)[1::2])
    assert float(loss(drawn).mean()) == pytest.approx(float(loss(t).mean()), abs=2e-3)
    expected = integrate.quad(lambda u: math.exp(-3 * u**2) + u**2, 0, 1)[0]
    assert float(loss(drawn).mean()) == pytest.approx(expected, abs=1e-8)
    assert expected / (integrate.quad(lambda t: math.exp(-3 * t) + t, 0, 1)[0]) - 1 == pytest.approx(0.0256, abs=1e-4)
    assert float((t < 0.25).double().mean()) == pytest.approx(0.5, abs=5e-3)


def test_the_bias_of_rand_squared_is_that_of_its_density_as_a_weight() -> None:
    path = get_path("linear")

    def loss(t: float) -> float:
        return float(densities.toy_variance("velocity", path.at(scalar(t).reshape(1))))

    # 1/(2 sqrt(1 - t)) is singular at t = 1; quad takes it as an algebraic weight.
    sampled = integrate.quad(loss, 0, 1, weight="alg", wvar=(0, -0.5), epsabs=1e-8)[0] / 2
    plain = integrate.quad(loss, 0, 1, epsabs=1e-8)[0]
    assert value(weights.rand_squared, "printed") == pytest.approx(abs(sampled / plain - 1), rel=1e-5)


def test_copied_into_the_other_time_the_line_is_unbiased_and_crowds_the_noise() -> None:
    assert value(weights.rand_squared, weights.OTHER_END) == pytest.approx(0.5 - (1 - math.sqrt(0.75)), abs=1e-12)


def test_emphasis_and_its_bound_property() -> None:
    printed, corrected = (weights.endpoint_emphasis(form, Context()) for form in ("printed", "corrected"))
    assert (printed.statistic, corrected.statistic) == pytest.approx((0.875, 0.125), abs=1e-14)
    assert printed.detail.endswith(": certified")
    assert corrected.detail.endswith(": not_representable")


@pytest.mark.parametrize(("name", "power"), [("linear", 2.0), ("cosine", 1.0)])
def test_the_velocity_factors_are_what_an_x1_error_is_worth(name: str, power: float) -> None:
    generator = torch.Generator().manual_seed(2)
    t = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    c: Coefficients = get_path(name).at(t)
    x, first, second = torch.randn(3, 9, 4, generator=generator, dtype=torch.float64)
    u = [convert(x1, x, c, get_target("x1"), get_target("velocity")) for x1 in (first, second)]
    ratio = (first - second).square().sum(1) / (u[0] - u[1]).square().sum(1)
    root = c.snr.sqrt()
    stated = (1 + root) ** -2 if power == 2 else 1 / (1 + root**2)
    assert torch.allclose(ratio / ratio[4], stated / stated[4], rtol=1e-10)


def test_one_over_snr_has_no_mean_and_the_corrected_factors_have_theirs() -> None:
    printed, corrected = (weights.snr_on_velocity(form, Context()).detail for form in ("printed", "corrected"))
    assert printed.count("mean inf") == 2
    assert "inf" not in corrected
    assert "snr/((1 + sqrt(snr))**2) on the linear path: range" in corrected
    assert "mean 0.333" in corrected  # t² on the linear path


# E02, E25


def test_the_fitted_gain_is_that_of_least_squares_on_samples() -> None:
    c = get_path("linear").at(scalar(0.5))
    generator = torch.Generator().manual_seed(3)
    z = three_gaussians.MIXTURE.sample(200_000, generator)
    eps = torch.randn(z.shape, generator=generator, dtype=torch.float64)
    feature = -c.sigma * three_gaussians.MIXTURE.score(c.alpha * z + c.sigma * eps, c)
    gain = float(torch.linalg.lstsq(feature, eps).solution)
    assert notation._fitted_gain(c, -1) == pytest.approx(gain, abs=0.02)
    assert notation._fitted_gain(c, 1) == pytest.approx(-gain, abs=0.02)


@pytest.mark.parametrize(
    ("misprint", "error"),
    [({"low": 1.0, "high": 0.0}, ValueError), ({"domain": 1}, RuntimeError)],
)
def test_each_misprint_raises_by_itself(misprint: dict, error: type[Exception]) -> None:
    with pytest.raises(error):
        notation.score_matching_loss(**misprint)
    assert math.isfinite(float(notation.score_matching_loss()))
