"""Values of users' functions: two of a path, and NaN at the ends of time alone."""

from __future__ import annotations

import pytest
import torch

from reproflow.foundation import specs
from reproflow.foundation.errors import UserFunctionError
from reproflow.theory.user_function_results import checked

SPEC = specs.parse("mine.py:mine")
T = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
NAN = float("nan")


def test_nan_is_taken_at_the_ends_and_refused_within() -> None:
    """0/0 at t = 0 or 1 is nobody's fault."""
    found = checked(torch.tensor([NAN, 1.0, NAN]), "weighting", (T,), SPEC)
    assert found.isnan().tolist() == [True, False, True]
    with pytest.raises(UserFunctionError, match=r"is NaN at t = 0\.5;"):
        checked(torch.tensor([1.0, NAN, 1.0]), "weighting", (T,), SPEC)


@pytest.mark.parametrize("count", [1, 3])
def test_a_path_gives_two_values(count: int) -> None:
    with pytest.raises(UserFunctionError, match=r"must give \(alpha, sigma\), it gave tuple"):
        checked((T,) * count, "path", (T,), SPEC)
