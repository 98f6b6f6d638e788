"""Networks, denoisers and data sets are what the protocols say; mypy checks the signatures, these tests the objects."""

from __future__ import annotations

import pytest
import torch

from reproflow.foundation.config import Model
from reproflow.learning import data
from reproflow.learning.data.base import DataSet, SampledData, SplitData
from reproflow.learning.networks.base import ContinuousDenoiser, Denoiser, Network, TokenDenoiser
from reproflow.learning.networks.denoiser import GaussianDenoiser, MaskedDenoiser
from reproflow.learning.networks.exact_denoiser import exact_denoiser
from reproflow.learning.networks.heads import Head, head_for
from reproflow.learning.networks.stacked_mlp import StackedMLP
from reproflow.theory.paths import get_path
from reproflow.theory.targets import get_target


def network(name: str, process: str, target: str) -> tuple[StackedMLP, Head]:
    head = head_for(data.get_dataset(name, process), process, target, Model(width=16, depth=1))
    return StackedMLP(head.architecture, 1), head


def points_denoiser() -> ContinuousDenoiser:
    stacked, head = network("eight_gaussians", "gaussian", "velocity")
    return GaussianDenoiser(stacked, head, get_path("linear"), get_target("velocity"))


def tokens_denoiser() -> TokenDenoiser:
    return MaskedDenoiser(*network("digits8", "masked", "ce"), get_path("cosine", "masked"))


def test_networks() -> None:
    stacked: Network = network("eight_gaussians", "gaussian", "velocity")[0]
    assert isinstance(stacked, Network)
    assert stacked(torch.zeros(1, 5, 2), torch.full((1, 5), 0.5), None).shape == (1, 5, 2)
    assert not isinstance(object(), Network)


def test_denoisers() -> None:
    found = points_denoiser()
    assert isinstance(found, ContinuousDenoiser)
    assert isinstance(found, Denoiser)
    assert not isinstance(found, TokenDenoiser)
    x, t = torch.zeros(5, 2), torch.full((5,), 0.5)
    assert found.velocity(x, t).shape == found.x1(x, t).shape == x.shape
    with pytest.raises(TypeError, match="no posterior over levels"):
        found.x1_logits(x, t)
    tokens = tokens_denoiser()
    assert isinstance(tokens, TokenDenoiser)
    assert not isinstance(tokens, ContinuousDenoiser)
    assert tokens.logits(torch.zeros(3, 64).long(), torch.zeros(3).long()).shape == (3, 64, 17)


def test_the_exact_denoiser_answers_as_a_trained_one() -> None:
    found: ContinuousDenoiser = exact_denoiser("linear")
    x, t = torch.zeros(5, 2, dtype=torch.float64), torch.full((5,), 0.5, dtype=torch.float64)
    assert found.velocity(x, t).shape == found.x1(x, t).shape == x.shape


def test_data_sets() -> None:
    points, images = data.get_dataset("eight_gaussians"), data.get_dataset("digits8")
    assert isinstance(points, DataSet)
    assert isinstance(points, SampledData)
    assert not isinstance(points, SplitData)
    assert isinstance(images, SplitData)
    assert not isinstance(images, SampledData)
    for each in (points, images):
        assert each.test.shape[1] == each.dim
