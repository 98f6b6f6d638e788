"""The law of the levels by each way in which times are drawn: rounded, chosen, shared, stratified, not torch's."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn.functional import mse_loss

from reproflow.auditing.continuous import drawn, levels, table
from reproflow.auditing.continuous.instrument import read
from reproflow.auditing.continuous.solving import Levels
from reproflow.auditing.measured_loss import MeasuredLoss, Times
from reproflow.auditing.reading import Reading, Subject
from reproflow.auditing.tape import Draw, Kind

SHAPE = (3, 4, 4)


def reading(draw, told=lambda t: t) -> Reading:
    """Of flow matching at the times t that `draw(count)` gives."""

    def loss(model, x1):
        t, eps = draw(len(x1)), torch.randn_like(x1)
        s = t.view(-1, 1, 1, 1)
        return mse_loss(model(s * x1 + (1 - s) * eps, told(t)), x1 - eps)

    return read(Subject(loss, SHAPE, 16))


def measured(draw, told=lambda t: t) -> MeasuredLoss:
    found = reading(draw, told).measured
    assert isinstance(found, MeasuredLoss)
    return found


def test_times_on_a_coarse_grid_are_steps_with_their_shares() -> None:
    """u² on twenty places: the shares are those of a root."""
    found = measured(lambda count: ((20 * torch.rand(count) ** 2).floor() + 0.5) / 20, lambda t: 20 * t - 0.5)
    assert (found.times, found.complete, len(found.A)) == (Times.STEPS, True, 20)
    assert pytest.approx((np.arange(20) + 0.5) / 20, abs=1e-6) == found.A
    assert found.law == pytest.approx(np.diff(np.sqrt(np.arange(21) / 20)), abs=2e-6)
    assert found.steps.tolist() == list(range(20))


@pytest.mark.slow
@pytest.mark.parametrize("places", [5000])
def test_times_on_a_fine_grid_are_continuous_and_rounded(places: int) -> None:
    found = measured(lambda count: ((places * torch.rand(count)).floor() + 0.5) / places)
    assert (found.times, found.rounded) == (Times.CONTINUOUS, True)
    assert found.law == pytest.approx(found.A, abs=2e-4)


def test_strata_have_the_ranks_of_the_whole_batch() -> None:
    found = reading(lambda count: (torch.rand(1) + torch.arange(count)) / count)
    assert found.per_batch == "stratified"
    assert found.measured.times is Times.CONTINUOUS
    assert found.measured.law == pytest.approx(found.measured.A, abs=1e-5)


def test_of_many_steps_a_selection_is_read() -> None:
    found = measured(lambda count: (torch.randint(0, 3000, (count,)) + 0.5) / 3000, lambda t: 3000 * t - 0.5)
    assert (found.times, found.complete, len(found.A)) == (Times.STEPS, False, 1024)
    assert found.law == pytest.approx(np.full(1024, 1 / 3000))
    assert found.steps[[0, -1]].tolist() == [0, 2999]


def test_weighted_choices_keep_their_weights() -> None:
    """Steps towards the data and the weights of the first are the greatest."""
    weights = torch.linspace(3, 1, 40)

    def draw(count):
        return (torch.multinomial(weights, count, replacement=True) + 0.5) / 40

    found = measured(draw, lambda t: 40 * t - 0.5)
    assert found.law == pytest.approx(weights.numpy() / float(weights.sum()), rel=1e-6)
    assert found.steps.tolist() == list(range(40))


@pytest.mark.slow
@pytest.mark.parametrize(("a", "b"), [(2, 1)])
def test_times_of_numpy_are_drawn_twenty_thousand_times(a: float, b: float) -> None:
    """Of a Beta law, to what chance leaves; the extremes are among the levels that are read."""
    found = measured(lambda count: torch.as_tensor(np.random.beta(a, b, count), dtype=torch.float32))  # noqa: NPY002
    assert (found.times, found.draws) == (Times.DRAWN, 20000)
    assert np.abs(found.law - stats.beta(a, b).cdf(found.A)).max() < 0.015
    assert found.law[-1] > 1 - 1e-4
    assert found.law[0] < 1e-4


def test_a_drawn_law_runs_with_lam_whichever_way_the_told_time_does() -> None:
    every = np.random.default_rng(0).random(20000) ** 2
    told = np.linspace(0.05, 0.95, 40)
    below = np.sqrt(told)
    rising, count = drawn._law(told, np.linspace(-3, 3, 40), every)
    assert count == 20000
    assert rising == pytest.approx(below, abs=0.015)
    falling, _ = drawn._law(told, np.linspace(3, -3, 40), every)
    assert falling == pytest.approx(1 - below, abs=0.015)


def test_ties_of_drawn_times_lie_in_the_middle_of_their_mass() -> None:
    found, _ = drawn._law(np.arange(10.0), np.arange(10.0), np.repeat(np.arange(10.0), 100))
    assert found == pytest.approx((np.arange(10) + 0.5) / 10, abs=1e-3)


def test_a_told_time_that_says_little_of_the_level_has_no_law() -> None:
    rng = np.random.default_rng(0)
    lam = np.linspace(-3, 3, 200)
    assert drawn._law(lam + 3 * rng.standard_normal(200), lam, rng.random(20000))[1] == 0


def chosen(kind: Kind, **facts) -> tuple[np.ndarray | None, np.ndarray]:
    return levels._values(Draw("op", kind, torch.zeros(4), "f.py", 1, **facts))


def test_what_a_discrete_draw_can_be() -> None:
    values, law = chosen(Kind.INTEGER, low=1, high=4)
    assert (values.tolist(), law.tolist()) == ([1, 2, 3], [1 / 3] * 3)
    values, law = chosen(Kind.CHOICE, weights=torch.tensor([1.0, 0.0, 3.0]))
    assert (values.tolist(), law.tolist()) == ([0, 2], [0.25, 0.75])
    assert chosen(Kind.CHOICE, weights=torch.tensor([[1.0, 2.0], [2.0, 1.0]]))[0] is None


def at(A: np.ndarray) -> Levels:
    values = dict.fromkeys((each.name for each in fields(Levels)), np.zeros_like(A))
    return Levels(**values | {"A": A, "B": 1 - A})


def test_strata_agree_where_they_have_one_law() -> None:
    A = (np.arange(40) + 0.5) / 40
    assert levels._agree((at(A), A), (at(A + 0.01), A + 0.01), 1.0)
    assert not levels._agree((at(A), A), (at(A), A**2), 1.0)


def test_levels_that_are_clamped_to_one_end_are_one() -> None:
    lam, law = np.array([-3, -3, -3, 0, 1, 2, 2.0]), np.arange(1, 8) / 8
    assert table._without_atoms(np.arange(7), lam, law).tolist() == [2, 3, 4, 5]


def test_the_precision_is_that_of_the_worst_levels() -> None:
    assert table._worst(np.repeat([0.0, 1.0], 50)) == 1
    assert table._worst(np.r_[np.zeros(99), 1.0]) < 1
