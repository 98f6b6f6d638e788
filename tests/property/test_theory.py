"""Every registered noun keeps the promises of its kind, by oracles that do not use its own formula."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import integrate

import reproflow.theory
from reproflow.foundation import processes, registry
from reproflow.foundation.errors import UsageError
from reproflow.theory import log_snr
from reproflow.theory.objective import Objective, get_objective
from reproflow.theory.paths import get_path
from reproflow.theory.targets import convert, get_target
from reproflow.theory.time_sampling import stratify
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

T = torch.linspace(0.02, 0.98, 49, dtype=torch.float64)


def names(kind: str, process: str) -> list[str]:
    return [entry.name for entry in registry.entries(kind, process)]


PATHS = [(process, name) for process in processes.known() for name in names("path", process)]


def central(function, t: torch.Tensor, h: float = 1e-6) -> torch.Tensor:
    return (function(t + h) - function(t - h)) / (2 * h)


@pytest.mark.parametrize(("process", "name"), PATHS)
class TestPaths:
    @pytest.mark.default_cases(3)
    def test_derivatives_agree_with_finite_differences(self, process: str, name: str) -> None:
        path = get_path(name, process)
        c = path.at(T)
        for index, derivative in enumerate((c.dalpha, c.dsigma)):
            torch.testing.assert_close(derivative, central(lambda t, i=index: path(t)[i], T), rtol=1e-7, atol=1e-9)

    def test_log_snr_rises_with_its_derivative(self, process: str, name: str) -> None:
        path = get_path(name, process)
        assert (path.at(T).lam.diff() > 0).all()
        torch.testing.assert_close(path.at(T).dlam, central(lambda t: path.at(t).lam, T), rtol=1e-6, atol=0)

    def test_ends(self, process: str, name: str) -> None:
        path = get_path(name, process)
        expects = path.entry.meta.get("expects", ())
        for end, wanted in ((0.0, (0, 1)), (1.0, (1, 0))):
            found = [float(value) for value in path(torch.tensor(end, dtype=torch.float64))]
            met = np.allclose(found, wanted, atol=1e-6)
            assert met or any(f"({end:.0f})" in each for each in expects), (found, expects)

    def test_log_snr_is_inverted(self, process: str, name: str) -> None:
        path = get_path(name, process)
        torch.testing.assert_close(log_snr.invert_lam(path, path.at(T).lam), T, rtol=0, atol=1e-10)

    def test_out_of_reach_is_nan(self, process: str, name: str) -> None:
        t = log_snr.invert_lam(get_path(name, process), torch.tensor([-500.0, 500.0]))
        assert t.isnan().all()


@pytest.mark.parametrize("name", ["cosine", "vp", "vp_sigma_t", "ve", "edm"])
def test_paths_that_preserve_variance_do(name: str) -> None:
    alpha, sigma = get_path(name)(torch.linspace(0.01, 0.99, 99, dtype=torch.float64))
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones_like(alpha), rtol=1e-13, atol=0)


@pytest.mark.parametrize("name", names("time", "gaussian"))
class TestTimeLaws:
    @pytest.mark.default_cases(2)
    def test_density_integrates_to_one(self, name: str) -> None:
        law = get_time_law(name)

        def density(t: float) -> float:
            return float(law.density(torch.tensor([t], dtype=torch.float64))[0])

        assert integrate.quad(density, 0, 1, limit=200)[0] == pytest.approx(1, abs=1e-6)

    def test_density_is_the_slope_of_the_quantiles(self, name: str) -> None:
        law = get_time_law(name)
        u = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
        slope = central(law.quantile, u)
        torch.testing.assert_close(law.density(law.quantile(u)) * slope, torch.ones_like(u), rtol=1e-6, atol=0)

    def test_cdf_inverts_the_quantiles(self, name: str) -> None:
        law = get_time_law(name)
        u = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
        torch.testing.assert_close(law.cdf(law.quantile(u)), u, rtol=0, atol=1e-12)

    def test_a_restricted_law_stays_inside_and_keeps_its_shape(self, name: str) -> None:
        law, u = get_time_law(name), (torch.arange(20000, dtype=torch.float64) + 0.5) / 20000
        t = law.draw(u, (0.2, 0.7))
        assert float(t.min()) >= 0.2
        assert float(t.max()) <= 0.7
        low, middle, high = (float(law.cdf(torch.tensor(x, dtype=torch.float64))) for x in (0.2, 0.5, 0.7))
        assert float((t < 0.5).double().mean()) == pytest.approx((middle - low) / (high - low), abs=1e-4)


def test_stratified_quantiles_hit_each_stratum_once() -> None:
    u = stratify(torch.rand(64, 5, dtype=torch.float64))
    assert ((u * 64).floor() == torch.arange(64)[:, None]).all()


class TestTargets:
    @pytest.mark.parametrize("path", names("path", "gaussian"))
    @pytest.mark.parametrize("source", names("target", "gaussian"))
    @pytest.mark.parametrize("wanted", names("target", "gaussian"))
    @pytest.mark.default_cases(44)
    def test_conversion_is_exact(self, path: str, source: str, wanted: str) -> None:
        generator = torch.Generator().manual_seed(0)
        x1, eps = torch.randn(2, 49, 3, generator=generator, dtype=torch.float64)
        c = get_path(path).at(T)
        x = c.alpha[:, None] * x1 + c.sigma[:, None] * eps
        a, b = get_target(source), get_target(wanted)
        torch.testing.assert_close(convert(a.of(x1, eps, c), x, c, a, b), b.of(x1, eps, c), rtol=1e-12, atol=1e-12)

    @pytest.mark.parametrize("path", names("path", "gaussian"))
    def test_velocity_is_the_derivative_of_the_path(self, path: str) -> None:
        x1, eps = torch.tensor(1.7, dtype=torch.float64), torch.tensor(-0.6, dtype=torch.float64)

        def x(t: torch.Tensor) -> torch.Tensor:
            alpha, sigma = get_path(path)(t)
            return alpha * x1 + sigma * eps

        c = get_path(path).at(T)
        torch.testing.assert_close(
            get_target("velocity").of(x1.expand(49), eps.expand(49), c), central(x, T), rtol=1e-6, atol=1e-8
        )


def own_elbo(path) -> torch.Tensor:
    """The ELBO's coefficient by finite differences: |lam'|/2 on the eps error, of tokens alpha'/(1 - alpha)."""
    if path.process != "gaussian":
        return central(lambda t: path(t)[0], T) / path(T)[1]
    return central(lambda t: torch.log(path(t)[0] / path(t)[1]), T)


