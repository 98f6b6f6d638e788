"""Denoisers answer the same whatever the network puts out, and the levels head is Bayes' rule."""

from __future__ import annotations

import pytest
import torch

from reproflow.foundation.config import Model
from reproflow.learning import data
from reproflow.learning.networks.builders import initialise
from reproflow.learning.networks.denoiser import GaussianDenoiser, MaskedDenoiser
from reproflow.learning.networks.heads import head_for
from reproflow.learning.networks.stacked_mlp import StackedMLP
from reproflow.theory.paths import get_path
from reproflow.theory.targets import get_target

T = torch.linspace(0.05, 0.95, 16)


def network(head, scale: float = 0.1) -> StackedMLP:
    """Random weights in every layer (a fresh network's last one is zero)."""
    made = initialise(head.architecture, [("test",)])
    assert isinstance(made, StackedMLP)
    generator = torch.Generator().manual_seed(0)
    made.weights[-1].data.normal_(0, scale, generator=generator)
    return made.requires_grad_(False)


@pytest.mark.parametrize("target", ["velocity", "x1", "eps", "score", "v"])
def test_answers_are_consistent(target: str) -> None:
    """u = alpha' x1 + sigma' eps with eps = (x - alpha x1) / sigma, whatever was predicted."""
    points = data.get_dataset("eight_gaussians")
    head = head_for(points, "gaussian", target, Model(width=16, depth=2))
    denoiser = GaussianDenoiser(network(head), head, get_path("cosine"), get_target(target))
    x = torch.randn(16, 2, generator=torch.Generator().manual_seed(1))
    c = denoiser.path.at(T.double())
    x1, u = denoiser.x1(x, T).double(), denoiser.velocity(x, T).double()
    eps = (x - c.alpha[:, None] * x1) / c.sigma[:, None]
    torch.testing.assert_close(u, c.dalpha[:, None] * x1 + c.dsigma[:, None] * eps, rtol=1e-4, atol=1e-4)


def test_an_expanded_time_is_the_same_time() -> None:
    points = data.get_dataset("eight_gaussians")
    head = head_for(points, "gaussian", "x1", Model(width=16, depth=2))
    denoiser = GaussianDenoiser(network(head), head, get_path("vp"), get_target("x1"))
    x = torch.randn(16, 2)
    once = denoiser.velocity(x, torch.tensor([0.3]).expand(16))
    torch.testing.assert_close(once, denoiser.velocity(x, torch.full((16,), 0.3)), rtol=0, atol=0)


def test_the_levels_head_is_bayes_rule() -> None:
    """With a silent network the posterior is that of a uniform prior over levels, here by direct exponentials."""
    images = data.get_dataset("digits8")
    head = head_for(images, "gaussian", "x1", Model(width=16, depth=1))
    silent = initialise(head.architecture, [("test",)]).requires_grad_(False)
    denoiser = GaussianDenoiser(silent, head, get_path("cosine"), get_target("x1"))
    x, y = torch.randn(16, 64, generator=torch.Generator().manual_seed(0)), torch.zeros(16, dtype=torch.long)
    alpha, sigma = (value[:, None, None] for value in denoiser.path(T.double()))
    density = torch.exp(-0.5 * ((x.double()[..., None] - alpha * images.values) / sigma) ** 2)
    wanted = (density * images.values).sum(-1) / density.sum(-1)
    torch.testing.assert_close(denoiser.x1(x, T, y).double(), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("target", ["x1", "eps"])
def test_a_label_is_that_of_its_row(target: str) -> None:
    """Two kinds of head, with and without levels: a row answers to its own label and to no other's."""
    images = data.get_dataset("digits8")
    head = head_for(images, "gaussian", target, Model(width=16, depth=1))
    denoiser = GaussianDenoiser(network(head), head, get_path("cosine"), get_target(target))
    x, y = torch.randn(16, 64, generator=torch.Generator().manual_seed(0)), torch.arange(16) % 9 + 1
    answers, others = denoiser.x1(x, T, y), denoiser.x1(x, T, (y + 1) % 10)
    assert (answers != others).any(1).all()
    first = y == y[0]
    changed = denoiser.x1(x, T, torch.where(first, y, (y + 1) % 10))
    torch.testing.assert_close(changed[first], answers[first], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(changed[~first], others[~first], rtol=1e-5, atol=1e-6)


def test_masked_networks_see_no_hidden_value() -> None:
    images = data.get_dataset("digits8", "masked")
    head = head_for(images, "masked", "ce", Model(width=16, depth=2))
    denoiser = MaskedDenoiser(network(head), head, get_path("linear", "masked"))
    tokens, y = images.tokens()[:4], images.labels()[:4]
    hidden = tokens.clone()
    hidden[:, ::2] = images.levels
    shown = denoiser.logits(hidden, y)
    assert shown.shape == (4, 64, 17)
    assert not torch.equal(shown, denoiser.logits(tokens, y))
    assert not torch.equal(shown, denoiser.logits(hidden, (y + 1) % 10))


def test_plain_heads_have_no_posterior() -> None:
    head = head_for(data.get_dataset("eight_gaussians"), "gaussian", "x1", Model(width=16, depth=1))
    denoiser = GaussianDenoiser(network(head), head, get_path("linear"), get_target("x1"))
    with pytest.raises(TypeError, match="no posterior over levels"):
        denoiser.x1_logits(torch.zeros(16, 2), T)
