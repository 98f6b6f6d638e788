"""Exact posteriors against quadrature, brute force, automatic differentiation and closed forms."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from reproflow.exact import empirical
from reproflow.exact.empirical import gaussian_floor, masked_floor, masked_posterior, posterior_mean
from reproflow.exact.mixture import Mixture
from reproflow.theory.paths import get_path

DOUBLE = torch.float64


def tensor(values) -> torch.Tensor:
    return torch.tensor(values, dtype=DOUBLE)


def line() -> Mixture:
    return Mixture(tensor([0.3, 0.7]), tensor([[-1.2], [0.8]]), tensor([0.3, 0.5]))


def plane() -> Mixture:
    return Mixture(tensor([0.2, 0.5, 0.3]), tensor([[-1.0, 0.5], [0.7, 0.7], [0.0, -1.5]]), tensor([0.4, 0.3, 0.6]))


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def data_density(mixture: Mixture, z: float) -> float:
    parts = zip(mixture.weights.tolist(), mixture.means[:, 0].tolist(), mixture.stds.tolist(), strict=True)
    return sum(w * stats.norm.pdf(z, m, s) for w, m, s in parts)


@pytest.mark.parametrize("path", ["linear", "cosine", "vp"])
@pytest.mark.parametrize("t", [0.2, 0.7])
@pytest.mark.default_cases(2)
def test_mixture_moments_equal_quadrature_over_the_data(path: str, t: float) -> None:
    c, mixture, x = get_path(path).at(tensor(t)), line(), 0.37
    alpha, sigma, a, b = (float(value) for value in (c.alpha, c.sigma, c.dalpha, c.dsigma))

    def moment(f) -> float:
        def integrand(z: float) -> float:
            return f(z) * data_density(mixture, z) * stats.norm.pdf(x, alpha * z, sigma)

        return integrate.quad(integrand, -6, 6, epsabs=1e-13, epsrel=1e-12, limit=300, points=[-1.2, 0.8, x / alpha])[0]

    def velocity(z: float) -> float:
        return a * z + b * (x - alpha * z) / sigma

    at = tensor([[x]])
    density, mean, u = moment(lambda z: 1.0), moment(lambda z: z), moment(velocity)
    spread = moment(lambda z: velocity(z) ** 2) / density - (u / density) ** 2
    assert float(mixture.log_density(at, c)) == pytest.approx(math.log(density), rel=1e-10)
    assert float(mixture.posterior_mean(at, c)) == pytest.approx(mean / density, rel=1e-10)
    assert float(mixture.marginal_velocity(at, c)) == pytest.approx(u / density, rel=1e-9)
    assert float(mixture.velocity_variance(at, c)) == pytest.approx(spread, rel=1e-8)


def test_score_is_the_gradient_of_the_log_density_and_times_broadcast() -> None:
    x, t = randn(5, 2).requires_grad_(), torch.linspace(0.1, 0.9, 5, dtype=DOUBLE)
    c = get_path("cosine").at(t)
    (gradient,) = torch.autograd.grad(plane().log_density(x, c).sum(), x)
    torch.testing.assert_close(plane().score(x, c), gradient, rtol=1e-12, atol=1e-12)
    one_by_one = [plane().score(x[i : i + 1], get_path("cosine").at(t[i])) for i in range(5)]
    torch.testing.assert_close(plane().score(x, c), torch.cat(one_by_one), rtol=0, atol=1e-14)


def test_mixture_at_the_ends_and_responsibilities() -> None:
    x, linear = randn(6, 2), get_path("linear")
    torch.testing.assert_close(plane().posterior_mean(x, linear.at(tensor(1.0))), x)
    prior = (plane().weights @ plane().means).expand(6, 2)
    torch.testing.assert_close(plane().posterior_mean(x, linear.at(tensor(0.0))), prior)
    assert torch.isfinite(plane().marginal_velocity(x, linear.at(tensor(1.0)))).all()
    r = plane().responsibilities(x, linear.at(tensor(0.5)))
    torch.testing.assert_close(r.sum(1), torch.ones(6, dtype=DOUBLE))
    # At t = 0 x says nothing about the component.
    torch.testing.assert_close(plane().responsibilities(x, linear.at(tensor(0.0))), plane().weights.expand(6, 3))


def test_samples_have_the_moments_of_the_mixture() -> None:
    draws, mixture = plane().sample(40_000, torch.Generator().manual_seed(3)), plane()
    mean = mixture.weights @ mixture.means
    second = mixture.weights @ (mixture.means**2 + mixture.stds[:, None] ** 2)
    error = draws.std(0) / math.sqrt(len(draws))
    assert bool(((draws.mean(0) - mean).abs() < 5 * error).all())
    torch.testing.assert_close((draws**2).mean(0), second, rtol=0.03, atol=0)


def test_expected_velocity_variance_of_one_gaussian_is_its_closed_form() -> None:
    single = Mixture(tensor([1.0]), tensor([[0.4, -0.2]]), tensor([0.5]))
    c = get_path("linear").at(tensor([0.3, 0.8]))
    # Var(x1 - eps | x) of a bivariate Gaussian, by the Schur complement, in two dimensions.
    prior = np.diag([0.25, 1.0])
    expected = []
    for alpha, sigma in zip(c.alpha.tolist(), c.sigma.tolist(), strict=True):
        observe, wanted = np.array([alpha, sigma]), np.array([1.0, -1.0])
        gain = prior @ observe / (observe @ prior @ observe)
        expected.append(2 * wanted @ (prior - np.outer(gain, observe @ prior)) @ wanted)
    found = single.expected_velocity_variance(c, 50, torch.Generator().manual_seed(0))
    torch.testing.assert_close(found, tensor(expected), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("weights", "means", "stds", "message"),
    [
        ([0.5, 0.4], [[0.0], [1.0]], [1.0, 1.0], "sum to 1"),
        ([0.5, 0.5], [[0.0], [1.0]], [1.0, -1.0], "positive"),
        ([0.5, 0.5], [[0.0]], [1.0, 1.0], "weights"),
    ],
)
def test_a_malformed_mixture_is_refused(weights, means, stds, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mixture(tensor(weights), tensor(means), tensor(stds))


def brute_force_mean(x, data, alpha, sigma) -> torch.Tensor:
    """The posterior mean row by row, from squared distances."""
    rows = []
    for row, a, b in zip(x, alpha.tolist(), sigma.tolist(), strict=True):
        distance = ((row - a * data) ** 2).sum(1) / (2 * b**2)
        weight = np.exp(-(distance - distance.min()).numpy().astype(np.longdouble))
        rows.append((weight[:, None] * data.numpy()).sum(0) / weight.sum())
    return torch.from_numpy(np.array(rows, dtype=np.float64))


def twins(n: int = 40, d: int = 6, shift: float = 3.0) -> torch.Tensor:
    """Points in close pairs, away from the origin, so that the posterior is neither flat nor one-hot."""
    base = randn(n // 2, d, seed=1) + shift
    return torch.cat([base, base + 0.05 * randn(n // 2, d, seed=2)])


@pytest.mark.parametrize("t", [0.05, 0.5, 0.95])
def test_attention_equals_the_brute_force_posterior(t: float) -> None:
    data = twins()
    c = get_path("linear").at(torch.full((30,), t, dtype=DOUBLE))
    x = c.alpha[:, None] * data[:30] + c.sigma[:, None] * randn(30, 6, seed=4)
    torch.testing.assert_close(
        posterior_mean(x, data, c), brute_force_mean(x, data, c.alpha, c.sigma), rtol=1e-10, atol=1e-10
    )


def test_attention_with_times_per_row_scalar_times_and_several_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(empirical, "CHUNK", 7)
    data, c = twins(), get_path("cosine").at(torch.linspace(0.02, 0.999, 25, dtype=DOUBLE))
    x = c.alpha[:, None] * data[5:30] + c.sigma[:, None] * randn(25, 6, seed=5)
    torch.testing.assert_close(
        posterior_mean(x, data, c), brute_force_mean(x, data, c.alpha, c.sigma), rtol=1e-9, atol=1e-9
    )
    scalar = get_path("cosine").at(tensor(0.4))
    expected = brute_force_mean(x, data, scalar.alpha.expand(25), scalar.sigma.expand(25))
    torch.testing.assert_close(posterior_mean(x, data, scalar), expected, rtol=1e-9, atol=1e-9)


def test_classes_see_their_own_points_only() -> None:
    data, labels, y = twins(), torch.arange(40) % 3, torch.arange(12) % 3
    c = get_path("linear").at(torch.linspace(0.1, 0.9, 12, dtype=DOUBLE))
    x = randn(12, 6, seed=6) + 1
    found = posterior_mean(x, data, c, y, labels)
    for i in range(12):
        own = data[labels == y[i]]
        expected = brute_force_mean(x[i : i + 1], own, c.alpha[i : i + 1], c.sigma[i : i + 1])
        torch.testing.assert_close(found[i : i + 1], expected, rtol=1e-9, atol=1e-9)
    with pytest.raises(ValueError, match="label 7"):
        posterior_mean(x, data, c, torch.full((12,), 7), labels)


def test_float32_queries_give_float32_answers_near_the_float64_ones() -> None:
    data, c = twins(shift=0.0), get_path("linear").at(torch.full((10,), 0.5, dtype=DOUBLE))
    x = randn(10, 6, seed=7)
    found = posterior_mean(x.float(), data.float(), c)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), posterior_mean(x, data, c), rtol=1e-4, atol=1e-4)


def test_masked_posterior_equals_counting() -> None:
    vocabulary, data = 3, torch.randint(0, 3, (12, 4), generator=torch.Generator().manual_seed(0))
    tokens = torch.stack([torch.tensor(t) for t in itertools.product(range(4), repeat=4)])
    possible = []
    for row in tokens:
        agree = [z for z in data if all(s in (vocabulary, v) for s, v in zip(row.tolist(), z.tolist(), strict=True))]
        if agree:
            counts = [[sum(int(z[d]) == v for z in agree) / len(agree) for v in range(vocabulary)] for d in range(4)]
            possible.append((row, tensor(counts)))
    assert 50 < len(possible) < len(tokens)
    found = masked_posterior(torch.stack([row for row, _ in possible]), data, vocabulary)
    torch.testing.assert_close(found, torch.stack([counts for _, counts in possible]), rtol=0, atol=1e-15)


def test_masked_posterior_of_a_class_and_of_an_impossible_row() -> None:
    data, labels = torch.tensor([[0, 1], [0, 2], [1, 2]]), torch.tensor([0, 1, 1])
    found = masked_posterior(torch.tensor([[0, 3], [0, 3]]), data, 3, y=torch.tensor([0, 1]), labels=labels)
    torch.testing.assert_close(found[:, 1], tensor([[0, 1, 0], [0, 0, 1]]))
    with pytest.raises(ValueError, match="row 1"):
        masked_posterior(torch.tensor([[0, 3], [2, 3]]), data, 3)


def test_gaussian_floor_of_gaussian_data_is_its_closed_form() -> None:
    # eps given x has variance alpha² s² / (alpha² s² + sigma²) a dimension.
    s, n = 0.6, 20_000
    single = Mixture(tensor([1.0]), tensor([[0.3, -0.1]]), tensor([s]))
    generator = torch.Generator().manual_seed(1)
    x1, eps = single.sample(n, generator), randn(n, 2, seed=8)
    t = torch.rand(n, generator=generator, dtype=DOUBLE)
    c = get_path("linear").at(t)
    found = float(gaussian_floor(single.posterior_mean, x1, eps, c, 1 + t))

    def integrand(u: float) -> float:
        return (1 + u) * 2 * (u * s) ** 2 / ((u * s) ** 2 + (1 - u) ** 2)

    assert found == pytest.approx(integrate.quad(integrand, 0, 1)[0], rel=0.03)


def test_gaussian_floor_of_a_data_set_is_below_any_other_denoiser() -> None:
    data, n = twins(shift=0.0), 400
    x1, eps = data[torch.arange(n) % 40], randn(n, 6, seed=9)
    c = get_path("linear").at(torch.linspace(0.01, 0.9, n, dtype=DOUBLE))
    ones = torch.ones(n, dtype=DOUBLE)
    floor = gaussian_floor(lambda x, c: posterior_mean(x, data, c), x1, eps, c, ones)
    other = gaussian_floor(lambda x, c: posterior_mean(x, data[:20], c), x1, eps, c, ones)
    knows = gaussian_floor(lambda x, c: x1, x1, eps, c, ones)
    assert float(knows) == 0
    assert 0 < float(floor) < float(other)


def test_masked_floor_of_copied_tokens() -> None:
    # L equal tokens, uniform over V: nothing is left to guess once one is shown, else each costs log V.
    vocabulary, length = 5, 3
    data = torch.arange(vocabulary)[:, None].expand(vocabulary, length)
    x1 = data.repeat(8, 1)
    shown = (
        torch.stack([torch.tensor(p) for p in itertools.product([0, 1], repeat=length)]).repeat_interleave(5, 0) == 1
    )
    tokens = torch.where(shown, x1, vocabulary)
    coefficient = torch.linspace(1, 2, len(x1), dtype=DOUBLE)
    found = masked_floor(lambda z: masked_posterior(z, data, vocabulary), x1, tokens, coefficient)
    expected = float((coefficient * ~shown.any(1)).mean()) * length * math.log(vocabulary)
    assert float(found) == pytest.approx(expected, rel=1e-14)
