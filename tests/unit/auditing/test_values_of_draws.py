"""Values for draws, and the share of draws up to a value."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from reproflow.auditing.draws import filled, fresh, share, standard
from reproflow.auditing.tape import Draw, Kind


def draw(kind: Kind, values: torch.Tensor, high: int = 0) -> Draw:
    return Draw("aten::rand", kind, values, "train.py", 1, high=high)


def test_the_share_of_draws_counts_half_of_equal_ones_and_is_inside() -> None:
    drawn = np.array([3.0, 1.0, 2.0, 2.0])
    assert share(np.array([0.0, 1.0, 2.0, 2.5, 3.0, 9.0]), drawn).tolist() == [0.125, 0.125, 0.5, 0.75, 0.875, 0.875]
    exact = (np.arange(100) + 0.5) / 100
    assert np.abs(share(exact, exact) - exact).max() < 1e-15


@pytest.mark.parametrize("kind", [Kind.UNIFORM, Kind.NORMAL, Kind.INTEGER, Kind.PERMUTATION])
def test_fresh_values_are_others_of_the_same_shape(kind: Kind) -> None:
    old = draw(kind, torch.zeros(64) if kind is not Kind.PERMUTATION else torch.arange(64), high=9)
    new = fresh(old, torch.Generator().manual_seed(0))
    assert new.shape == old.standard.shape
    assert not torch.equal(new, old.standard)


def test_quantiles_are_standard_values_and_the_last_fills_up() -> None:
    normal = draw(Kind.NORMAL, torch.zeros(2, 2, dtype=torch.float64))
    values = standard(normal, np.array([0.5, 0.975]))
    assert values.tolist() == pytest.approx([0.0, 1.959964], abs=1e-6)
    assert filled(normal, values).flatten().tolist() == pytest.approx([0.0] + 3 * [1.959964], abs=1e-6)
