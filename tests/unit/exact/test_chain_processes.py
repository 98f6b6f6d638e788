"""The Gaussian and masked instances of finite chains, their posteriors and integrals, against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from reproflow.exact import gaussian_chain, integrals, masked_chain
from reproflow.exact.empirical import posterior_mean
from reproflow.theory.paths import get_path

DOUBLE = torch.float64


# -- masked ------------------------------------------------------------------------------------------------------------


def test_masked_levels_are_independent_coins() -> None:
    path = get_path("polynomial", "masked")
    times = masked_chain.levels(path, 3)
    chain = masked_chain.masked_chain(path, times)
    states, words = masked_chain.words(4), masked_chain.words(3)
    for t, given in zip(times, chain.given, strict=True):
        alpha = float(path(t)[0])
        for x in (0, 14, 26):
            shown, hidden = states == words[x], states == 3
            expected = torch.where(shown, alpha, torch.where(hidden, 1 - alpha, 0.0)).prod(1)
            assert torch.allclose(given[x].exp(), expected.double(), atol=1e-14)


def test_masked_reverse_carries_over_and_is_exact_for_one_token() -> None:
    path = get_path("linear", "masked")
    chain = masked_chain.masked_chain(path, torch.tensor([1, 0.6, 0.2], dtype=DOUBLE), masked_chain.exact_logits)
    states = masked_chain.words(4)
    back = chain.reverse[1].exp()
    moved = ((states[:, None] != states[None]) & (states[:, None] != 3)).any(-1)
    assert float(back[moved].max()) == 0
    one = (states == 3).sum(1) == 1
    assert torch.allclose(back[one], chain.exact_reverse[1][one].exp(), atol=1e-14)
    two = (states == 3).sum(1) == 2
    assert float((back[two] - chain.exact_reverse[1][two].exp()).abs().max()) > 1e-2


def test_masked_sums_over_hidden_sets() -> None:
    """Two of three tokens hidden: CE by joint probabilities, and the excess by the definition of a KL."""
    q, logits = masked_chain.table(), masked_chain.off_logits
    cross = excess = 0.0
    for n in range(3):
        for v in range(3):
            z = torch.full((1, 3), 3)
            z[0, n] = v
            mu = logits(z).softmax(-1)[0].numpy()
            joint = q.movedim(n, 0)[v].numpy()
            for place, law in zip([k for k in range(3) if k != n], [joint.sum(1), joint.sum(0)], strict=True):
                cross += -(law * np.log(mu[place])).sum()
                excess += joint.sum() * stats.entropy(law / law.sum(), mu[place])
    assert float(masked_chain.cross_entropies()[2]) == pytest.approx(cross)
    assert float(masked_chain.excesses()[2]) == pytest.approx(excess)
    sums = torch.tensor([0.0, 1.0, 2.0, 3.0], dtype=DOUBLE)
    assert float(masked_chain.by_time(sums, torch.tensor([0.25], dtype=DOUBLE))) == pytest.approx(
        0.25 * 0.75**2 + 2 * 0.25**2 * 0.75 + 3 * 0.25**3
    )


# -- Gaussian ----------------------------------------------------------------------------------------------------------


def test_gaussian_levels_are_normal() -> None:
    path = get_path("vp")
    times = gaussian_chain.levels(path, 5, (3.0, -4.5))
    chain = gaussian_chain.gaussian_chain(path, times, reach=7.5, points=321)
    z = gaussian_chain.grid(7.5, 321)
    lam = path.at(times[[0, -1]]).lam
    assert lam.tolist() == pytest.approx([3.0, -4.5])
    for i in (0, 2, 5):
        alpha, sigma = (float(v) for v in path(times[i]))
        for k, x in enumerate(gaussian_chain.POINTS.tolist()):
            expected = stats.norm.pdf(z, alpha * x, sigma) * float(z[1] - z[0])
            assert np.allclose(chain.given[i][k].exp(), expected, atol=1e-11)


def test_gaussian_reverse_is_the_posterior_given_x() -> None:
    """With x-hat = x, the model's step is q(z_{j-1}|z_j, x) by Bayes on the grid."""
    path = get_path("linear")
    times = torch.tensor([0.6, 0.4, 0.2], dtype=DOUBLE)
    chain = gaussian_chain.gaussian_chain(path, times, lambda z, c: torch.full_like(z, 0.3), points=121)
    pair = chain.given[1][1][:, None] + chain.steps[1]
    bayes = (pair - pair.logsumexp(0)).exp().T
    inner = slice(40, 81)
    assert torch.allclose(chain.reverse[1][inner].exp(), bayes[inner], atol=1e-9)


def test_exact_denoiser_is_the_posterior_over_points() -> None:
    c = get_path("cosine").at(torch.full((9,), 0.4, dtype=DOUBLE))
    z = torch.linspace(-2, 2, 9, dtype=DOUBLE)
    points = gaussian_chain.POINTS[[0, 1, 1, 2]][:, None]
    assert torch.allclose(gaussian_chain.exact_denoiser(z, c), posterior_mean(z[:, None], points, c)[:, 0], atol=1e-13)


