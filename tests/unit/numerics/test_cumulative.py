"""Cumulative integrals of functions that are no probability densities, and what they take beyond their last pieces."""

from __future__ import annotations

import numpy as np
import pytest

from reproflow.numerics.cumulative import cumulative


def test_what_lies_beyond_the_pieces_follows_from_the_exponent_of_that_end() -> None:
    """1/x^0.9 has the integral 10, of which half lies below 2^-10."""
    at_0 = cumulative(lambda x: x**-0.9, (0.0, 1.0), (10, 40), (-0.9, 0.0))
    assert at_0.total == pytest.approx(10, rel=1e-8)
    assert at_0.below[0] == pytest.approx(10 * 2.0**-1, rel=1e-8)
    at_1 = cumulative(lambda x: (1 - x) ** -0.9, (0.0, 1.0), (40, 10), (0.0, -0.9))
    assert at_1.total == pytest.approx(10, rel=1e-8)
    assert at_1.total - at_1.below[-1] == pytest.approx(10 * 2.0**-1, rel=1e-8)


def test_a_quantile_is_of_a_share_of_the_whole() -> None:
    """6 sqrt(x), whose integral is 4: a share s of it lies below s^(2/3)."""
    found = cumulative(lambda x: 6 * np.sqrt(x), (0.0, 1.0), (50, 40), (0.5, 0.0))
    assert found.total == pytest.approx(4, rel=1e-9)
    share = np.array([0.1, 0.5, 0.9])
    assert found.quantile(share) == pytest.approx(share ** (2 / 3), rel=1e-8)
