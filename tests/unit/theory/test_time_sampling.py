"""Drawing schemes: uniform, unbiased, and of the variance that quadrature says (TUT-1)."""

from __future__ import annotations

import functools
import typing

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor

from reproflow.foundation.config import Experiment
from reproflow.theory.time_sampling import SCHEMES

REPEATS = 20000


def loss(t: typing.Any) -> typing.Any:
    return np.exp(-3 * t) + t


def moment(function: typing.Callable[[float], float], low: float, high: float) -> float:
    """The mean of a function over an interval, by quadrature."""
    return integrate.quad(function, low, high, epsabs=0, epsrel=1e-12)[0] / (high - low)


def variance(low: float, high: float) -> float:
    """Var L(U) for U uniform on an interval, around its mean so that no digits cancel."""
    mean = moment(loss, low, high)
    return moment(lambda t: (loss(t) - mean) ** 2, low, high)


def exact(scheme: str, n: int) -> float:
    """The variance of the mean of L over a batch of n."""
    mean = moment(loss, 0, 1)
    if scheme == "iid":
        return variance(0, 1) / n
    if scheme == "stratified":
        return sum(variance(i / n, (i + 1) / n) for i in range(n)) / n**2
    if scheme == "antithetic":
        return moment(lambda t: ((loss(t) + loss(1 - t)) / 2 - mean) ** 2, 0, 1) / (n / 2)
    grid = np.arange(n) / n
    return moment(lambda u: (loss(u + grid).mean() - mean) ** 2, 0, 1 / n)


@functools.cache
def quantiles(scheme: str, n: int) -> Tensor:
    generator = torch.Generator().manual_seed(n)
    return SCHEMES[scheme](torch.rand(n, REPEATS, generator=generator, dtype=torch.float64))


def bias(means: np.ndarray) -> float:
    """The z-value of the mean of batch means."""
    return abs(means.mean() - moment(loss, 0, 1)) / (means.std(ddof=1) / np.sqrt(len(means)))


def test_the_schema_offers_these_schemes() -> None:
    assert typing.get_args(Experiment.model_fields["drawing"].annotation) == tuple(SCHEMES)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("n", [8, 31])
def test_a_quantile_picked_at_random_is_uniform(scheme: str, n: int) -> None:
    u = quantiles(scheme, n)
    assert u.shape == (n, REPEATS)
    assert float(u.min()) >= 0
    assert float(u.max()) <= 1
    picked = u[torch.randint(n, (REPEATS,), generator=torch.Generator().manual_seed(1)), torch.arange(REPEATS)]
    assert stats.kstest(picked.numpy(), "uniform").pvalue > 1e-3


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("n", [8, 32, 128])
def test_batch_means_are_unbiased_and_of_the_exact_variance(scheme: str, n: int) -> None:
    means = loss(quantiles(scheme, n).numpy()).mean(0)
    assert bias(means) < 4
    # The relative error of a variance from R means is sqrt((kurtosis - 1) / R).
    tolerance = 5 * np.sqrt((stats.kurtosis(means, fisher=False) - 1) / REPEATS)
    assert means.var() == pytest.approx(exact(scheme, n), rel=tolerance)


def test_stratified_gains_as_the_square_of_the_batch() -> None:
    """TUT-1: the variance of the time part falls by a factor that grows as B²."""
    gains = [exact("iid", n) / exact("stratified", n) for n in (8, 32, 128)]
    spread = {s: [loss(quantiles(s, n).numpy()).mean(0).var() for n in (8, 32, 128)] for s in ("iid", "stratified")}
    measured = np.divide(spread["iid"], spread["stratified"])
    np.testing.assert_allclose(measured, gains, rtol=0.1)
    np.testing.assert_allclose(np.diff(np.log(gains)) / np.log(4), 2, atol=0.05)


def test_noise_in_the_loss_is_not_reduced() -> None:
    noise = np.random.default_rng(0).normal(scale=0.5, size=(32, REPEATS))
    means = (loss(quantiles("stratified", 32).numpy()) + noise).mean(0)
    assert means.var() == pytest.approx(exact("stratified", 32) + 0.25 / 32, rel=0.06)


def test_strata_reused_with_a_fixed_offset_are_biased() -> None:
    """TUT-1's trap, the control of the test of bias: one offset for all strata and all steps, and a noisy loss."""
    rng, grid = np.random.default_rng(0), (np.arange(8) + 0.9) / 8
    noise = rng.normal(scale=0.01, size=(8, REPEATS))
    assert bias((loss(grid)[:, None] + noise).mean(0)) > 50
    fresh = loss(quantiles("stratified", 8).numpy()) + noise
    assert bias(fresh.mean(0)) < 4


def test_how_each_batch_hangs_together() -> None:
    u = quantiles("stratified", 31)
    assert ((u * 31).floor() == torch.arange(31)[:, None]).all()
    u = quantiles("antithetic", 8)
    torch.testing.assert_close(u[:4] + u[4:], torch.ones(4, REPEATS, dtype=torch.float64))
    assert len(quantiles("antithetic", 31)) == 31
    gaps = quantiles("low_discrepancy", 31).sort(0).values.diff(dim=0)
    torch.testing.assert_close(gaps, torch.full_like(gaps, 1 / 31), rtol=1e-12, atol=1e-12)


def test_antithetic_hurts_where_the_loss_is_symmetric() -> None:
    """Why it is not the default: for (t - 1/2)² the two of a pair are one."""
    means = [float(((quantiles(scheme, 8) - 0.5) ** 2).mean(0).var()) for scheme in ("antithetic", "iid")]
    assert means[0] / means[1] == pytest.approx(2, rel=0.05)
