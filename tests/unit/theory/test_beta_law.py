"""The mass of a Beta law up to a time is scipy's."""

from __future__ import annotations

import pytest
import torch
from scipy.special import betainc

from reproflow.theory.times import get_time_law

ENDS = torch.tensor([0.0, 1e-12, 1 - 1e-12, 1.0], dtype=torch.float64)
T = torch.cat([ENDS, torch.linspace(0.01, 0.99, 99, dtype=torch.float64)])


@pytest.mark.parametrize(("a", "b"), [(1.0, 1.5), (1.0, 0.3), (1, 4.0), (2.0, 1.5), (1.5, 1.0)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_mass_up_to_a_time(a: float, b: float, dtype: torch.dtype) -> None:
    """With a = 1 it is 1 - (1 - t)^b, which needs no incomplete beta function."""
    t = T.to(dtype)
    found = get_time_law(f"beta:a={a},b={b}").cdf(t)
    assert found.dtype == dtype
    expected = torch.from_numpy(betainc(a, b, t.double().numpy())).to(dtype)
    torch.testing.assert_close(found, expected, rtol=1e-13 if dtype is torch.float64 else 1e-7, atol=0.0)
