"""Losses that are wrong in a window of a, b or t alone, or near an end of t; and sound ones that are not refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from reproflow import judge

FILE = """
import math
import torch

def sq(a, b): return (a - b) ** 2
def inside(v, low, high): return (v > low) & (v < high)
def when(condition, value, else_): return torch.where(condition, value, else_).sum(1)
def col(t): return t[:, None]

def clip_late(a, b, t, x): return sq(a, torch.where(col(t) > 0.995, b.clamp(-1, 1), b)).sum(1)
def clip_last(a, b, t, x): return sq(a, torch.where(col(t) > 0.9999, b.clamp(-1, 1), b)).sum(1)
def clip_early(a, b, t, x): return sq(a, torch.where(col(t) < 1e-4, b.clamp(-1, 1), b)).sum(1)
def cut_late(a, b, t, x): return sq(a, torch.where(col(t) > 0.999, b.detach(), b)).sum(1)
def window_a(a, b, t, x): return when(inside(a, 1.0, 1.02), (a - b).abs(), sq(a, b))
def window_small_a(a, b, t, x): return when(inside(a, 0.01, 0.0102), (a - b).abs(), sq(a, b))
def window_large_a(a, b, t, x): return when(inside(a, 7.0, 7.1), (a - b).abs(), sq(a, b))
def window_negative(a, b, t, x): return when(inside(a, -3.02, -3.0), (a - b).abs(), sq(a, b))
def window_t(a, b, t, x): return when(inside(col(t), 0.5, 0.501), (a - b).abs(), sq(a, b))
def window_near_1(a, b, t, x): return when(inside(1 - col(t), 1e-5, 1.2e-5), (a - b).abs(), sq(a, b))
def window_near_0(a, b, t, x): return when(inside(col(t), 3e-6, 4e-6), (a - b).abs(), sq(a, b))
def flat_b(a, b, t, x): return sq(a, torch.where(inside(b, 3.0, 3.1), b.detach(), b)).sum(1)
def huber_late(a, b, t, x):
    return when(col(t) > 0.9995, torch.nn.functional.huber_loss(b, a, reduction="none", delta=0.5), 0.5 * sq(a, b))
def both(a, b, t, x): return when(inside(a, 2.0, 2.1) & inside(col(t), 0.1, 0.3), (a - b).abs(), sq(a, b))
def floor(a, b, t, x): return sq(a, torch.where(b < 0.002, 0.002 + 0 * b, b)).sum(1)

def late_weight(a, b, t, x): return sq(a, b).sum(1) / (1 - t) ** 2
def both_ends(a, b, t, x): return sq(a, b).sum(1) / (t * (1 - t))
def pieces(a, b, t, x): return torch.where(t > 0.5, 1.0, 3.0) * sq(a, b).sum(1)
def underflow(a, b, t, x): return torch.exp(-1 / t) * sq(a, b).sum(1)
def overflow(a, b, t, x): return torch.exp(1 / (1 - t)) * sq(a, b).sum(1)
TABLE = torch.linspace(1, 2, 100, dtype=torch.float64)
def looked_up(a, b, t, x): return TABLE[(t * 100).long().clamp(0, 99)] * sq(a, b).sum(1)
SCALE = math.pi
def closure(a, b, t, x): return SCALE * sq(a, b).sum(1)
def poisson(a, b, t, x): return (a * (a / b).log() - a + b).sum(1) / t
"""
WRONG = ["clip_late", "clip_last", "clip_early", "cut_late", "window_a", "window_small_a", "window_large_a", "window_t"]
WRONG += ["window_near_1", "window_near_0", "flat_b", "huber_late", "both", "floor"]
SOUND = ["late_weight", "both_ends", "pieces", "underflow", "overflow", "looked_up", "closure", "poisson"]


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "windows.py").write_text(FILE)


@pytest.mark.parametrize("function", WRONG)
@pytest.mark.default_cases(4)
def test_a_window_is_seen(function: str) -> None:
    found = judge.divergence(f"windows.py:{function}")
    assert found.exit_code == 3
    # Positive numbers are real ones: what is found among them holds there, too.
    positive, real = (found.domains[domain]["gradient"]["two_point_gap"] for domain in ("positive", "real"))
    assert float(real) >= float(positive)


def test_a_gap_counts_that_one_of_two_searches_found() -> None:
    """Enumerated targets have no time in the window near 1, strata have."""
    found = judge.divergence("windows.py:window_near_1")
    assert found.gradient["verdict"] == "refuted"
    assert found.domains["real"]["gradient"]["two_point_gap"] > 0.1


def test_a_window_among_negative_numbers_is_seen() -> None:
    domains = judge.divergence("windows.py:window_negative").domains
    verdicts = {domain: found["gradient"]["verdict"] for domain, found in domains.items()}
    assert verdicts == {"positive": "supported", "real": "refuted"}


@pytest.mark.parametrize("function", SOUND)
@pytest.mark.default_cases(2)
def test_what_is_sound_stays_sound_and_the_resolution_is_stated(function: str) -> None:
    found = judge.divergence(f"windows.py:{function}")
    assert found.exit_code == 0, (found.gradient, found.identified)
    assert "not looked at: windows narrower than" in found.domains["positive"]["gradient"]["reason"]


def test_where_it_underflows_or_overflows_it_is_not_looked_at_and_that_is_told() -> None:
    for function, end in (("underflow", 0), ("overflow", 1)):
        domains = judge.divergence(f"windows.py:{function}").domains
        times = domains["positive"]["times"]
        assert abs(times[end] - end) == pytest.approx(0.01)
        assert abs(times[1 - end] - (1 - end)) == pytest.approx(1e-6)
