"""Densities as users write them: sound ones are judged as they are, and broken ones refused with the right reason."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from repository import schema
from scipy import stats

from reproflow import judge
from reproflow.foundation.errors import UsageError, UserFunctionError
from reproflow.judge.laws import time_law

SCHEMA = schema("check-time")
FILE = """
import math
import numpy as np
import torch

CALLS, CHANCE, OWN = [0], float(np.random.default_rng().random()), np.random.default_rng(0)
def count():
    CALLS[0] += 1
    return 1e-3 * CALLS[0]

def peak(t, width=1e-5): return 1 + torch.exp(-((t - 0.3123) / width) ** 2) / width
def dip(t, width=1e-5): return 1 - 3 * torch.exp(-((t - 0.3123) / width) ** 2)
def shallow_dip(t): return 1 - 0.9 * torch.exp(-((t - 0.3123) / 1e-5) ** 2)
def hole(t, width=0.05): return torch.where((t > 0.4) & (t < 0.4 + width), 0.0, 2.0)
def root(t): return (t - 0.6) ** 2
def flat_root(t): return torch.exp(-1 / (t - 0.5) ** 2)
def underflow_and_hole(t): return torch.where(t > 0.2, torch.exp(-1 / (t - 0.6) ** 2), 0.0)
def jump(t): return torch.where(t < 0.5, 1.0, 3.0)
def stairs(t): return 1 + torch.floor(1000 * t) % 3
def swings(t): return 1 + torch.sin(1e5 * t)
def of_numpy(t): return np.exp(t.numpy())
def single(t): return 1 + t.float() ** 2
def integer(t): return torch.ones_like(t).long()
def number(t): return 7.0
def nearly(t): return 1 / (t * torch.log(t / 3) ** 2)
def column(t): return t[:, None]
def total(t): return t.sum()
def complex_(t): return t + 1j
def listed(t): return [1.0] * len(t)
def nan(t): return torch.where((t > 0.5) & (t < 0.5002), math.nan, 1.0)
def raises(t): raise ValueError("no such law")
def normalised(t): return t / t.mean()
def in_order(t): return 1 + t.sort().values
def counts(t): return t + count()
def noise(t): return 1 + torch.rand(len(t))
def own_noise(t): return 1 + torch.from_numpy(OWN.random(len(t)))
def by_chance(t): return t + CHANCE
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "mass"),
    [
        ("peak", 1 + math.sqrt(math.pi)),
        ("peak:width=1e-6", 1 + math.sqrt(math.pi)),
        ("shallow_dip", 1 - 0.9e-5 * math.sqrt(math.pi)),
        ("root", (0.4**3 + 0.6**3) / 3),
        ("jump", 2.0),
        pytest.param("stairs", 1.999, marks=pytest.mark.slow),
        pytest.param("swings", 1 + (1 - math.cos(1e5)) / 1e5, marks=pytest.mark.slow),
        ("of_numpy", math.e - 1),
        ("single", 4 / 3),
        ("integer", 1.0),
        ("number", 7.0),
    ],
)
@pytest.mark.default_cases(2)
def test_sound_ones(name: str, mass: float) -> None:
    """Peaks down to 1e-6, jumps, zeros at single times and swings; their mass is that of the formula."""
    found = judge.time(f"density:own.py:{name}")
    SCHEMA.validate(found.as_dict())
    assert (found.valid["verdict"], found.dominates_lebesgue["verdict"], found.exit_code) == ("supported",) * 2 + (0,)
    assert found.source["mass"] == pytest.approx(mass, rel=1e-7)
    assert found.source["accuracy"] < 1e-6
    assert found.atoms == []


@pytest.mark.parametrize(
    ("text", "law"),
    [
        ("expr:t**-0.9", stats.beta(0.1, 1)),
        ("expr:(1 - t)**-0.5", stats.beta(1, 0.5)),
        ("expr:1e280*t**-0.5*(1 - t)**3", stats.beta(0.5, 4)),
        ("expr:1e-280*t", stats.beta(2, 1)),
        ("expr:-log(t)", None),
    ],
)
@pytest.mark.default_cases(2)
def test_infinite_at_an_end_or_of_any_scale(text: str, law: stats.rv_continuous | None) -> None:
    found = time_law(f"density:{text}")
    t = np.array([1e-6, 0.1, 0.5, 0.99])
    expected = t * (1 - np.log(t)) if law is None else law.cdf(t)
    assert found.cdf(torch.from_numpy(t)).numpy() == pytest.approx(expected, rel=1e-6)
    assert judge.time(f"density:{text}").exit_code == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("expr:t - 0.2", "negative at t = "),
        ("expr:-1", "negative at t = "),
        ("own.py:dip", "negative at t = 0.312"),
        ("own.py:dip:width=1e-4", "negative at t = 0.312"),
        ("expr:0", "zero everywhere"),
        ("expr:1/(1 - t)", r"infinite: it goes like \|t - 1\|\^-1"),
        ("expr:t**-1.5", r"infinite: it goes like \|t - 0\|\^-1.5"),
        ("expr:abs(t - 0.3)**-1", "infinite"),
        ("expr:exp(1/t)", "infinite, or too large for float64, around t = "),
    ],
)
def test_no_densities(text: str, words: str) -> None:
    found = judge.time(f"density:{text}")
    SCHEMA.validate(found.as_dict())
    assert (found.valid["verdict"], found.dominates_lebesgue["verdict"], found.exit_code) == ("refuted", None, 3)
    assert re.search(words, found.valid["reason"])
    with pytest.raises(UsageError, match=words):
        time_law(f"density:{text}")


