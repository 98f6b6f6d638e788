"""States that are bent, or flipped by coins, times of two draws, and targets of another size than answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import mse_loss

from reproflow.auditing.continuous.instrument import read
from reproflow.auditing.measured_loss import MeasuredLoss, Times
from reproflow.auditing.reading import Reading, Subject


def reading(loss) -> Reading:
    return read(Subject(loss, (3, 4, 4), 16))


def measured(loss) -> MeasuredLoss:
    found = reading(loss).measured
    assert isinstance(found, MeasuredLoss)
    return found


def flow(x1, size: float = 1.0):
    """Times, state, and `size` times the velocity of flow matching."""
    t, eps = torch.rand(len(x1)), torch.randn_like(x1)
    s = t.view(-1, 1, 1, 1)
    return t, s * x1 + (1 - s) * eps, size * (x1 - eps)


@pytest.mark.parametrize(("bend", "bent"), [(0.004, False), (0.04, True)])
def test_a_state_that_is_slightly_bent_is_bent(bend: float, bent: bool) -> None:
    """By some hundredths of its size, which a squashed state is off by far more; by ten times less it is rounding."""

    def loss(model, x1):
        t, xt, velocity = flow(x1)
        return mse_loss(model(xt + bend * xt.square(), t), velocity)

    assert ("state-not-linear" in {each.id for each in reading(loss).findings}) == bent


def test_flips_at_random_leave_the_state_linear() -> None:
    """Coins of a batch are set alike, and the order that they then make is found, whichever most of them are."""

    def loss(model, x1):
        u = torch.rand(len(x1)).view(-1, 1, 1, 1)
        t, xt, velocity = flow(torch.where(u < 0.35, x1.flip(3), torch.where(u < 0.65, x1.flip(2), x1)))
        return mse_loss(model(xt, t), velocity)

    found = reading(loss)
    assert not found.findings
    assert isinstance(found.measured, MeasuredLoss)
    assert np.abs(found.measured.A + found.measured.B - 1).max() < 1e-5


def test_the_law_of_a_time_of_two_draws_is_that_of_draws() -> None:
    """Half from each: setting one of them would leave the other's half of the law out."""

    def loss(model, x1):
        t, eps = (torch.rand(len(x1)) + torch.rand(len(x1))) / 2, torch.randn_like(x1)
        s = t.view(-1, 1, 1, 1)
        return mse_loss(model(s * x1 + (1 - s) * eps, t), x1 - eps)

    levels = measured(loss)
    assert levels.times is Times.DRAWN
    triangle = np.where(levels.A < 0.5, 2 * levels.A**2, 1 - 2 * (1 - levels.A) ** 2)
    assert np.abs(np.sort(levels.law) - np.sort(triangle)).max() < 0.1


@pytest.mark.parametrize("size", [1e4, 1e-4])
def test_targets_of_any_size_are_read_as_closely(size: float) -> None:
    def loss(model, x1):
        t, xt, velocity = flow(x1, size)
        return mse_loss(model(xt, t), velocity)

    levels = measured(loss)
    assert np.abs(levels.a / size - 1).max() < 1e-5
    assert np.abs(levels.b / size + 1).max() < 1e-5
