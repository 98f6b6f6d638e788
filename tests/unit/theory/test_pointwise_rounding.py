"""What a function's answers may differ by from call to call: what rounding of the time would make of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from reproflow.foundation.errors import UserFunctionError
from reproflow.theory import pointwise
from reproflow.theory.times import TimeLaw, get_time_law


def moved_by(share: float) -> TimeLaw:
    """A steep map that rounds u by a share of its distance from the nearer end, in batches of an odd length alone."""

    def quantile(u: Tensor) -> Tensor:
        u = u + (len(u) % 2) * share * torch.minimum(u, 1 - u)
        return 0.5 + 0.25 * torch.sin(3000 * u)

    base = get_time_law("mode", fine=True)
    return replace(base, function=quantile, entry=replace(base.entry, function=quantile, meta={}))


def test_float32_is_no_company() -> None:
    """2^-24, half a unit of the last digit of float32, moves the values by far more than 1e-6 of themselves."""
    pointwise.check_time_law(moved_by(2.0**-24))


def test_more_than_rounding_is_refused() -> None:
    with pytest.raises(UserFunctionError, match="it must be a function of each u alone"):
        pointwise.check_time_law(moved_by(2.0**-16))
