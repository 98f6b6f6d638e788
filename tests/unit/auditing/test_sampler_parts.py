"""Parts of the check of a sampler, each by itself: how it is called, what it is compared with, the exact network."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
import torch
from synthetic_audits import U, flow, measured, subject
from torch import Tensor

from reproflow.auditing.samplers import calling, comparison, levels, run
from reproflow.auditing.samplers.comparison import Compared
from reproflow.auditing.samplers.levels import Levels
from reproflow.auditing.samplers.minimisers import ExactNetwork, Gaussian, Statistic, TwoLumps

T = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)


def test_the_number_of_steps_is_an_argument_with_a_whole_default() -> None:
    def sample(model, n, num_steps=20):
        return model

    assert calling.steps(sample) == ("num_steps", 20)
    assert calling.steps(functools.partial(sample, num_steps=7)) == ("num_steps", 7)
    assert calling.steps(lambda model, n, steps=True: model) is None
    assert calling.steps(lambda model, n: model) is None


def test_samples_are_the_last_of_a_trajectory_and_seeds_settle_them() -> None:
    def sample(model, n):
        x = torch.randn(n, 2)
        return [x, x + 100]

    model = torch.nn.Identity()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = (calling.call(sample, model, 8, (2,), seed) for seed in (0, 0, 1))
    assert float(first.mean()) > 50
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


MEAN = Statistic("mean", torch.mean, 0.0, 1.0, 0.01, 1.0)


def row(samples: float, doubled: float | None = None, calls: int = 100) -> Compared:
    runs = [torch.full((10000,), each) for each in (samples, doubled) if each is not None]
    return comparison.compared("a law", MEAN, runs, calls)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (row(0.01, 0.01), "right"),
        (row(0.2, 0.12), "right"),
        (row(0.4, 0.3), "wrong"),
        (row(0.0, 0.1), "right"),
        (row(0.1, 0.1), "wrong"),
        (row(0.1), "right"),
        (row(0.2, None, 200), "wrong"),
        (row(math.nan, math.nan), "wrong"),
    ],
)
def test_what_chance_and_discretisation_allow(found: Compared, said: str) -> None:
    """Five standard errors, 0.05, and 0.01 besides; half again the change when the steps are doubled."""
    assert comparison.verdict([found])[0] == said


def test_one_wrong_statistic_is_enough_and_two_vague_ones_settle_nothing() -> None:
    right, wrong, vague = row(0.0, 0.0), row(0.1, 0.1), row(0.3, 0.0)
    assert comparison.verdict([right, wrong, right]) == ("wrong", "mean 0.1 for 0 of a law")
    assert comparison.verdict([right, vague])[0] == "right"
    assert comparison.verdict([vague, vague])[0] == "undecided"


def network(law, of=None) -> ExactNetwork:
    return ExactNetwork(Levels(of or flow()), law, (2,), "arg0", "arg1")


def posterior(law_mean, law_var, state: Tensor, A: Tensor, B: Tensor) -> tuple[Tensor, Tensor]:
    x1 = law_mean + A * law_var * (state - A * law_mean) / (A**2 * law_var + B**2)
    return x1, (state - A * x1) / B


def test_the_exact_network_gives_the_mean_of_the_target() -> None:
    """Of the velocity under a normal law, by the formula of a linear regression."""
    state = torch.randn(3, 2, dtype=torch.float64)
    x1, eps = posterior(0.4, 0.09, state, T[:, None], 1 - T[:, None])
    assert torch.allclose(network(Gaussian(0.4, 0.3))(state, T), x1 - eps, atol=1e-5)


def test_constants_of_state_and_target_are_used() -> None:
    """S = t x1 + (1 - t) eps - t/2, T = x1 - eps + 3."""
    of = measured(U, U, 1 - U, 1.0, -1.0, -0.5 * U, target_offset=3.0)
    assert Levels(of).centre == pytest.approx(0.5)
    state = torch.randn(3, 2, dtype=torch.float64)
    x1, eps = posterior(0.4, 0.09, state + 0.5 * T[:, None], T[:, None], 1 - T[:, None])
    assert torch.allclose(network(Gaussian(0.4, 0.3), of)(state, T), x1 - eps + 3, atol=1e-5)


def test_two_lumps_by_their_odds() -> None:
    law = TwoLumps(0.2, 0.5, 0.7, 0.05)
    state, A, B = torch.linspace(-1, 1, 9, dtype=torch.float64), *torch.tensor([0.6, 0.4], dtype=torch.float64)
    lumps = [(0.7, 0.7), (0.3, -0.3)]
    mass = [p * torch.exp(-((state - A * m) ** 2) / (2 * (A**2 * 0.05**2 + B**2))) for p, m in lumps]
    means = [posterior(m, 0.05**2, state, A, B)[0] for _, m in lumps]
    expected = (mass[0] * means[0] + mass[1] * means[1]) / (mass[0] + mass[1])
    assert torch.allclose(law.means(state, A, B)[0], expected, atol=1e-6)
    share = law.statistics(1.0)[0]
    assert float(share.of(torch.tensor([0.1, 0.3, 0.6]))) == pytest.approx(2 / 3)


SIGMA = np.exp(-1.2 + 0.5 * np.log(U / (1 - U)))
LAM = np.linspace(-13, 13, 160)
CONTINUED = {
    "linear": (measured(U, U, 1 - U, 1.0, -1.0), lambda t: (t, 1 - t, 1.0, -1.0), [1e-3, 1 - 1e-3]),
    "turned": (measured(U, -U, 1 - U, 1.0, -1.0), lambda t: (-t, 1 - t, 1.0, -1.0), [0.3, 1 - 1e-3]),
    "exploding": (measured(SIGMA, 1.0, SIGMA, 1.0, 0.0), lambda s: (1.0, s, 1.0, 0.0), [80.0, 1e-3]),
    "score": (measured(SIGMA, 1.0, SIGMA, 0.0, -1 / SIGMA), lambda s: (1.0, s, 0.0, -1 / s), [80.0, 1e-3]),
    "the level itself": (
        measured(LAM, -np.sqrt(1 / (1 + np.exp(-LAM))), np.sqrt(1 / (1 + np.exp(LAM))), 0.0, 1.0),
        lambda lam: (-np.sqrt(1 / (1 + np.exp(-lam))), np.sqrt(1 / (1 + np.exp(lam))), 0.0, 1.0),
        [-16.0, 16.0],
    ),
    "angle": (
        measured(U, np.sin(U), np.cos(U), -np.cos(U), np.sin(U)),
        lambda t: (np.sin(t), np.cos(t), -np.cos(t), np.sin(t)),
        [2e-3, 0.999],
    ),
}


@pytest.mark.parametrize("name", CONTINUED)
def test_levels_are_continued_beyond_the_ends_of_the_law(name: str) -> None:
    of, exact, given = CONTINUED[name]
    found = Levels(of).at(np.array(given))
    for mine, theirs in zip((found.A, found.B, found.a, found.b), exact(np.array(given)), strict=True):
        assert mine == pytest.approx(np.broadcast_to(theirs, (2,)), rel=2e-3, abs=1e-9)


@pytest.mark.parametrize("power", [1, 2])
def test_a_tie_of_state_and_noise_is_kept(power: int) -> None:
    """2 |A|^p + B^p = 1, A below nought, by the log-SNR."""
    ratio = np.exp(0.5 * LAM)
    B = (1 + 2 * ratio**power) ** (-1 / power)
    found = levels._by_snr(LAM, -ratio * B, B, False)
    assert found is not None
    at = np.array([-16.0, 0.3, 16.0])
    wanted = (1 + 2 * np.exp(0.5 * at) ** power) ** (-1 / power)
    assert found(at)[0] == pytest.approx(-np.exp(0.5 * at) * wanted, rel=1e-6)
    assert found(at)[1] == pytest.approx(wanted, rel=1e-6)


def test_the_unit_is_half_of_the_range() -> None:
    plain = Levels(flow())
    assert run.scale(subject(data=(0.0, 4.0)), plain) == (2.0, 2.0)
    assert run.scale(subject(), plain) == (1.0, 0.0)
    shifted = Levels(measured(U, 2 * U, 1 - U, 1.0, -1.0, -U))
    assert run.scale(subject(), shifted) == pytest.approx((0.5, 0.5))
