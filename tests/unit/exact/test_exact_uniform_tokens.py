"""Tokens under uniform noise against the noising chain itself: matrix exponentials, the time reversal of its rates,
the forward equation solved by Runge-Kutta, and the bounds against the entropy of the data."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from torch import Tensor

from reproflow.exact import matching
from reproflow.exact.processes.uniform_tokens import LAW, MIXTURE, REVERSED, Tokens, example, problem
from reproflow.theory.divergences import get_divergence
from reproflow.theory.log_snr import elbo_coefficient
from reproflow.theory.processes.uniform_tokens import generalised_kl, linear_error, replace

KINDS = (MIXTURE, REVERSED)
T = torch.tensor([0.05, 0.3, 0.6, 0.9], dtype=torch.float64)
STATES = [(a, b) for a in range(3) for b in range(3)]
PRIOR = np.array(LAW).ravel()


def noising() -> np.ndarray:
    """The noising chain's generator on the nine states at unit rate: a token is drawn anew, uniformly."""
    one = np.full((3, 3), 1 / 3) - np.eye(3)
    return np.kron(one, np.eye(3)) + np.kron(np.eye(3), one)


def kernel(alpha: float) -> np.ndarray:
    """P(z|x_1): noise for a time in which exp(-rate time) is alpha."""
    return expm(-math.log(alpha) * noising())


@pytest.mark.parametrize("path", ["linear", "cosine"])
def test_laws_are_those_of_the_noising_chain(path: str) -> None:
    tokens = example(path)
    c = tokens.path.at(T)
    assert [tuple(state) for state in tokens.states.tolist()] == STATES
    for i, alpha in enumerate(c.alpha.tolist()):
        law = kernel(alpha)
        np.testing.assert_allclose(tokens.conditional(c)[i], law, rtol=0, atol=1e-14)
        np.testing.assert_allclose(tokens.marginal(c)[i], PRIOR @ law, rtol=0, atol=1e-14)
        joint = PRIOR[:, None] * law
        np.testing.assert_allclose(tokens.posterior(c)[i], (joint / joint.sum(0)).T, rtol=1e-12)


@pytest.mark.parametrize("path", ["linear", "cosine"])
def test_reversed_rates_are_the_time_reversal_of_the_noising_chain(path: str) -> None:
    """u(y|z) = R(y, z) p(y) / p(z) with the marginal p, no posterior: the noising chain has rate alpha'/alpha."""
    tokens = example(path)
    c = tokens.path.at(T)
    for i, alpha in enumerate(c.alpha.tolist()):
        p = PRIOR @ kernel(alpha)
        off = noising() * (1 - np.eye(9)) * float(c.dalpha[i]) / alpha
        np.testing.assert_allclose(tokens.marginal_rates(c, REVERSED)[i], off.T * p / p[:, None], rtol=1e-12)


