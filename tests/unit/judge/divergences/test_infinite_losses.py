"""Losses that are infinite somewhere: in a window, beyond a number, on a side, at single places; and what overflows."""

from __future__ import annotations

from pathlib import Path

import pytest
from judged_divergences import judged

from reproflow import judge
from reproflow.foundation import config
from reproflow.foundation.errors import UsageError
from reproflow.learning import preflight

FILE = """
import torch
import reproflow

def own(function, domain="real"): return reproflow.divergence(function.__name__, cite="-", domain=domain)(function)
def squared(a, b): return (a - b).square().sum(1)
def infinite(where, a, b): return torch.where(where, torch.inf, squared(a, b))
def within(v, low, high): return ((v > low) & (v < high)).any(1)

def window_b(a, b, t, x): return infinite(within(b, 1.0, 1.02), a, b)
def window_a(a, b, t, x): return infinite(within(a, 0.30, 0.31), a, b)
def window_t(a, b, t, x): return infinite((t > 0.5) & (t < 0.501), a, b)
def last_t(a, b, t, x): return infinite(t > 0.9995, a, b)
def minus(a, b, t, x): return torch.where(within(b, 1.0, 1.02), -torch.inf, squared(a, b))
def beyond(a, b, t, x): return infinite((b > 3).any(1), a, b)
@own
def own_window(a, b, t, x): return infinite(within(b, -1.02, -1.0), a, b)
@own
def own_side(a, b, t, x): return infinite((b < 0).any(1), a, b)
@own
def own_targets(a, b, t, x): return infinite((a > 0).all(1), a, b)
@own
def own_times(a, b, t, x): return infinite((t > 0.3) & (t < 0.302), a, b)

def exponential(a, b, k): return ((k * b).exp() * (torch.expm1(k * (a - b)) - k * (a - b))).sum(1)
@own
def steep(a, b, t, x): return exponential(a, b, 20.0)
@own
def steeper(a, b, t, x): return exponential(a, b, 100.0)
def pole(a, b, t, x): return squared(a, b) / (t - 0.5).abs()
def both_ends(a, b, t, x): return squared(a, b) / (t * (1 - t)) ** 3
def cosh(a, b, t, x): return (a.cosh() - b.cosh() - b.sinh() * (a - b)).sum(1)
def inverse(a, b, t, x): return (1 / a - 1 / b + (a - b) / b**2).sum(1)

@own
def poisson(a, b, t, x): return (a * (a / b).log() - a + b).sum(1)
"""
INFINITE = ["window_b", "window_a", "window_t", "minus", "beyond"]
INFINITE += ["own_window", "own_side", "own_targets", "own_times"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", INFINITE)
@pytest.mark.default_cases(2)
def test_an_infinite_loss_has_no_minimum(name: str) -> None:
    found = judged(f"own.py:{name}")
    assert found.exit_code == 3
    assert f"infinite at some {next(iter(found.domains))} numbers" in found.gradient["reason"]


def test_near_an_end_it_is_not_looked_at_and_that_is_told() -> None:
    """As with an overflow, from which it cannot be told apart."""
    assert "at t from 1e-06 to 1 - 0.01;" in judged("own.py:last_t").gradient["reason"]


@pytest.mark.parametrize(
    ("name", "largest"),
    [("steep", 0.1), ("steeper", 0.1), ("pole", None), ("both_ends", None), ("cosh", 334), ("inverse", None)],
)
@pytest.mark.default_cases(2)
def test_overflow_and_single_times_are_no_infinity(name: str, largest: float | None) -> None:
    """Bregman divergences all, judged for numbers at which they are finite; the reason says how far."""
    found = judged(f"own.py:{name}")
    assert found.exit_code == 0, (found.gradient, found.identified)
    assert largest is None or f"looked at up to {largest:.3g}" in found.reason


def test_what_is_said_to_be_for_real_numbers_must_be_one_for_them() -> None:
    with pytest.raises(UsageError, match=r"is NaN at a = \(-.*; it must be a number for all real a, b\."):
        judge.divergence("own.py:poisson")


@pytest.mark.parametrize(
    ("name", "refused"), [("beyond", True), ("window_t", True), ("own_times", True), ("pole", False)]
)
def test_it_is_not_trained_where_it_is_infinite(tiny_config: dict, name: str, refused: bool) -> None:
    experiment = tiny_config["experiments"][0] | {"weightings": ["uniform"]}
    experiment["divergence"] = {"name": "mine", "spec": f"own.py:{name}"}
    given = config.check(tiny_config | {"experiments": [experiment]})
    if not refused:
        preflight.admit_config(given)
        return
    with pytest.raises(UsageError, match="divergence 'mine' is not finite at standard normal targets"):
        preflight.admit_config(given)
