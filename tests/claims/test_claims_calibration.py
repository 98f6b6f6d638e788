"""Calibration of the statistical test of LOSS-1: false alarms on true statements, false support, and power."""

from __future__ import annotations

import collections
import math

import pytest
import torch
from torch import Tensor, nn

from reproflow.claims.gradient_gap import NOT_RESOLVED, relative_gap
from reproflow.claims.losses import matching as losses
from reproflow.claims.policy import Context, Digits, Measurement, decide
from reproflow.theory.paths import Path, get_path

TOLERANCE = 1e-3
BLOCKS = 64
PARAMETERS = 31


def verdicts(gap: float, noise: float, repeats: int, seed: int) -> collections.Counter[str]:
    """Verdicts on Gaussian block means whose true relative squared gap is `gap` and whose mean gradient has length 1.

    `noise` is the mean standard deviation of their 31 coordinates, of unequal scale.
    """
    generator = torch.Generator().manual_seed(seed)
    scale = noise * torch.linspace(0.2, 1.8, PARAMETERS, dtype=torch.float64)
    count: collections.Counter[str] = collections.Counter()
    for _ in range(repeats):
        d, g = torch.randn(2, BLOCKS, PARAMETERS, generator=generator, dtype=torch.float64) * scale
        d[:, 3] += math.sqrt(gap)
        g[:, 0] += 1
        count[decide("identity", relative_gap(d, g, 10_000), TOLERANCE)[0]] += 1
    return count


def test_the_statistic_is_unbiased_and_its_interval_covers_zero() -> None:
    generator = torch.Generator().manual_seed(0)
    found = [
        relative_gap(0.3 * torch.randn(BLOCKS, PARAMETERS, generator=generator).double(), _gradients(generator), 10_000)
        for _ in range(400)
    ]
    values = torch.tensor([m.statistic for m in found], dtype=torch.float64)
    assert abs(float(values.mean())) < 4 * float(values.std()) / math.sqrt(len(values))
    covered = sum(m.low <= 0 <= m.high for m in found)
    assert covered >= 0.95 * len(found)


def _gradients(generator: torch.Generator) -> Tensor:
    return 1 + 0.1 * torch.randn(BLOCKS, PARAMETERS, generator=generator).double()


def test_a_true_statement_is_never_refuted_and_supported_when_precise() -> None:
    assert verdicts(0.0, 0.02, 300, 1) == {"supported": 300}
    rough = verdicts(0.0, 1.0, 300, 2)
    assert rough["supported"] == 0
    assert rough["refuted"] <= 0.025 * 300


def test_a_gap_at_the_tolerance_is_seldom_supported() -> None:
    for noise in (0.01, 0.02, 0.05):
        count = verdicts(TOLERANCE, noise, 300, 3)
        assert count["supported"] <= 0.05 * 300


def test_a_gap_of_ten_tolerances_is_refuted_when_precise() -> None:
    assert verdicts(10 * TOLERANCE, 0.02, 300, 4)["refuted"] >= 0.99 * 300


def test_a_gradient_that_is_noise_decides_nothing() -> None:
    d, g = torch.randn(2, BLOCKS, PARAMETERS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = relative_gap(d, g, 10_000)
    assert math.isnan(found.statistic)
    assert decide("identity", found, TOLERANCE) == ("inconclusive", NOT_RESOLVED)


def test_the_u_statistic_is_the_mean_over_pairs_of_blocks() -> None:
    d, g = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    g += 20
    pairs = [(i, j) for i in range(6) for j in range(6) if i != j]
    u_d, u_g = (sum(float(b[i] @ b[j]) for i, j in pairs) / len(pairs) for b in (d, g))
    found = relative_gap(d, g, 600)
    assert found.statistic == pytest.approx(u_d / u_g, rel=1e-12)
    left_out = [relative_gap(*(torch.cat([b[:i], b[i + 1 :]]) for b in (d, g)), 500).statistic for i in range(6)]
    variance = 5 / 6 * sum((value - sum(left_out) / 6) ** 2 for value in left_out)
    half = 2.5705818366147395 * math.sqrt(variance)  # Student's t with 5 degrees of freedom, 97.5 %
    assert found.statistic - found.low == pytest.approx(half, rel=1e-9)


class Small:
    """A class-conditional network on points in the plane: x1-hat from (x, t, class)."""

    def __init__(self, seed: int) -> None:
        self.path: Path = get_path("linear")
        self.body = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 2)).double()
        generator = torch.Generator().manual_seed(seed)
        for parameter in self.body.parameters():
            parameter.data = 0.5 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)

    def parameters(self):
        return self.body.parameters()

    def x1(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        return self.body(torch.cat([x, t[:, None], nn.functional.one_hot(y, 2).to(x.dtype)], 1))


def small_context(samples: int, seed: int) -> Context:
    data = torch.randn(24, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return Context(Digits(Small(0), data, torch.arange(24) % 2), samples=samples, blocks=BLOCKS, seed=seed)


def measure(case: str, variant: str, samples: int, seed: int) -> Measurement:
    return losses.fm_equals_cfm_trained(case, variant, small_context(samples, seed))


@pytest.mark.parametrize("case", ["x1", "velocity"])
def test_loss_1_on_a_small_network_is_supported_and_its_controls_refuted(case: str) -> None:
    assert decide("identity", measure(case, "statement", 65_536, 0), losses.TOLERANCE)[0] == "supported"
    for control in (losses.L1, losses.WEIGHT, losses.PRIOR):
        assert decide("identity", measure(case, control, 65_536, 0), losses.TOLERANCE)[0] == "refuted"


def test_the_tolerance_is_one_and_a_half_per_cent_of_the_gradient_at_most() -> None:
    assert losses.TOLERANCE**0.5 <= 0.015


def test_too_few_samples_do_not_support() -> None:
    assert decide("identity", measure("x1", "statement", 1024, 0), TOLERANCE)[0] == "inconclusive"


def test_the_network_that_was_passed_in_is_left_as_it_was() -> None:
    context = small_context(1024, 0)
    assert context.digits is not None
    before = [p.detach().clone() for p in context.digits.denoiser.parameters()]
    losses.fm_equals_cfm_trained("x1", "statement", context)
    after = list(context.digits.denoiser.parameters())
    assert all(bool((a == b).all()) for a, b in zip(before, after, strict=True))
    assert all(p.grad is None for p in after)


@pytest.mark.slow
def test_false_alarms_and_power_over_many_seeds() -> None:
    """200 seeds at 16384 samples: no false alarm to speak of, intervals that cover, every control seen every time."""
    null = [measure("x1", "statement", 16_384, seed) for seed in range(200)]
    assert sum(decide("identity", m, TOLERANCE)[0] == "refuted" for m in null) <= 5
    assert sum(m.low <= 0 <= m.high for m in null) >= 190
    for control in (losses.L1, losses.WEIGHT, losses.PRIOR):
        found = [decide("identity", measure("x1", control, 16_384, seed), TOLERANCE)[0] for seed in range(40)]
        assert found == ["refuted"] * 40
