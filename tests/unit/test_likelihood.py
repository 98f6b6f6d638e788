"""Likelihoods: bounds and flows against enumeration, closed forms and quadrature."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor

from reproflow.evaluation import likelihood
from reproflow.exact.discrete import TableDenoiser, random_order_bound, random_order_nll
from reproflow.foundation.errors import UsageError
from reproflow.theory.paths import Path, get_path

torch.set_num_threads(1)
DOUBLE = torch.float64
CPU = torch.device("cpu")


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def every_sequence(vocabulary: int, length: int) -> Tensor:
    return torch.tensor(list(itertools.product(range(vocabulary), repeat=length)))


# -- masked ------------------------------------------------------------------------------------------------------------


@dataclass
class RandomMasked:
    """An arbitrary masked denoiser, whose conditionals fit no joint law; with classes, y shifts its logits."""

    vocabulary: int
    length: int
    seed: int = 0
    device = CPU

    def logits(self, tokens: Tensor, y: Tensor | None = None) -> Tensor:
        weights = torch.randn(
            self.length, self.vocabulary + 1, self.length, self.vocabulary, generator=generator(self.seed), dtype=DOUBLE
        )
        hidden = sum(weights[i, tokens[:, i]] for i in range(self.length)).sin() * 2
        return hidden if y is None else hidden + y[:, None, None] * torch.arange(self.vocabulary)


def random_table(vocabulary: int, length: int) -> Tensor:
    table = torch.rand([vocabulary] * length, generator=generator(1), dtype=DOUBLE) + 0.05
    return table / table.sum()


@pytest.mark.parametrize(("vocabulary", "length"), [(3, 2), (2, 4)])
def test_masked_bound_over_masks_is_the_mean_over_orders(vocabulary: int, length: int) -> None:
    model, x = RandomMasked(vocabulary, length), every_sequence(vocabulary, length)
    over_masks = likelihood.masked_bound_exact(model, x)
    torch.testing.assert_close(over_masks, random_order_bound(model.logits, x, vocabulary), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("vocabulary", "length"), [(3, 2), (2, 4)])
def test_masked_bound_is_above_a_proper_likelihood(vocabulary: int, length: int) -> None:
    model, x = RandomMasked(vocabulary, length), every_sequence(vocabulary, length)
    nll = random_order_nll(model.logits, x, vocabulary)
    assert float((-nll).exp().sum()) == pytest.approx(1, abs=1e-12)
    assert (likelihood.masked_bound_exact(model, x) > nll + 1e-3).all()


def test_masked_bound_is_tight_for_the_exact_denoiser_of_a_table() -> None:
    table = random_table(3, 2)
    x = every_sequence(3, 2)
    expected = -table.log().flatten()
    torch.testing.assert_close(likelihood.masked_bound_exact(TableDenoiser(table), x), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(random_order_nll(TableDenoiser(table).logits, x, 3), expected, rtol=0, atol=1e-12)


def test_table_denoiser_is_bayes_rule() -> None:
    table = random_table(3, 2)
    tokens = torch.tensor([[3, 3], [1, 3], [3, 2]])
    p = TableDenoiser(table).logits(tokens).exp()
    torch.testing.assert_close(p[0], torch.stack([table.sum(1), table.sum(0)]))
    torch.testing.assert_close(p[1, 1], table[1] / table[1].sum())
    torch.testing.assert_close(p[2, 0], table[:, 2] / table[:, 2].sum())


@pytest.mark.parametrize("strata", [None, 2, 1])
def test_sampled_masked_bound_is_unbiased_with_an_honest_error(strata: int | None) -> None:
    model, x = RandomMasked(2, 4), every_sequence(2, 4)
    exact = likelihood.masked_bound_exact(model, x)
    sampled = likelihood.masked_bound(model, x, None, generator(2), repeats=400, strata=strata)
    z = (sampled.nats - exact) / sampled.se
    assert z.abs().max() < 4.5
    assert float(z.square().mean()) < 3


def test_more_strata_have_less_variance() -> None:
    model, x = RandomMasked(2, 4), every_sequence(2, 4)
    per_call = [s * likelihood.masked_bound(model, x, None, generator(3), 300, s).se.square().mean() for s in (1, 4)]
    assert per_call[1] < 0.9 * per_call[0]


def test_masked_bound_uses_labels_and_its_generator_only() -> None:
    model, x = RandomMasked(3, 2), every_sequence(3, 2)
    y = torch.arange(len(x)) % 2
    exact = likelihood.masked_bound_exact(model, x, y)
    separately = torch.stack([likelihood.masked_bound_exact(model, x[i : i + 1], y[i : i + 1])[0] for i in range(9)])
    torch.testing.assert_close(exact, separately)
    assert (exact[1::2] - likelihood.masked_bound_exact(model, x)[1::2]).abs().min() > 1e-6
    first, again, other = (likelihood.masked_bound(model, x, y, generator(s)).nats for s in (4, 4, 5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_one_repeat_has_no_error_and_large_enumerations_are_refused() -> None:
    model = RandomMasked(2, 13)
    assert likelihood.masked_bound(RandomMasked(2, 3), every_sequence(2, 3), None, generator(0), 1).se.isnan().all()
    with pytest.raises(UsageError, match="at most 12"):
        likelihood.masked_bound_exact(model, torch.zeros(1, 13, dtype=torch.int64))
    for enumerate_orders in (random_order_bound, random_order_nll):
        with pytest.raises(UsageError, match="at most 8"):
            enumerate_orders(model.logits, torch.zeros(1, 9, dtype=torch.int64), 2)


# -- Gaussian ----------------------------------------------------------------------------------------------------------


@dataclass
class ExactGaussian:
    """The exact posterior of data with joint law `table` (V, .., V) over levels `values` under a Gaussian path."""

    table: Tensor
    values: Tensor
    path: Path
    device = CPU

    def x1_logits(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        length, vocabulary = self.table.dim(), len(self.values)
        states = every_sequence(vocabulary, length)
        alpha, sigma = self.path(t.double())
        distance = (x[:, None] - alpha[:, None, None] * self.values[states]).square().sum(-1)
        log_p = self.table.log().flatten() - distance / (2 * sigma[:, None] ** 2)
        p = log_p.softmax(-1)
        return torch.einsum("bs,sdv->bdv", p, torch.nn.functional.one_hot(states, vocabulary).double()).log()

    def x1(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        return self.x1_logits(x, t).exp() @ self.values


@pytest.mark.parametrize("path", ["linear", "cosine"])
def test_gaussian_bound_is_tight_for_the_exact_denoiser(path: str) -> None:
    """Over the whole range the exact reverse process of a law has that law, image by image."""
    table = random_table(3, 2)
    values = torch.linspace(-1, 1, 3, dtype=DOUBLE)
    model = ExactGaussian(table, values, get_path(path))
    x = every_sequence(3, 2).repeat(1000, 1)
    bound = likelihood.gaussian_bound(model, x, None, generator(1), values, (1e-4, 1 - 1e-3), strata=16, repeats=2)
    nats = bound.nats.reshape(1000, 9)
    se = nats.std(0) / math.sqrt(1000)
    assert ((nats.mean(0) + table.log().flatten()) / se).abs().max() < 4.5
    # Sharp enough to tell the nine probabilities apart.
    assert se.max() < 0.1 * table.log().flatten().std()


def marginal_divergence(p: np.ndarray, values: np.ndarray, alpha: float, sigma: float) -> float:
    """KL(q(z) || N(0, 1)) of the noised one-pixel law, by quadrature."""

    def integrand(z: float) -> float:
        q = float(p @ stats.norm.pdf(z, alpha * values, sigma))
        return q * (math.log(q) - stats.norm.logpdf(z)) if q > 0 else 0.0

    return integrate.quad(integrand, -8, 8, limit=400, epsabs=1e-10)[0]


@pytest.mark.parametrize("t_range", [(0.2, 0.9), (0.4, 0.6), (0.01, 0.995)])
def test_gaussian_bound_is_entropy_plus_prior_mismatch_whatever_the_range(t_range: tuple[float, float]) -> None:
    p = torch.tensor([0.1, 0.4, 0.3, 0.15, 0.05], dtype=DOUBLE)
    values = torch.linspace(-1, 1, 5, dtype=DOUBLE)
    path = get_path("linear")
    x = torch.arange(5).repeat_interleave((p * 4000).round().long()).unsqueeze(1)
    bound = likelihood.gaussian_bound(ExactGaussian(p, values, path), x, None, generator(2), values, t_range, 16, 4)
    alpha, sigma = (float(c) for c in path(torch.tensor(t_range[0], dtype=DOUBLE)))
    expected = stats.entropy(p.numpy()) + marginal_divergence(p.numpy(), values.numpy(), alpha, sigma)
    se = float(bound.se.square().sum().sqrt()) / len(x)
    assert abs(float(bound.nats.mean()) - expected) < 4.5 * se
    assert se < 0.01


def test_gaussian_bound_of_a_wrong_model_is_its_own_cross_entropy() -> None:
    p, r = torch.tensor([0.7, 0.2, 0.1], dtype=DOUBLE), torch.tensor([0.2, 0.3, 0.5], dtype=DOUBLE)
    values = torch.linspace(-1, 1, 3, dtype=DOUBLE)
    x = torch.arange(3).repeat_interleave((p * 3000).round().long()).unsqueeze(1)
    bound = likelihood.gaussian_bound(ExactGaussian(r, values, get_path("linear")), x, None, generator(3), values)
    se = float(bound.se.square().sum().sqrt()) / len(x)
    assert abs(float(bound.nats.mean()) - float(-(p * r.log()).sum())) < 4.5 * se
    assert float(bound.nats.mean()) > stats.entropy(p.numpy()) + 10 * se


def test_gaussian_bound_errors_are_calibrated_and_generators_decide() -> None:
    table = random_table(3, 2)
    values = torch.linspace(-1, 1, 3, dtype=DOUBLE)
    model = ExactGaussian(table, values, get_path("linear"))
    x = every_sequence(3, 2).repeat(20, 1)
    first, again = (likelihood.gaussian_bound(model, x, None, generator(4), values, strata=8, repeats=50) for _ in "ab")
    assert torch.equal(first.nats, again.nats)
    z = (first.nats + table.log().flatten().repeat(20)) / first.se
    assert 0.75 < float(z.square().mean()) < 1.35


@pytest.mark.parametrize("t_range", [(1e-3, 1 - 1e-3), (0.45, 0.55), (0.9, 0.99)])
def test_proposal_is_a_density_over_the_range(t_range: tuple[float, float]) -> None:
    path = get_path("linear")
    proposal = likelihood.Proposal.over(path, t_range, 1 / 8)
    u = (torch.arange(100_000, dtype=DOUBLE) + 0.5) / 100_000
    lam, per_density = proposal.quantile(u)
    low, high = (2 * math.log(t / (1 - t)) for t in t_range)
    assert low <= float(lam.min()) <= float(lam.max()) <= high
    assert (lam.diff() > 0).all()
    for moment in (0, 1, 2):
        expected = (high ** (moment + 1) - low ** (moment + 1)) / (moment + 1)
        assert float((lam**moment * per_density).mean()) == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_time_of_inverts_the_path() -> None:
    lam = torch.linspace(-12, 12, 25, dtype=DOUBLE)
    t = likelihood.time_of(get_path("linear"), lam, (1e-4, 1 - 1e-4))
    torch.testing.assert_close(t, torch.sigmoid(lam / 2), rtol=1e-12, atol=1e-12)


def test_bits_per_dim_of_uniform_levels() -> None:
    assert likelihood.bits_per_dim(64 * math.log(16), 64) == pytest.approx(4)


# -- flow --------------------------------------------------------------------------------------------------------------

MEAN = torch.tensor([0.7, -0.4], dtype=DOUBLE)
STD = torch.tensor([0.3, 1.4], dtype=DOUBLE)
TURN = torch.linalg.qr(torch.tensor([[1.0, 0.6], [-0.3, 1.0]], dtype=DOUBLE)).Q


class GaussianFlow:
    """The marginal velocity of data N(mean, Q diag(std²) Q') on the linear path, from Gaussian regression."""

    device = CPU

    def velocity(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        t = t[:, None]
        sigma, variance = 1 - t, t**2 * STD**2 + (1 - t) ** 2
        z = (x - t * MEAN) @ TURN
        # E[x1 - eps | x] = mean + Cov(x1 - eps, x) Var(x)^-1 (x - t mean).
        return MEAN + ((t * STD**2 - sigma) / variance * z) @ TURN.T


def data_log_density(x: Tensor) -> np.ndarray:
    covariance = (TURN * STD**2) @ TURN.T
    return stats.multivariate_normal(MEAN.numpy(), covariance.numpy()).logpdf(x.numpy())


def gaussian_points(n: int) -> Tensor:
    return MEAN + (STD * torch.randn(n, 2, generator=generator(1), dtype=DOUBLE)) @ TURN.T


def test_flow_nll_of_a_gaussian_is_exact() -> None:
    x = gaussian_points(50)
    flow = likelihood.flow_nll(GaussianFlow(), x, t_range=(0.0, 1.0), steps=64)
    np.testing.assert_allclose(flow.nats.numpy(), -data_log_density(x), atol=1e-6)


def test_flow_nll_between_inner_times_is_that_of_its_own_model() -> None:
    """From N(0, I) at t = 0.1 the flow is affine: z(t) / sqrt(var(t)) stays what it was."""
    low, high = 0.1, 0.8
    x = gaussian_points(20)
    z = (x - high * MEAN) @ TURN
    spread = [torch.sqrt(t**2 * STD**2 + (1 - t) ** 2) for t in (low, high)]
    start = low * MEAN + (z * spread[0] / spread[1]) @ TURN.T
    expected = stats.norm.logpdf(start.numpy()).sum(1) + float((spread[0] / spread[1]).log().sum())
    flow = likelihood.flow_nll(GaussianFlow(), x, t_range=(low, high), steps=64)
    np.testing.assert_allclose(flow.nats.numpy(), -expected, atol=1e-8)


def test_flow_nll_converges_at_order_four_and_reports_its_error() -> None:
    x = gaussian_points(30)
    exact = torch.from_numpy(-data_log_density(x))
    flows = [likelihood.flow_nll(GaussianFlow(), x, t_range=(0.0, 1.0), steps=n) for n in (16, 32)]
    errors = [float((value - exact).abs().mean()) for value in (flows[0].coarse, flows[0].nats, flows[1].nats)]
    orders = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert all(3.6 < order < 4.6 for order in orders)
    # |N - 2N| is the error of the coarse solution to leading order.
    assert float(flows[0].error.mean()) == pytest.approx(errors[0], rel=0.2)


class Swirl:
    """A smooth field without any closed form, y turning it."""

    device = CPU

    def velocity(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        phase = t if y is None else t + y
        first = (1.3 * x[:, 1] + phase).sin() + 0.3 * x[:, 0]
        return torch.stack([first, (x[:, 0] - 2 * phase).cos() * (0.7 * x[:, 1]).tanh()], -1)


def test_flow_density_integrates_to_one_and_uses_labels() -> None:
    axis = torch.linspace(-9, 9, 110, dtype=DOUBLE)
    x = torch.cartesian_prod(axis, axis)
    y = torch.ones(len(x), dtype=torch.int64)
    area = float(axis[1] - axis[0]) ** 2
    plain, turned = (likelihood.flow_nll(Swirl(), x, label, (0.0, 1.0), steps=10).nats for label in (None, y))
    for nats in (plain, turned):
        assert float((-nats).exp().sum()) * area == pytest.approx(1, abs=1e-4)
    assert (plain - turned).abs().max() > 0.1


def test_hutchinson_probes_are_unbiased_for_the_exact_divergence() -> None:
    x = gaussian_points(3).repeat_interleave(400, 0)
    exact = likelihood.flow_nll(Swirl(), x, t_range=(0.0, 1.0), steps=4).nats
    probes = torch.randint(2, (2, *x.shape), generator=generator(2)).double() * 2 - 1
    difference = likelihood.flow_nll(Swirl(), x, t_range=(0.0, 1.0), steps=4, probes=probes).nats - exact
    for each in difference.reshape(3, 400):
        assert each.std() > 1e-3
        assert abs(float(each.mean())) < 4.5 * float(each.std()) / 20


def test_flow_nll_in_float32_answers_the_same_and_leaves_no_gradient() -> None:
    x = gaussian_points(20)
    weight = torch.nn.Parameter(torch.ones(()))

    class Scaled(Swirl):
        def velocity(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
            return weight.to(x.dtype) * super().velocity(x, t, y)

    double, single = (likelihood.flow_nll(Scaled(), each, steps=8).nats for each in (x, x.float()))
    torch.testing.assert_close(double, single, rtol=1e-4, atol=1e-4)
    assert not single.requires_grad
    assert weight.grad is None


def test_integer_data_need_dequantisation() -> None:
    with pytest.raises(UsageError, match="dequantise"):
        likelihood.flow_nll(Swirl(), torch.zeros(4, 2, dtype=torch.int64))


def test_dequantised_nll_is_the_mean_log_density_over_a_bin() -> None:
    values = torch.linspace(-1, 1, 5, dtype=DOUBLE)
    levels = torch.tensor([[1, 3]]).repeat(2000, 1)
    flow = likelihood.dequantised_nll(GaussianFlow(), levels, None, generator(3), values, t_range=(0.0, 1.0), steps=12)

    def log_density(second: float, first: float) -> float:
        return float(data_log_density(torch.tensor([first, second], dtype=DOUBLE)))

    def mean_over_bin(function) -> float:
        return integrate.dblquad(function, -0.75, -0.25, 0.25, 0.75)[0] / 0.25

    expected = -mean_over_bin(log_density) - 2 * math.log(0.5)
    exact = -math.log(mean_over_bin(lambda second, first: math.exp(log_density(second, first))) * 0.25)
    se = float(flow.nats.std()) / math.sqrt(2000)
    assert abs(float(flow.nats.mean()) - expected) < 4.5 * se
    assert float(flow.nats.mean()) > exact
