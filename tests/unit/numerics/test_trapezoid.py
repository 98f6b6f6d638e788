"""The trapezoid rule against closed integrals, and functions of tensors that arrays are asked of."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from reproflow.numerics import trapezoid
from reproflow.numerics.arrays import on_arrays


def test_a_decaying_function_to_rounding() -> None:
    x, spacing = trapezoid.line(61, 9.0)
    assert spacing * float(torch.exp(-(x**2)).sum()) == pytest.approx(math.sqrt(math.pi), rel=1e-14)
    plane, area = trapezoid.square(61, 9.0)
    assert plane.shape == (3721, 2)
    assert area * float(torch.exp(-plane.square().sum(1)).sum()) == pytest.approx(math.pi, rel=1e-14)


def test_a_function_that_does_not_decay_within_is_wrong() -> None:
    """The control: the ends count at full."""
    x, spacing = trapezoid.line(61, 1.0)
    assert spacing * float(torch.ones_like(x).sum()) == pytest.approx(2 + spacing)


def test_functions_of_tensors_on_arrays() -> None:
    leaf = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    seen = []

    def function(t: torch.Tensor) -> torch.Tensor:
        seen.append((t.dtype, t.is_contiguous()))
        return leaf * t

    values = on_arrays(function)(np.linspace(0, 1, 9, dtype=np.float32)[::-2])
    assert values.tolist() == [2.0, 1.5, 1.0, 0.5, 0.0]
    assert values.dtype == np.float64
    assert seen == [(torch.float64, True)]