def test_what_cannot_be_told_is_not_refuted() -> None:
    """1/(t log²(t/3)) has the mass 1/log 3; beyond what numbers reach lies a fortieth of it."""
    found = judge.time("density:own.py:nearly")
    SCHEMA.validate(found.as_dict())
    assert (found.valid["verdict"], found.exit_code) == ("inconclusive", 5)
    assert "too close to t^-1 to tell" in found.valid["reason"]


@pytest.mark.parametrize(
    ("name", "gaps"),
    [
        ("hole", [[0.4, 0.45]]),
        pytest.param("hole:width=2e-5", [[0.4, 0.40002]], marks=pytest.mark.slow),
        pytest.param("underflow_and_hole", [[0.0, 0.2]], marks=pytest.mark.slow),
    ],
)
def test_zero_sets_are_gaps(name: str, gaps: list[list[float]]) -> None:
    found = judge.time(f"density:own.py:{name}")
    assert np.array(found.dominates_lebesgue["gaps"]) == pytest.approx(np.array(gaps), abs=1e-12)
    assert (found.valid["verdict"], found.exit_code) == ("supported", 3)
    [[low, high]] = gaps
    identified = judge.weighting("uniform", time=f"density:own.py:{name}").identified
    assert identified["verdict"] == "refuted"
    assert any(each == pytest.approx([low, high], abs=1e-9) for each in identified["zero_set"])


@pytest.mark.parametrize(
    ("text", "verdict", "code"),
    [
        pytest.param("own.py:flat_root", "inconclusive", 5, marks=pytest.mark.slow),
        ("expr:exp(-((t - 0.4)/0.001)**2)", "inconclusive", 5),
        ("expr:exp(-((t - 0.4)/0.03)**2)", "supported", 0),
        pytest.param("expr:exp(-1/t)", "supported", 0, marks=pytest.mark.slow),
    ],
)
@pytest.mark.default_cases(1)
def test_too_small_a_number_is_no_gap(text: str, verdict: str, code: int) -> None:
    """Positive throughout, and zero in float64 on 7 %, 94 %, nowhere, and 0.1 %."""
    found = judge.time(f"density:{text}")
    assert (found.dominates_lebesgue["verdict"], found.dominates_lebesgue["gaps"], found.exit_code) == (
        verdict,
        [],
        code,
    )
    assert ("too small for float64" in found.dominates_lebesgue["reason"]) == (code == 5)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("column", r"real tensor of shape"),
        ("complex_", "real tensor"),
        ("listed", "it gave list"),
        ("nan", "is NaN at t = 0.500"),
        ("raises", "no such law"),
        ("noise", "global random generator"),
        ("total", "function of each t alone"),
        ("normalised", "function of each t alone"),
        ("in_order", "function of each t alone"),
        ("counts", "function of each t alone"),
        ("own_noise", "function of each t alone"),
        ("by_chance", "when its file is run anew"),
    ],
)
def test_what_is_no_function_of_each_time(name: str, words: str) -> None:
    with pytest.raises(UserFunctionError, match=words):
        judge.time(f"density:own.py:{name}")
    with pytest.raises(UserFunctionError, match=words):
        judge.weighting("uniform", time=f"density:own.py:{name}")


@pytest.mark.slow
def test_in_the_users_own_time() -> None:
    """A hole next to the user's t = 0.4 lies next to 0.6 here, and the underflow turns with it."""
    found = judge.time("density:own.py:hole", time_runs="data-to-noise")
    assert np.array(found.dominates_lebesgue["gaps"]) == pytest.approx(np.array([[0.55, 0.6]]), abs=1e-12)
    assert judge.time("density:own.py:flat_root", time_runs="data-to-noise").exit_code == 5
