"""Jumps of a quantile map that are smaller than a cell's climb."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from reproflow.theory.time_law_gaps import gaps
from reproflow.theory.times import get_time_law


def test_a_short_jump_stands_out_where_the_slope_changes() -> None:
    """A jump of 1e-6 from a slope of 0.1 to one of 1.9, where a cell of 2^-17 climbs 1.4e-5: more than the jump."""
    place = 0.5 + 0.4 * 2.0**-17
    start = 0.1 * place
    end = start + 1e-6
    steep = (1 - end) / (1 - place)
    base = get_time_law("mode", fine=True)
    law = replace(
        base,
        function=lambda u: torch.where(u < place, 0.1 * u, end + steep * (u - place)),
        entry=replace(base.entry, meta={}),
    )
    assert [pytest.approx(gap, abs=1e-9) for gap in [(start, end)]] == list(gaps(law))