def test_mixture_rates_are_the_hazard_times_the_token_posterior() -> None:
    tokens = example()
    c = tokens.path.at(T)
    mu, rates = tokens.token_posterior(c), tokens.marginal_rates(c, MIXTURE)
    for z, state in enumerate(STATES):
        for y, other in enumerate(STATES):
            differ = [n for n in range(2) if state[n] != other[n]]
            wanted = c.dalpha / c.sigma * mu[:, z, differ[0], other[differ[0]]] if len(differ) == 1 else torch.zeros(4)
            torch.testing.assert_close(rates[:, z, y], wanted.double(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("given", [None, 4])
@pytest.mark.default_cases(2)
def test_rates_carry_the_law_by_the_forward_equation(kind: str, given: int | None) -> None:
    """Solved from 0.1 to 0.9: the marginal rates carry p_t, the conditional ones p_t(.|x_1)."""
    tokens = example()

    def rates(t: float) -> Tensor:
        c = tokens.path.at(torch.tensor([t], dtype=torch.float64))
        return (tokens.marginal_rates(c, kind) if given is None else tokens.conditional_rates(c, kind)[:, given])[0]

    def slope(t: float, p: np.ndarray) -> np.ndarray:
        u = rates(t).numpy()
        return p @ u - p * u.sum(1)

    start, end = (PRIOR @ kernel(alpha) if given is None else kernel(alpha)[given] for alpha in (0.1, 0.9))
    found = solve_ivp(slope, (0.1, 0.9), start, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.y[:, -1], end, rtol=0, atol=1e-8)


def test_rates_with_the_prior_for_the_posterior_do_not_carry_it() -> None:
    """dp/dt by differences of matrix exponentials."""
    tokens, t, h = example(), 0.6, 1e-5
    c = tokens.path.at(torch.tensor([t], dtype=torch.float64))
    slope = PRIOR @ (kernel(t + h) - kernel(t - h)) / (2 * h)
    p = tokens.marginal(c)[0]
    for kind in KINDS:
        wrong = torch.einsum("x,xzy->zy", tokens.prior, tokens.conditional_rates(c, kind)[0])
        off = [float((p @ u - p * u.sum(1) - slope).abs().max()) for u in (tokens.marginal_rates(c, kind)[0], wrong)]
        assert off[0] < 1e-8
        assert off[1] > 1e-2


@pytest.mark.parametrize("path", ["linear", "cosine"])
def test_the_reversed_bound_is_the_entropy_and_the_mixture_bound_is_above(path: str) -> None:
    entropy = -(PRIOR * np.log(PRIOR)).sum()
    tokens = example(path)
    assert tokens.bound(REVERSED) == pytest.approx(entropy, abs=1e-10)
    assert tokens.bound(MIXTURE) > entropy + 0.1
    # Both depend on the data alone, not on the schedule.
    assert tokens.bound(MIXTURE) == pytest.approx(example("linear").bound(MIXTURE), abs=1e-10)


def test_both_bounds_of_independent_uniform_tokens_are_known() -> None:
    """The reversed one is D log V. The mixture's, sigma (1-1/V) log(V/sigma) alpha'/sigma, is D (1-1/V)(log V + 1)."""
    tokens = Tokens(torch.full((3, 3), 1 / 9, dtype=torch.float64), example().path)
    assert tokens.bound(REVERSED) == pytest.approx(2 * math.log(3), abs=1e-10)
    assert tokens.bound(MIXTURE) == pytest.approx(2 * (2 / 3) * (math.log(3) + 1), abs=1e-9)


@pytest.mark.parametrize("path", ["linear", "cosine"])
def test_the_process_loss_times_its_elbo_coefficient_is_the_divergence_of_rates(path: str) -> None:
    """Of a wrong network: |alpha'|/(1 - alpha) E l is what the Poisson divergences of its rates are."""
    tokens = example(path)
    c = tokens.path.at(T)
    logits = torch.randn(4, 9, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    loss = generalised_kl(
        tokens.states[:, None].expand(4, 9, 9, 2),
        tokens.states.expand(4, 9, 9, 2),
        logits[:, None].expand(4, 9, 9, 2, 3),
    )
    expected = (tokens.prior[:, None] * tokens.conditional(c) * loss).sum((1, 2))
    mu = logits.softmax(-1)
    rates = torch.zeros(4, 9, 9, dtype=torch.float64)
    for z, state in enumerate(STATES):
        for y, other in enumerate(STATES):
            differ = [n for n in range(2) if state[n] != other[n]]
            if len(differ) == 1:
                rates[:, z, y] = c.dalpha / c.sigma * mu[:, z, differ[0], other[differ[0]]]
    torch.testing.assert_close(
        elbo_coefficient(c) * expected, tokens.conditional_loss(c, MIXTURE, rates), rtol=1e-12, atol=0
    )


def test_no_factor_makes_a_cross_entropy_of_the_loss() -> None:
    """Two networks with one cross-entropy of the replaced tokens and different losses."""
    x1, z = torch.tensor([[0]]), torch.tensor([[1]])
    first, second = torch.tensor([0.5, 0.1, 0.4]), torch.tensor([0.5, 0.4, 0.1])
    losses = [float(generalised_kl(x1, z, mu.log()[None, None])) for mu in (first, second)]
    assert losses[0] - losses[1] == pytest.approx(0.3, abs=1e-6)


def test_the_best_loss_on_uniform_data_is_the_linear_one() -> None:
    tokens = Tokens(torch.full((3, 3), 1 / 9, dtype=torch.float64), example().path)
    c = tokens.path.at(T)
    found = tokens.conditional_loss(c, MIXTURE, tokens.marginal_rates(c, MIXTURE)) * c.sigma / c.dalpha
    torch.testing.assert_close(found, 2 * linear_error(c.alpha, c.sigma, 3), rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_conditional_and_marginal_losses_differ_by_a_constant(kind: str) -> None:
    tokens = example()
    c = tokens.path.at(T)
    best = tokens.marginal_rates(c, kind)
    gaps = [
        tokens.conditional_loss(c, kind, rates) - tokens.marginal_loss(c, kind, rates)
        for rates in (best, best * 2, torch.where(best > 0, best + 0.3, 0.0))
    ]
    for gap in gaps[1:]:
        torch.testing.assert_close(gap, gaps[0], rtol=1e-10, atol=0)
    assert bool((gaps[0] > 0).all())
    assert float(tokens.marginal_loss(c, kind, best).abs().max()) < 1e-14


@pytest.mark.parametrize("kind", KINDS)
def test_the_matching_problem_holds_these_numbers(kind: str) -> None:
    tokens, asked = example(), problem(kind, T)
    c = tokens.path.at(T)
    assert (asked.x.shape, asked.joint.shape) == ((36, 4), (36, 9))
    assert len(torch.unique(asked.x, dim=0)) == 9
    rates = tokens.marginal_rates(c, kind)
    torch.testing.assert_close(asked.marginal, rates[rates > 0].view(36, 4), rtol=1e-12, atol=0)
    torch.testing.assert_close(asked.joint.view(4, 9, 9).sum(-1), tokens.marginal(c), rtol=1e-12, atol=0)
    doubled = asked.conditional_terms(2 * asked.marginal, get_divergence("kl_rates"), torch.ones(36))
    torch.testing.assert_close(
        doubled.view(4, 9).sum(1), tokens.conditional_loss(c, kind, 2 * rates), rtol=1e-10, atol=0
    )
    assert matching.predict(asked, matching.parameters(asked, 0)).shape == (36, 4)


def test_drawn_tokens_have_the_law() -> None:
    generator, n = torch.Generator().manual_seed(1), 200_000
    x1 = torch.tensor([[0, 2]]).expand(n, 2)
    u, drawn = torch.rand(n, 2, generator=generator), torch.randint(3, (n, 2), generator=generator)
    z = replace(x1, torch.full((n,), 0.4), u, drawn)
    share = np.bincount((3 * z[:, 0] + z[:, 1]).numpy(), minlength=9) / n
    np.testing.assert_allclose(share, kernel(0.4)[2], atol=5 * 0.5 / math.sqrt(n))
