"""In which time a law is that is given by name, or by an expression."""

from __future__ import annotations

import pytest
import torch

from reproflow.judge.laws import time_law
from reproflow.judge.objectives.asked import of_specs

T = torch.linspace(0.05, 0.95, 19, dtype=torch.float64)


def test_a_registered_law_has_the_data_at_1_already() -> None:
    law, turned = (time_law("logit_normal:mean=-1", turned=turn) for turn in (False, True))
    torch.testing.assert_close(turned.cdf(T), law.cdf(T), rtol=0, atol=0)
    assert float(law.cdf(T)[9]) == pytest.approx(0.5 * (1 + torch.erf(torch.tensor(0.5**0.5)).item()), rel=1e-6)


def test_one_of_ones_own_is_turned_round() -> None:
    """u² with the data at 0 is 1 - u² with the data at 1: P(T <= t) = 1 - sqrt(1 - t)."""
    torch.testing.assert_close(time_law("expr:u**2", turned=True).cdf(T), 1 - (1 - T).sqrt(), rtol=1e-9, atol=1e-12)


def test_that_of_an_objective_is_turned_round_once() -> None:
    found = of_specs("uniform", None, "expr:u**2", "gaussian", None, "data-to-noise")
    torch.testing.assert_close(found.time.cdf(T), 1 - (1 - T).sqrt(), rtol=1e-9, atol=1e-12)
