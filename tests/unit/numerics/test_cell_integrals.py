"""Integrals over many cells at once: closed forms, jumps, poles, and what is said not to be known of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from reproflow.numerics import cell_integrals
from reproflow.numerics.cell_integrals import integrate

ENDS = torch.linspace(0, 1, 8, dtype=torch.float64)
LEAST = 1e-9


def over_cells(antiderivative: Tensor) -> list[float]:
    return antiderivative.diff().tolist()


def test_smooth_functions_to_rounding() -> None:
    total, doubt = integrate(lambda t: torch.exp(3 * t), ENDS[:-1], ENDS[1:], LEAST)
    assert total.tolist() == pytest.approx(over_cells(torch.exp(3 * ENDS) / 3), rel=1e-13)
    assert doubt.max() < 1e-9


def test_a_peak_is_found_by_halving() -> None:
    """Narrower than the distance of a cell's nodes by far."""
    width = 1e-4
    total, doubt = integrate(lambda t: 1 / (width**2 + (t - 0.4) ** 2), ENDS[:-1], ENDS[1:], LEAST)
    assert total.tolist() == pytest.approx(over_cells(torch.atan((ENDS - 0.4) / width) / width), rel=1e-8)
    assert (doubt <= 1e-8 * total).all()


def test_a_jump_costs_the_last_cell_alone() -> None:
    total, doubt = integrate(lambda t: torch.where(t < 1 / 3, 1.0, 5.0).to(t), ENDS[:-1], ENDS[1:], LEAST)
    exact = torch.where(ENDS < 1 / 3, ENDS, 5 * ENDS - 4 / 3)
    assert total.tolist() == pytest.approx(over_cells(exact), rel=1e-9)
    assert doubt.max() < 1e-8


def test_what_lies_beside_a_pole_is_in_the_integral_and_in_doubt() -> None:
    """1/sqrt|t - 1/3|: beside 1/3 times have no digits left for the last 1e-8 or so."""
    total, doubt = integrate(lambda t: (t - 1 / 3).abs() ** -0.5, ENDS[:-1], ENDS[1:], LEAST)
    exact = torch.tensor(over_cells(2 * (ENDS - 1 / 3).sign() * (ENDS - 1 / 3).abs().sqrt()), dtype=torch.float64)
    off = (total - exact).abs()
    assert (off <= doubt + 1e-8 * exact).all()
    assert 1e-8 < doubt[2] < 1e-5
    assert off[2] < 1e-6
    assert doubt[6] < 1e-9


def test_cells_that_are_not_settled_are_in_the_integral_and_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wave that no number of cells resolves: its mean is 1, and nothing of it is known."""
    monkeypatch.setattr(cell_integrals, "PIECES", 4096)
    total, doubt = integrate(lambda t: 1 + torch.sin(1e9 * t), ENDS[:-1], ENDS[1:], LEAST)
    assert total.tolist() == pytest.approx(ENDS.diff().tolist(), rel=0.1)
    assert (doubt >= 0.9 * total).all()


def test_little_mass_needs_few_digits() -> None:
    """A difference counts from nine digits of `least` on: a cell of less mass is not halved for its jump."""
    asked = []

    def tiny(t: Tensor) -> Tensor:
        asked.append(len(t))
        return 1e-20 * torch.where(t < 1 / 3, 1.0, 5.0).to(t)

    integrate(tiny, ENDS[:-1], ENDS[1:], LEAST)
    few = len(asked)
    integrate(tiny, ENDS[:-1], ENDS[1:], 1e-30)
    assert few == 3 < len(asked) - few
