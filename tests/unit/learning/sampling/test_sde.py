"""The sampler with noise: moments and law of the marginals, and the ancestral step."""

from __future__ import annotations

import pytest
import torch
from exact_mixtures import DOUBLE, exact, one_dimension
from scipy import stats

from reproflow.exact.mixture import Mixture
from reproflow.foundation import names
from reproflow.learning.networks.denoiser import GaussianDenoiser
from reproflow.learning.sampling import sde

PATHS = [known.name for known in names.known() if (known.kind, known.process) == ("path", "gaussian")]
TARGETS = [known.name for known in names.known() if known.kind == "target" and known.process == "gaussian"]


def moments(path: str, steps: int, eta: float) -> tuple[float, float, float]:
    """Error of mean and variance of what `sde` makes of N(1, 0.3²) data, and the true variance, without any sampling.

    The sampler is affine in its noise: row k has noise at step k only, and the last row has none.
    """
    denoiser, t_range = exact(one_dimension((1.0, 1.0, 0.3)), path), (1e-3, 0.99)

    def noise(step: int) -> torch.Tensor:
        return torch.nn.functional.one_hot(torch.tensor(step), steps + 2).double()[:, None]

    x, nfe = sde.sample_sde(denoiser, noise, None, t_range, steps, eta)
    alpha, sigma = (float(each) for each in denoiser.path(torch.tensor(t_range[1], dtype=DOUBLE)))
    variance = (0.3 * alpha) ** 2 + sigma**2
    assert nfe == steps
    return float(x[-1]) - alpha, float((x[:-1] - x[-1]).square().sum()) - variance, variance


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.default_cases(5)
def test_the_sde_has_the_moments_of_the_data(path: str, eta: float) -> None:
    """At first order in the step, for any share of noise (vp starts with alpha = 0.0066: its base has another mean)."""
    errors = [moments(path, steps, eta) for steps in (60, 120)]
    assert abs(errors[1][0]) < 0.03
    assert abs(errors[1][1]) < 0.2 * errors[1][2]
    assert abs(errors[1][1]) < 0.65 * abs(errors[0][1]) or abs(errors[1][1]) < 4e-3 * errors[1][2]


@pytest.mark.parametrize("path", ["linear", "cosine"])
def test_noise_that_no_score_pays_for_widens_the_marginals(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = sde.sde_shares
    monkeypatch.setattr(sde, "sde_shares", lambda now, after, eta: (after[1], honest(now, after, eta)[1]))
    wrong = [moments(path, steps, 1.0) for steps in (60, 120)]
    assert all(error > variance for _, error, variance in wrong)
    assert wrong[1][1] > wrong[0][1]


def p_value(denoiser: GaussianDenoiser, mixture: Mixture, eta: float, steps: int, n: int = 2000) -> float:
    """Of the Kolmogorov-Smirnov test of n samples against the marginal at t_max."""
    generator = torch.Generator().manual_seed(0)
    t_range = (1e-3, 0.99)
    x, _ = sde.sample_sde(
        denoiser, lambda step: torch.randn(n, 1, generator=generator, dtype=DOUBLE), None, t_range, steps, eta
    )
    alpha, sigma = (float(each) for each in denoiser.path(torch.tensor(t_range[1], dtype=DOUBLE)))
    scales = ((alpha * mixture.stds) ** 2 + sigma**2).sqrt().numpy()
    means = (alpha * mixture.means[:, 0]).numpy()

    def cdf(value) -> float:
        return stats.norm.cdf(value[..., None], means, scales) @ mixture.weights.numpy()

    return float(stats.kstest(x[:, 0].numpy(), cdf).pvalue)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.default_cases(1)
def test_the_sde_has_the_law_of_a_mixture(eta: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """And with the same noise but without the score's correction it has not."""
    mixture = one_dimension((0.3, -1.2, 0.2), (0.7, 0.6, 0.4))
    denoiser = exact(mixture, "cosine")
    assert p_value(denoiser, mixture, eta, 200) > 1e-3
    assert p_value(denoiser, mixture, eta, 3) < 1e-6
    if eta:
        honest = sde.sde_shares
        monkeypatch.setattr(sde, "sde_shares", lambda now, after, eta: (after[1], honest(now, after, eta)[1]))
        assert p_value(denoiser, mixture, eta, 200) < 1e-12


@pytest.mark.parametrize(
    ("now", "after"), [((0.3, 0.7), (0.4, 0.6)), ((0.05, 0.999), (0.9, 0.1)), ((1.0, 9.0), (1.0, 2.0))]
)
def test_the_full_noise_is_the_ancestral_step(now: tuple[float, float], after: tuple[float, float]) -> None:
    """q(x_after | x_now, x1) by conditioning the Gaussian pair, where x_now is x_after rescaled with noise added."""
    covariance = now[0] / after[0] * after[1] ** 2
    kept, fresh = sde.sde_shares(now, after, 1.0)
    assert fresh**2 == pytest.approx(after[1] ** 2 - covariance**2 / now[1] ** 2)
    # x_now = alpha x1 + sigma eps, so the regression on it is one on eps.
    assert kept == pytest.approx(covariance / now[1])
    assert sde.sde_shares(now, after, 0.0) == (after[1], 0.0)


def test_the_sde_is_the_same_whatever_the_network_predicts() -> None:
    mixture = one_dimension((0.3, -1.2, 0.2), (0.7, 0.6, 0.4))
    fixed = torch.randn(21, 50, 1, generator=torch.Generator().manual_seed(1), dtype=DOUBLE)
    found = [
        sde.sample_sde(exact(mixture, "linear", target), lambda k: fixed[k], None, (1e-3, 0.99), 20, 0.7)[0]
        for target in TARGETS
    ]
    assert len(found) >= 5
    for each in found[1:]:
        torch.testing.assert_close(each, found[0], rtol=1e-9, atol=1e-9)
