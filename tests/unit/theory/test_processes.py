"""What training draws and how it prices it: the processes against numpy, scipy and the meaning of their ends."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from reproflow.learning.processes.gaussian import GaussianLoss
from reproflow.theory.divergences import get_divergence
from reproflow.theory.objective import get_objective
from reproflow.theory.processes import gaussian, masked
from reproflow.theory.processes.base import with_prediction
from reproflow.theory.targets import get_target

GENERATOR = torch.Generator().manual_seed(0)
T_RANGE = (1e-3, 1 - 1e-3)


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=GENERATOR, dtype=torch.float64)


@pytest.mark.parametrize(
    ("prediction", "served"),
    [("canonical", ("gaussian", "masked", "uniform_tokens")), ("velocity", ("gaussian",)), ("ce", ("masked",))],
)
def test_a_weighting_serves_the_processes_that_have_its_prediction(prediction: str, served: tuple[str, ...]) -> None:
    assert with_prediction(prediction) == served


def test_the_ends_of_a_blend_are_noise_and_data() -> None:
    """With given pairs the sign of the noise matters: at t = 0 the state is x0 itself."""
    x1, x0 = normal(2, 5, 3), normal(2, 5, 3)
    zero, one = torch.zeros(2, 5, dtype=torch.float64), torch.ones(2, 5, dtype=torch.float64)
    assert torch.equal(gaussian.blend(zero, x1, one, x0), x0)
    assert torch.equal(gaussian.blend(one, x1, zero, x0), x1)


def test_gaussian_loss_is_the_weighted_mean_square() -> None:
    c, y, guess = normal(2, 7).abs(), normal(2, 7, 4), normal(2, 7, 4)
    expected = np.mean(c.numpy() * ((y - guess).numpy() ** 2).mean(-1), axis=-1)
    np.testing.assert_allclose(gaussian.loss(c, y, guess).numpy(), expected, rtol=1e-14)


def test_a_divergence_gets_target_and_prediction_in_this_order() -> None:
    """exp(a) - exp(b) - exp(b)(a - b) is not symmetric."""
    c, y, guess, t, x = normal(6).abs(), normal(6, 3), normal(6, 3), torch.full((6,), 0.5).double(), normal(6, 3)
    a, b = y.numpy(), guess.numpy()
    expected = np.mean(c.numpy() * (np.exp(a) - np.exp(b) - np.exp(b) * (a - b)).sum(-1) / 3)
    found = gaussian.divergence_loss(c, y, guess, t, x, get_divergence("exponential"))
    np.testing.assert_allclose(float(found), expected, rtol=1e-12)


def test_level_logits_are_normal_log_densities() -> None:
    levels = torch.linspace(-1, 1, 5, dtype=torch.float64)
    x, alpha, sigma = normal(4, 3), torch.tensor([0.2, 0.5, 0.7, 0.9]).double(), torch.tensor([0.9, 0.6, 0.3, 0.1])
    found = gaussian.level_logits(x, alpha, sigma.double(), levels).numpy()
    mean = alpha.numpy()[:, None, None] * levels.numpy()
    expected = stats.norm.logpdf(x.numpy()[..., None], mean, sigma.double().numpy()[:, None, None])
    np.testing.assert_allclose(np.diff(found), np.diff(expected), rtol=1e-10)


@pytest.mark.parametrize("output", ["velocity", "x1", "eps", "v"])
@pytest.mark.parametrize("name", ["uniform", "min_snr", "fm"])
def test_the_output_changes_the_network_and_not_the_loss(name: str, output: str) -> None:
    """One error of eps, said as an error of the output, costs the same whatever the output is."""
    objective = get_objective("cosine", "uniform", name)
    u = torch.linspace(0.05, 0.95, 19, dtype=torch.float64)
    prices = []
    for target in ("eps", output):
        at = GaussianLoss(objective, get_target(target), T_RANGE).at(u)
        # At fixed x an eps error of 1 is an x1 error of -sigma/alpha, hence an output error of b - a sigma/alpha.
        error = (at["b"] - at["a"] * at["sigma"] / at["alpha"]).double()
        prices.append((at["coefficient"].double() * error**2).numpy())
    np.testing.assert_allclose(prices[0], prices[1], rtol=1e-5)


def test_tokens_are_shown_with_probability_alpha() -> None:
    x1 = torch.randint(0, 5, (3, 4000), generator=GENERATOR)
    u = torch.rand(3, 4000, generator=GENERATOR)
    alpha = torch.tensor([0.0, 0.3, 1.0])
    z = masked.mask(x1, alpha, u, vocabulary=5)
    assert bool((z[0] == 5).all())
    assert torch.equal(z[2], x1[2])
    assert abs(float((z[1] != 5).double().mean()) - 0.3) < 4 * (0.3 * 0.7 / 4000) ** 0.5


def test_masked_loss_prices_the_hidden_tokens_alone() -> None:
    x1 = torch.tensor([[0, 1, 2, 1], [2, 2, 0, 1]])
    z = torch.tensor([[3, 1, 3, 1], [2, 3, 0, 3]])
    logits, c = normal(2, 4, 3), torch.tensor([0.5, 2.0]).double()
    log_mu = np.log(np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(-1, keepdims=True))
    ce = [-(log_mu[0, 0, 0] + log_mu[0, 2, 2]), -(log_mu[1, 1, 2] + log_mu[1, 3, 1])]
    np.testing.assert_allclose(masked.cross_entropy(x1, z, logits, 3).numpy(), ce, rtol=1e-12)
    expected = np.mean(c.numpy() * np.array(ce) / 4)
    np.testing.assert_allclose(float(masked.loss(c, x1, z, logits, 3)), expected, rtol=1e-12)
