"""A loss is judged in units in which its gradient has digits; where it has none in any, that is known."""

from __future__ import annotations

from reproflow.judge.divergences import scaled_loss
from reproflow.theory.divergences import get_divergence

SQUARED = "expr:(a - b)**2"
LOST = f"{SQUARED} + 1e12*b*(sin(2*a) - 2*sin(a)*cos(a))"
"""Zero is added, but for the last digits, which are made large."""


def test_a_gradient_that_is_lost_in_rounding_is_asked_for_in_smaller_units() -> None:
    narrowest = scaled_loss.UNITS["real"][-1]
    assert scaled_loss.scaled(get_divergence(SQUARED), "real").unit == 1.0
    assert scaled_loss.scaled(get_divergence(LOST), "real").unit == narrowest


def test_in_another_domain_a_loss_is_judged_only_where_it_has_digits() -> None:
    assert scaled_loss.scaled_where_sound(get_divergence(SQUARED), "real") is not None
    assert scaled_loss.scaled_where_sound(get_divergence(LOST), "real") is None
