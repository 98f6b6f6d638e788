"""Every part of a likelihood is asked for a point's own class; errors are those of means."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from scipy import stats
from torch import Tensor

from reproflow.evaluation.features import precision_recall
from reproflow.evaluation.likelihood import flow
from reproflow.evaluation.likelihood.gaussian_bound import gaussian_bound
from reproflow.evaluation.measures import mean_error
from reproflow.evaluation.modes import modes
from reproflow.learning import data
from reproflow.theory.paths import get_path

DOUBLE = torch.float64
VALUES = torch.tensor([-1.0, 0.0, 1.0], dtype=DOUBLE)


class Told:
    """A network that knows the level from the class: y itself at every pixel; it notes the classes that it was told."""

    path, device, head = get_path("linear"), torch.device("cpu"), SimpleNamespace(kind="levels")

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def x1(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        self.seen.append(y)
        return VALUES[y][:, None].expand_as(x)

    def x1_logits(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        self.seen.append(y)
        return 3 * torch.nn.functional.one_hot(y, 3).double()[:, None].expand(*x.shape, 3)


Y = torch.tensor([2, 0, 1, 2])
LEVELS = Y[:, None].expand(4, 2)


def test_levels_are_read_off_for_a_points_own_class() -> None:
    found = flow.read_off(Told(), LEVELS, VALUES[LEVELS], Y, 0.9, VALUES)
    own = -2 * math.log(math.exp(3) / (math.exp(3) + 2))
    assert found.tolist() == pytest.approx([own] * 4)
    other = flow.read_off(Told(), LEVELS, VALUES[LEVELS], (Y + 1) % 3, 0.9, VALUES)
    assert other.tolist() == pytest.approx([own + 6] * 4)


def test_the_bound_asks_for_a_points_own_class() -> None:
    """The class tells everything, so that the base's KL and the reading off are all that is left."""
    model = Told()
    found = gaussian_bound(model, LEVELS, Y, torch.Generator().manual_seed(0), VALUES, (0.01, 0.99), strata=4)
    assert len(model.seen) == 2 * 5
    assert all(torch.equal(each, Y) for each in model.seen)
    assert float(found.nats.max()) < 0.3
    wrong = gaussian_bound(Told(), LEVELS, Y * 0, torch.Generator().manual_seed(0), VALUES, (0.01, 0.99), strata=4)
    assert (wrong.nats > found.nats + 1).tolist() == [True, False, True, True]


def test_the_error_over_probes_is_that_of_their_mean() -> None:
    nats = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=DOUBLE)
    found = flow._probe_se(nats, torch.ones(5, 3, 2))
    assert found.tolist() == pytest.approx(stats.sem(nats.numpy()).tolist())
    assert flow._probe_se(nats[:1], torch.ones(1, 3, 2)).isnan().all()
    assert flow._probe_se(nats, None).tolist() == [0, 0, 0]


def test_the_error_over_points_is_that_of_their_mean() -> None:
    values = torch.randn(40, generator=torch.Generator().manual_seed(1), dtype=DOUBLE)
    assert mean_error(values) == pytest.approx(stats.sem(values.numpy()))


def test_precision_is_of_samples_and_recall_of_data() -> None:
    """All samples lie on the first of two modes of the data."""
    generator = torch.Generator().manual_seed(2)
    both = torch.randn(200, 3, generator=generator, dtype=DOUBLE)
    both[100:] += 100
    near = torch.randn(100, 3, generator=generator, dtype=DOUBLE)
    subject = SimpleNamespace(
        features=SimpleNamespace(values=near), reference=SimpleNamespace(train=SimpleNamespace(values=both))
    )
    assert precision_recall.precision(subject).value > 0.9
    assert 0.3 < precision_recall.recall(subject).value <= 0.5


def test_samples_that_are_not_finite_are_near_no_mode() -> None:
    law = data.get_dataset("eight_gaussians")
    x = law.sample(2000, torch.Generator().manual_seed(3))
    whole = modes(x[1::2], law.mixture).within
    x[::2] = torch.nan
    assert modes(x, law.mixture).within == pytest.approx(whole / 2)