def test_losses_information_and_prior_by_scipy() -> None:
    path, t = get_path("linear"), torch.tensor([0.35], dtype=DOUBLE)
    alpha, sigma = 0.35, 0.65
    points, weights = gaussian_chain.POINTS.numpy(), gaussian_chain.WEIGHTS.numpy()

    def joint(z: float) -> np.ndarray:
        return weights * stats.norm.pdf(z, alpha * points, sigma)

    c = path.at(torch.tensor(0.35, dtype=DOUBLE))

    def guess(z: float) -> float:
        return float(gaussian_chain.off_denoiser(torch.tensor(z, dtype=DOUBLE), c))

    integrands = {
        "raw": lambda z: joint(z) @ (points - guess(z)) ** 2,
        "least": lambda z: joint(z) @ (points - joint(z) @ points / joint(z).sum()) ** 2,
        "excess": lambda z: joint(z).sum() * (guess(z) - joint(z) @ points / joint(z).sum()) ** 2,
        "information": lambda z: joint(z) @ np.log(joint(z) / joint(z).sum() / weights),
        "prior": lambda z: joint(z).sum() * np.log(joint(z).sum() / stats.norm.pdf(z)),
    }
    expected = {name: integrate.quad(f, -6, 6, epsabs=1e-10)[0] for name, f in integrands.items()}
    found = [*gaussian_chain.losses(path, t), gaussian_chain.information(path, t), gaussian_chain.prior_kl(path, t)]
    assert [float(value) for value in found] == pytest.approx(list(expected.values()), abs=1e-8)


# -- continuous time ---------------------------------------------------------------------------------------------------


def test_stieltjes_against_scipy_and_a_kink() -> None:
    s = torch.linspace(0, 2, 201, dtype=DOUBLE)
    expected = integrate.quad(lambda u: math.cos(u) * -math.exp(-u), 0, 2)[0]
    assert float(integrals.stieltjes(s.cos(), torch.exp(-s))) == pytest.approx(expected, abs=1e-9)
    # int s d min(s, 0.777) = 0.777²/2, the kink between two nodes.
    assert float(integrals.stieltjes(s, s.clamp(max=0.777))) == pytest.approx(0.777**2 / 2, abs=1e-4)


@pytest.mark.parametrize("process", ["gaussian", "masked"])
def test_panels_cover_the_levels_and_two_routes_agree(process: str) -> None:
    edges, nodes, weights = integrals.panels(process)
    assert float(weights.sum()) == pytest.approx(float(edges[-1] - edges[0]))
    assert float(weights @ nodes**3) == pytest.approx(float(edges[-1] ** 4 - edges[0] ** 4) / 4)
    over, excess = integrals.over_least(process, nodes)
    assert torch.allclose(over, excess, rtol=1e-9, atol=1e-12)


def test_panels_are_finer_at_a_kink_and_keep_their_middles() -> None:
    edges, t, weights = integrals.panels("gaussian", lambda t: (t - 0.6).abs())
    widths = edges.diff()
    torch.testing.assert_close(widths[::2], widths[1::2], rtol=1e-6, atol=1e-15)
    assert float(widths[torch.searchsorted(edges, torch.tensor(0.6, dtype=DOUBLE)) - 1]) < 1e-7
    low, high = float(edges[0]), float(edges[-1])
    assert float(weights @ (t - 0.6).abs()) == pytest.approx(((0.6 - low) ** 2 + (high - 0.6) ** 2) / 2, abs=1e-13)


def test_series_of_the_gaussian_errors_are_the_errors() -> None:
    path = get_path("linear")
    t = torch.tensor([0.15, 0.5, 0.8], dtype=DOUBLE)
    raw, least, excess = gaussian_chain.losses(path, t)
    found = integrals.over_least("gaussian", t)
    torch.testing.assert_close(found[0], (raw - least) * path.at(t).snr, rtol=1e-10, atol=0)
    torch.testing.assert_close(found[1], excess * path.at(t).snr, rtol=1e-10, atol=0)


def test_path_kl_in_continuous_time_is_the_limit_of_chains() -> None:
    """Masked, from the last level's alpha to 1: two chains and Richardson come near the integral over all of it."""
    path = get_path("cosine", "masked")
    on = integrals.panels("masked")
    low, high = (float(on.edges[k]) for k in (0, -1))
    fine, coarse = (
        float(masked_chain.masked_chain(path, torch.linspace(high, low, n + 1, dtype=DOUBLE)).path_kls[0])
        for n in (64, 32)
    )
    assert float(integrals.path_kl("masked", on)[-1]) == pytest.approx(2 * fine - coarse, rel=1e-3)


def test_the_gaussian_chain_is_as_far_from_the_continuous_one_as_it_says() -> None:
    """Exact as a finite chain; the first levels are not resolved by its grid."""
    path = get_path("linear")
    times = gaussian_chain.levels(path, 10)
    coarse, fine = (gaussian_chain.gaussian_chain(path, times, points=points) for points in (81, 321))
    off = {
        name: (getattr(coarse, name) - getattr(fine, name)).abs() for name in ("path_kls", "marginal_kls", "data_kls")
    }
    assert {name: float(f"{float(gap[0]):.0e}") for name, gap in off.items()} == {
        "path_kls": 9e-4, "marginal_kls": 6e-3, "data_kls": 5e-3,
    }  # fmt: skip
    assert all(float(gap[2:].max()) < 1e-5 for gap in off.values())


def test_panels_integrate_a_cubic_exactly() -> None:
    """Two Gauss nodes a panel do; its two ends are off by the third power of its length."""
    on = integrals.panels("masked")
    low, high = on.edges[[0, -1]].tolist()
    assert float(on.weights @ on.t**3) == pytest.approx((high**4 - low**4) / 4, rel=1e-12)
