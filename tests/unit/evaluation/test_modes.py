"""Modes are told from a ring, from a missing mode and from a blur; discs that overlap are refused."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from reproflow.evaluation.modes import modes
from reproflow.exact.mixture import Mixture
from reproflow.learning import data

LAW = data.get_dataset("eight_gaussians")
N = 10_000


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ring(spread: float) -> Tensor:
    """Points at random angles about the circle through the centres."""
    draws = generator()
    angle = 2 * math.pi * torch.rand(N, generator=draws, dtype=torch.float64)
    radius = LAW.mixture.means.norm(dim=-1)[0] + spread * torch.randn(N, generator=draws, dtype=torch.float64)
    return radius[:, None] * torch.stack([angle.cos(), angle.sin()], -1)


def test_the_law_itself_is_resolved() -> None:
    found = modes(LAW.sample(N, generator()), LAW.mixture)
    assert found.resolved
    assert found.expected == pytest.approx(1 - math.exp(-2), rel=1e-12)
    assert found.within == pytest.approx(1 - math.exp(-2), abs=4 * math.sqrt(0.865 * 0.135 / N))
    assert float(found.shares.sum()) == 1.0
    assert float((found.shares - 1 / 8).abs().max()) < 4 * math.sqrt(7 / 64 / N)


@pytest.mark.parametrize("spread", [0.0, 0.1, 0.2])
def test_a_ring_is_not_resolved(spread: float) -> None:
    """Its shares are perfect; only the gaps give it away. Of the bare circle the part near centres is known."""
    found = modes(ring(spread), LAW.mixture)
    assert not found.resolved
    assert float((found.shares - 1 / 8).abs().max()) < 4 * math.sqrt(7 / 64 / N)
    if spread == 0:
        reached = 2 * math.asin(0.4 / 2 / math.sqrt(1.92))
        assert found.within == pytest.approx(reached / (math.pi / 8), abs=4 * math.sqrt(0.19 / N))


@pytest.mark.parametrize("share", [0.0, 0.5, 2.0])
def test_a_mode_with_a_wrong_share_is_not_resolved(share: float) -> None:
    x = LAW.sample(N, generator())
    first = torch.cdist(x.double(), LAW.mixture.means).argmin(-1) == 0
    changed = torch.cat([x[~first], *[x[first]] * math.floor(share), x[first][: round(share % 1 * int(first.sum()))]])
    found = modes(changed, LAW.mixture)
    assert not found.resolved
    assert float(found.shares[0]) == pytest.approx(share / (share + 7), abs=0.01)


def test_a_blur_is_not_resolved() -> None:
    """Modes of one and a half times their spread: within two deviations lies 1 - exp(-8/9) of each."""
    index = torch.arange(N) % 8
    x = LAW.mixture.means[index] + 0.3 * torch.randn(N, 2, generator=generator(), dtype=torch.float64)
    found = modes(x, LAW.mixture)
    assert not found.resolved
    assert found.within == pytest.approx(1 - math.exp(-8 / 9), abs=0.03)


def test_samples_that_are_not_finite_belong_to_no_mode() -> None:
    x = LAW.sample(N, generator())
    x[::2] = torch.nan
    found = modes(x, LAW.mixture)
    assert not found.resolved
    assert float(found.shares.sum()) == 0.5


def test_modes_of_unequal_weight_and_spread_are_measured_by_their_own() -> None:
    mixture = Mixture(
        torch.tensor([0.2, 0.8], dtype=torch.float64),
        torch.tensor([[0.0] * 3, [4.0] * 3], dtype=torch.float64),
        torch.tensor([0.5, 2.0], dtype=torch.float64),
    )
    index = (torch.rand(N, generator=generator()) < 0.8).long()
    x = mixture.means[index] + mixture.stds[index, None] * torch.randn(N, 3, generator=generator(1)).double()
    found = modes(x, mixture)
    assert found.resolved
    assert found.expected == pytest.approx(math.erf(math.sqrt(2)) - 2 * math.sqrt(2 / math.pi) * math.exp(-2), rel=1e-9)
    assert float(found.shares[1]) == pytest.approx(0.8, abs=0.02)


def test_discs_that_overlap_are_refused() -> None:
    """Within three deviations nearly all of a ring would count as near a centre of `eight_gaussians`."""
    with pytest.raises(ValueError, match=r"3 standard deviations overlap.*within 2\.65 or less"):
        modes(ring(0.0), LAW.mixture, radius=3.0)
    assert modes(ring(0.0), LAW.mixture, radius=2.65).within > 0.97
