"""Rows that a loss is asked for: as fine as is said, of both signs, and rounding is no residual."""

from __future__ import annotations

import torch

from reproflow.judge.divergences import stratified

SPAN = (1e-6, 1 - 1e-6)
FINEST = 2.5e-4
"""Of t, as `stratified.RESOLUTION` has it."""


def test_no_window_of_the_stated_width_is_left_out() -> None:
    t = stratified.rows("real", SPAN)[3].sort().values
    assert t.diff().max() < FINEST
    for numbers in stratified.rows("positive", SPAN)[1:3]:
        assert numbers.log().sort(0).values.diff(dim=0).max() < 5e-3


def test_real_numbers_have_both_signs() -> None:
    for numbers in stratified.rows("real", SPAN)[:3]:
        assert 0.4 < (numbers < 0).double().mean() < 0.6


def test_rounding_is_no_residual() -> None:
    """The largest of three is a thousandth of a gradient that moves by a hundred-thousandth: noise."""
    gap, noise = (torch.tensor(each, dtype=torch.float64) for each in ([1e-3, 2e-4, 3e-4], [1e-5, 1e-8, 0.0]))
    rows, t = torch.arange(3.0)[:, None].expand(3, 3), torch.arange(3.0)
    found = stratified._worst(gap, torch.ones(3), noise, rows, rows, rows, t, rows)
    assert (found.residual, found.t) == (3e-4, 2.0)
