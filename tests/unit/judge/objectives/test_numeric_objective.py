"""An objective in numbers: its coefficient on the usual output, and how far a law without a density can be followed."""

from __future__ import annotations

import numpy as np
import pytest
from judged_objectives import objective

from reproflow.judge.objectives import integrability, judgement

T = np.linspace(0.05, 0.95, 19)


def test_a_canonical_weight_on_the_velocity() -> None:
    """On the linear path |lam'|/2 = 1/(t (1 - t)), and an error of eps is t times one of the velocity."""
    found = objective("expr:2", target="canonical").on_output(T)
    assert found == pytest.approx(2 * T / (1 - T), rel=1e-9)


@pytest.mark.parametrize(
    ("time", "last"), [("expr:u**2", (1 - 1e-9) ** 2), ("expr:0.5*u", 1.0), ("uniform", 1.0), ("beta:a=2,b=5", 1.0)]
)
def test_the_last_time_that_has_digits(time: str, last: float) -> None:
    """Of a law without a density that where u = 1 - 1e-9, unless the law itself ends earlier."""
    subject = objective("uniform", time=time)
    assert subject.resolved == pytest.approx(last, rel=1e-12)
    assert judgement._span(subject, (0.0, 1.0)) == (1e-12, pytest.approx(min(last, 1 - 1e-12), rel=1e-15))


def test_the_constant_of_the_bound_is_towards_the_data() -> None:
    """From t = 1/2, where lam = 0: the integral of exp(-lam) is 1, and that of exp(lam/2) infinite."""
    found = integrability.bound_constant(objective("expr:exp(-lam)", target="canonical"), T)
    assert (found.verdict, found.value) == ("finite", pytest.approx(1, rel=1e-6))
    assert integrability.bound_constant(objective("expr:exp(lam/2)", target="canonical"), T).verdict == "infinite"
