"""What the measures of likelihood hand on: the held-out images with their own labels, errors, refusals, probes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from reproflow.evaluation.likelihood import likelihood_measures as measures
from reproflow.evaluation.likelihood.bound import Bound
from reproflow.evaluation.likelihood.flow import FlowLikelihood
from reproflow.evaluation.measures import Subject
from reproflow.foundation import config
from reproflow.learning import data
from reproflow.learning.networks.builders import initialise
from reproflow.learning.networks.denoiser import DENOISERS
from reproflow.learning.networks.heads import head_for
from reproflow.theory.paths import get_path

DOUBLE = torch.float64


def subject(process: str, **likelihood: object) -> Subject:
    """An untrained digits network, and settings of its likelihood."""
    gaussian = process == "gaussian"
    written = {
        "name": "one",
        "process": process,
        "dataset": "digits8",
        "paths": ["cosine"],
        "weightings": ["elbo"],
        "seeds": [0],
        "model": {"width": 16, "depth": 1},
        "sampling": {"solver": "heun" if gaussian else "ancestral", "n": 200},
        "likelihood": {"points": 5, "repeats": 1, "ode_points": 3, "ode_steps": 2} | likelihood,
    } | ({"targets": ["x1"]} if gaussian else {})
    settings = config.check({"name": "t", "experiments": [written]}).experiments[0]
    images = data.get_dataset("digits8")
    target = "x1" if gaussian else "ce"
    head = head_for(images, process, target, settings.model)
    network = initialise(head.architecture, [("test",)]).requires_grad_(False)
    return Subject(DENOISERS[process](network, head, get_path("cosine", process), target), settings, images)


@pytest.mark.parametrize("process", ["gaussian", "masked"])
def test_bounds_are_of_the_first_held_out_images_with_their_own_labels(process: str, monkeypatch) -> None:
    """And their number is the mean over images in bits a dimension, with the error of that mean."""
    seen: dict[str, object] = {}
    nats = torch.tensor([10.0, 20.0, 30.0, 40.0, 50.0], dtype=DOUBLE)

    def bound(denoiser: object, tokens: Tensor, y: Tensor, *rest: object, **options: object) -> Bound:
        seen.update(tokens=tokens, y=y, **options)
        return Bound(nats, nats)

    monkeypatch.setattr(measures, f"{process}_bound", bound)
    asked = subject(process, repeats=3)
    found = getattr(measures, f"{process}_bound_bits")(asked)
    assert torch.equal(seen["tokens"], asked.data.tokens("test")[:5])
    assert torch.equal(seen["y"], asked.data.labels("test")[:5])
    assert not torch.equal(seen["y"], asked.data.labels()[:5])
    assert seen["repeats"] == 3
    assert found.value == pytest.approx(30 / 64 / math.log(2))
    assert found.se == pytest.approx(float(nats.std()) / math.sqrt(5) / 64 / math.log(2))
    assert torch.equal(found.nats["bound_nats"], nats)
    assert not found.failed
    nats[2] = math.inf
    broken = getattr(measures, f"{process}_bound_bits")(asked)
    assert broken.failed
    assert broken.reason == "bound_bits_per_dim is not finite"


@pytest.mark.parametrize("apart", [0.0, 0.02, 5.0])
def test_the_flow_is_that_of_held_out_images_and_refused_where_it_is_coarse(apart: float, monkeypatch) -> None:
    """`apart`: by how many bits a dimension N and 2 N steps differ; 0.05 are allowed, and are part of the error."""
    seen: list[tuple[Tensor, Tensor, Tensor | None]] = []
    scale = 64 * math.log(2)

    def nll(denoiser: object, levels: Tensor, y: Tensor, generator: object, values: Tensor, **options: object):
        seen.append((levels, y, options["probes"]))
        fine = torch.arange(float(len(levels)), dtype=DOUBLE) + 100
        return FlowLikelihood(fine, fine + apart * scale, torch.zeros(len(levels)))

    monkeypatch.setattr(measures, "dequantised_nll", nll)
    monkeypatch.setattr(measures, "SLICE", 2)
    asked = subject("gaussian", divergence="hutchinson", probes=4)
    found = measures.ode_bits_per_dim(asked)
    levels, y = (torch.cat([each[part] for each in seen]) for part in (0, 1))
    assert [len(each[0]) for each in seen] == [2, 1]
    assert torch.equal(levels, asked.data.tokens("test")[:3])
    assert torch.equal(y, asked.data.labels("test")[:3])
    probes = torch.cat([each[2] for each in seen], 1)
    assert probes.shape == (4, 3, 64)
    assert set(probes.unique().tolist()) == {-1, 1}
    assert abs(float(probes.double().mean())) < 0.1
    assert found.nats["ode_nats"].tolist() == [100, 101, 100]
    if apart > measures.COARSE_BITS:
        assert found.value is None
        assert "raise likelihood.ode_steps" in found.reason
    else:
        spread = float((found.nats["ode_nats"] / scale).std()) / math.sqrt(3)
        assert found.se == pytest.approx(math.hypot(spread, apart))


@pytest.mark.parametrize("apart", [0.0, 0.05, 5.0])
def test_points_are_held_out_and_refused_where_the_flow_is_coarse(apart: float, monkeypatch) -> None:
    seen: dict[str, object] = {}
    fine = torch.tensor([1.0, 2.0, 4.0], dtype=DOUBLE)

    def nll(denoiser: object, points: Tensor, **options: object) -> FlowLikelihood:
        seen.update(points=points, **options)
        return FlowLikelihood(fine, fine - apart, torch.zeros(3))

    monkeypatch.setattr(measures, "flow_nll", nll)
    written = {"name": "one", "process": "gaussian", "dataset": "eight_gaussians", "paths": ["linear"]}
    written |= {"weightings": ["uniform"], "seeds": [0], "likelihood": {"points": 3, "steps": 7}}
    settings = config.check({"name": "t", "experiments": [written]}).experiments[0]
    plane = data.get_dataset("eight_gaussians")
    denoiser = object.__new__(measures.GaussianDenoiser)
    found = measures.nll_nats(Subject(denoiser, settings, plane))
    assert torch.equal(seen["points"], plane.test[:3].float())
    assert seen["steps"] == 7
    if apart > measures.COARSE_NATS:
        assert found.value is None
        assert "raise likelihood.steps" in found.reason
    else:
        assert found.value == pytest.approx(7 / 3)
        assert found.se == pytest.approx(math.hypot(float(fine.std()) / math.sqrt(3), apart))


def test_without_points_the_flow_of_images_is_left_out() -> None:
    assert measures.ode_bits_per_dim(subject("gaussian", ode_points=0)) is None