@pytest.mark.parametrize("process", processes.known())
@pytest.mark.default_cases(1)
def test_a_canonical_weighting_is_its_canonical_form_under_every_law(process: str) -> None:
    for path, time in itertools.product(names("path", process), names("time", process)):
        p, law, weighting = get_path(path, process), get_time_law(time), get_weighting("sigmoid:k=1", process)
        wanted = 1 / (1 + (p.at(T).lam - 1).exp())
        # By the loss that training draws, since `canonical` itself never asks the law.
        drawn = law.density(T) * Objective(p, law, weighting).coefficient(T)
        torch.testing.assert_close(drawn, wanted * own_elbo(p), rtol=1e-5, atol=0)
        torch.testing.assert_close(Objective(p, law, weighting).weight(T), wanted, rtol=1e-10, atol=0)


def test_uniform_velocity_on_the_linear_path_is_fm() -> None:
    """ST-8: flow matching with the OT path is exp(-lam/2), that is (1 - t)/t."""
    path, law = get_path("linear"), get_time_law("uniform")
    found = Objective(path, law, get_weighting("uniform")).weight(T)
    torch.testing.assert_close(found, (1 - T) / T, rtol=1e-12, atol=0)


def test_eps_prediction_on_the_cosine_path_is_iddpm() -> None:
    """ST-8: uniform time and unit weight on eps is sech(lam/2) up to a constant; |dlam/dt| by finite differences."""
    path = get_path("cosine")
    slope = central(lambda t: path.at(t).lam, T).abs()
    ratio = get_weighting("iddpm").at(path.at(T)) / (2 / slope)
    torch.testing.assert_close(ratio, ratio[:1].expand(49), rtol=1e-6, atol=0)


@pytest.mark.parametrize("process", processes.known())
def test_weightings_are_finite_and_not_negative(process: str) -> None:
    for path, name in itertools.product(names("path", process), names("weighting", process)):
        c = get_path(path, process).at(T)
        value = get_weighting(name, process).at(c)
        assert value.shape == T.shape
        assert (value.isfinite() & (value >= 0)).all()


def test_a_bad_weighting_is_refused_with_its_first_bad_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from reproflow.theory.admission import admit_coefficient

    monkeypatch.setattr(registry, "BUILT_IN", registry.BUILT_IN.copy())

    @reproflow.theory.weightings.weighting("broken", on="velocity", cite="-")
    def broken(t: torch.Tensor, lam: torch.Tensor) -> torch.Tensor:
        """Negative early on."""
        return t - 0.25

    with pytest.raises(UsageError, match=r"'broken'.*t = 0\.00"):
        admit_coefficient(get_objective("linear", "uniform", "broken"), (0.001, 0.999))
    admit_coefficient(get_objective("linear", "uniform", "broken"), (0.3, 0.999))


def test_min_snr_on_x1_and_its_match_on_velocity() -> None:
    """On the velocity of the linear path min(SNR, gamma) on x1 is min(SNR, gamma) / (1 + sqrt SNR)²."""
    path = get_path("linear")
    snr = path.at(T).snr
    x1_factor = get_weighting("min_snr").at(path.at(T))
    on_velocity = (
        x1_factor * get_target("x1").error_factor(path.at(T)) / get_target("velocity").error_factor(path.at(T))
    )
    torch.testing.assert_close(on_velocity, snr.clamp(max=5) / (1 + snr.sqrt()) ** 2, rtol=1e-12, atol=0)
    assert math.isclose(float(x1_factor.max()), 5)
