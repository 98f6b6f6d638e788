"""Likelihood bounds against enumeration, closed forms and quadrature."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor

from reproflow.evaluation.likelihood import bound as likelihood_bound
from reproflow.evaluation.likelihood import flow, gaussian_bound, masked_bound
from reproflow.exact.discrete import TableDenoiser, random_order_bound, random_order_nll
from reproflow.foundation import names
from reproflow.foundation.errors import UsageError
from reproflow.theory.paths import Path, get_path

DOUBLE = torch.float64
CPU = torch.device("cpu")
PATHS = [known.name for known in names.known() if (known.kind, known.process) == ("path", "gaussian")]


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
    over_masks = masked_bound.masked_bound_exact(model, x)
    torch.testing.assert_close(over_masks, random_order_bound(model.logits, x, vocabulary), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("vocabulary", "length"), [(3, 2), (2, 4)])
def test_masked_bound_is_above_a_proper_likelihood(vocabulary: int, length: int) -> None:
    model, x = RandomMasked(vocabulary, length), every_sequence(vocabulary, length)
    nll = random_order_nll(model.logits, x, vocabulary)
    assert float((-nll).exp().sum()) == pytest.approx(1, abs=1e-12)
    assert (masked_bound.masked_bound_exact(model, x) > nll + 1e-3).all()


def test_masked_bound_is_tight_for_the_exact_denoiser_of_a_table() -> None:
    table = random_table(3, 2)
    x = every_sequence(3, 2)
    expected = -table.log().flatten()
    torch.testing.assert_close(masked_bound.masked_bound_exact(TableDenoiser(table), x), expected, rtol=0, atol=1e-12)
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
    exact = masked_bound.masked_bound_exact(model, x)
    sampled = masked_bound.masked_bound(model, x, None, generator(2), repeats=400, strata=strata)
    z = (sampled.nats - exact) / sampled.se
    assert z.abs().max() < 4.5
    assert float(z.square().mean()) < 3


def test_more_strata_have_less_variance() -> None:
    model, x = RandomMasked(2, 4), every_sequence(2, 4)
    per_call = [s * masked_bound.masked_bound(model, x, None, generator(3), 300, s).se.square().mean() for s in (1, 4)]
    assert per_call[1] < 0.9 * per_call[0]


def test_masked_bound_uses_labels_and_its_generator_only() -> None:
    model, x = RandomMasked(3, 2), every_sequence(3, 2)
    y = torch.arange(len(x)) % 2
    exact = masked_bound.masked_bound_exact(model, x, y)
    separately = torch.stack([masked_bound.masked_bound_exact(model, x[i : i + 1], y[i : i + 1])[0] for i in range(9)])
    torch.testing.assert_close(exact, separately)
    assert (exact[1::2] - masked_bound.masked_bound_exact(model, x)[1::2]).abs().min() > 1e-6
    first, again, other = (masked_bound.masked_bound(model, x, y, generator(s)).nats for s in (4, 4, 5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_one_repeat_has_no_error_and_large_enumerations_are_refused() -> None:
    model = RandomMasked(2, 13)
    assert masked_bound.masked_bound(RandomMasked(2, 3), every_sequence(2, 3), None, generator(0), 1).se.isnan().all()
    with pytest.raises(UsageError, match="at most 12"):
        masked_bound.masked_bound_exact(model, torch.zeros(1, 13, dtype=torch.int64))
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
    head = SimpleNamespace(kind="levels")

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
    bound = gaussian_bound.gaussian_bound(model, x, None, generator(1), values, (1e-4, 1 - 1e-3), strata=16, repeats=2)
    nats = bound.nats.reshape(1000, 9)
    se = nats.std(0) / math.sqrt(1000)
    assert ((nats.mean(0) + table.log().flatten()) / se).abs().max() < 4.5
    # Sharp enough to tell the nine probabilities apart.
    assert se.max() < 0.1 * table.log().flatten().std()


def marginal_divergence(p: np.ndarray, values: np.ndarray, alpha: float, sigma: float) -> float:
    """KL(q(z) || N(0, alpha² + sigma²)) of the noised one-pixel law, by quadrature."""
    scale = math.hypot(alpha, sigma)

    def integrand(z: float) -> float:
        q = float(p @ stats.norm.pdf(z, alpha * values, sigma))
        return q * (math.log(q) - stats.norm.logpdf(z, scale=scale)) if q > 0 else 0.0

    return integrate.quad(integrand, -8 * scale, 8 * scale, limit=400, epsabs=1e-10)[0]


RANGES = [(0.2, 0.9), (0.4, 0.6), (0.01, 0.995)]


@pytest.mark.parametrize(
    ("path", "t_range"), [*(("linear", each) for each in RANGES), *((path, (1e-3, 0.999)) for path in PATHS)]
)
@pytest.mark.default_cases(2)
def test_gaussian_bound_is_entropy_plus_prior_mismatch(path: str, t_range: tuple[float, float]) -> None:
    """Whatever the path and its range: also where data is left at t = 0, or noise at t = 1."""
    p = torch.tensor([0.1, 0.4, 0.3, 0.15, 0.05], dtype=DOUBLE)
    values = torch.linspace(-1, 1, 5, dtype=DOUBLE)
    path = get_path(path)
    x = torch.arange(5).repeat_interleave((p * 4000).round().long()).unsqueeze(1)
    bound = gaussian_bound.gaussian_bound(ExactGaussian(p, values, path), x, None, generator(2), values, t_range, 16, 2)
    alpha, sigma = (float(c) for c in path(torch.tensor(t_range[0], dtype=DOUBLE)))
    expected = stats.entropy(p.numpy()) + marginal_divergence(p.numpy(), values.numpy(), alpha, sigma)
    se = float(bound.se.square().sum().sqrt()) / len(x)
    assert abs(float(bound.nats.mean()) - expected) < 4.5 * se
    assert se < 0.015


def test_gaussian_bound_of_a_network_without_levels_has_a_decoder_of_its_own() -> None:
    """x1_hat of another law, stopped where levels are read off: each term by quadrature over the noise."""
    values, path = torch.linspace(-1, 1, 5, dtype=DOUBLE), get_path("cosine")
    stop = flow.read_off_time(path, values, (1e-3, 0.999))
    levels = torch.tensor([[1], [4]])

    class Linear:
        """E[x1|x] of N(0, 1) data."""

        device = CPU
        head = SimpleNamespace(kind="gaussian")

        def x1(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
            return self.path(t)[0][:, None] * x

    Linear.path = path
    bound = gaussian_bound.gaussian_bound(
        Linear(), levels.repeat(3000, 1), None, generator(5), values, (1e-3, stop), strata=16, repeats=1
    )
    nats = bound.nats.reshape(3000, 2)
    for each, value in zip(nats.T, (-0.5, 1.0), strict=True):
        se = float(each.std()) / math.sqrt(3000)
        assert abs(float(each.mean()) - _linear_bound(value, values.numpy(), 1e-3, stop)) < 4.5 * se
        assert se < 0.03


def _linear_bound(value: float, values: np.ndarray, t_min: float, stop: float) -> float:
    """On the cosine path with angle phi = pi t/2: alpha = sin, sigma = cos, d lam = 2 d phi/(sin cos)."""

    def integrand(phi: float) -> float:
        alpha, sigma = math.sin(phi), math.cos(phi)
        # x1_hat = alpha (alpha v + sigma eps), so that the mean of |eps - eps_hat|² over eps is
        error = (alpha / sigma) ** 2 * ((1 - alpha**2) ** 2 * value**2 + (alpha * sigma) ** 2)
        return error / (alpha * sigma)

    def decoder(eps: float) -> float:
        log_p = stats.norm.logpdf(alpha * value + sigma * eps, alpha * values, sigma)
        return stats.norm.pdf(eps) * (np.logaddexp.reduce(log_p) - log_p[values.tolist().index(value)])

    low, high = (0.5 * math.pi * t for t in (t_min, stop))
    alpha, sigma = math.sin(high), math.cos(high)
    prior = 0.5 * ((math.sin(low) * value) ** 2 + math.cos(low) ** 2 - 1) - math.log(math.cos(low))
    return prior + integrate.quad(integrand, low, high)[0] + integrate.quad(decoder, -8, 8, limit=200)[0]


def test_gaussian_bound_of_a_wrong_model_is_its_own_cross_entropy() -> None:
    p, r = torch.tensor([0.7, 0.2, 0.1], dtype=DOUBLE), torch.tensor([0.2, 0.3, 0.5], dtype=DOUBLE)
    values = torch.linspace(-1, 1, 3, dtype=DOUBLE)
    x = torch.arange(3).repeat_interleave((p * 3000).round().long()).unsqueeze(1)
    bound = gaussian_bound.gaussian_bound(ExactGaussian(r, values, get_path("linear")), x, None, generator(3), values)
    se = float(bound.se.square().sum().sqrt()) / len(x)
    assert abs(float(bound.nats.mean()) - float(-(p * r.log()).sum())) < 4.5 * se
    assert float(bound.nats.mean()) > stats.entropy(p.numpy()) + 10 * se


def test_gaussian_bound_errors_are_calibrated_and_generators_decide() -> None:
    table = random_table(3, 2)
    values = torch.linspace(-1, 1, 3, dtype=DOUBLE)
    model = ExactGaussian(table, values, get_path("linear"))
    x = every_sequence(3, 2).repeat(20, 1)
    first, again = (
        gaussian_bound.gaussian_bound(model, x, None, generator(4), values, strata=8, repeats=50) for _ in "ab"
    )
    assert torch.equal(first.nats, again.nats)
    z = (first.nats + table.log().flatten().repeat(20)) / first.se
    assert 0.75 < float(z.square().mean()) < 1.35


@pytest.mark.parametrize("t_range", [(1e-3, 1 - 1e-3), (0.45, 0.55), (0.9, 0.99)])
@pytest.mark.parametrize("path", PATHS)
def test_proposal_is_a_density_over_the_range(path: str, t_range: tuple[float, float]) -> None:
    path = get_path(path)
    proposal = gaussian_bound.Proposal.over(path, t_range, 1 / 8)
    u = (torch.arange(100_000, dtype=DOUBLE) + 0.5) / 100_000
    lam, per_density = proposal.quantile(u)
    low, high = path.at(torch.tensor(t_range, dtype=DOUBLE)).lam.tolist()
    assert low <= float(lam.min()) <= float(lam.max()) <= high
    assert (lam.diff() > 0).all()
    for moment in (0, 1, 2):
        expected = (high ** (moment + 1) - low ** (moment + 1)) / (moment + 1)
        assert float((lam**moment * per_density).mean()) == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_time_of_inverts_the_path() -> None:
    lam = torch.linspace(-12, 12, 25, dtype=DOUBLE)
    t = gaussian_bound.time_of(get_path("linear"), lam, (1e-4, 1 - 1e-4))
    torch.testing.assert_close(t, torch.sigmoid(lam / 2), rtol=1e-12, atol=1e-12)


def test_bits_per_dim_of_uniform_levels() -> None:
    assert likelihood_bound.bits_per_dim(64 * math.log(16), 64) == pytest.approx(4)
