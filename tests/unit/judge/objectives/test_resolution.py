"""What `check weighting` says as far as it has seen: underflow, singular time laws, narrow features, many rises."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from judged_objectives import SCHEMA

from reproflow import judge
from reproflow.judge import Judgement

FILE = """
import torch

def from_cumprod(t, lam):
    alphas_cumprod = torch.sin(0.5 * torch.pi * t) ** 2
    snr = alphas_cumprod / (1 - alphas_cumprod)
    return torch.minimum(snr, torch.full_like(snr, 5)) / snr

def single(t, lam): return (1 - t.float()).double()
def single_steep(t, lam): return torch.exp(-200 * t.float()).double()
def single_sound(t, lam): return torch.exp(-3 * t.float()).double()
def single_cut(t, lam): return torch.where(t < 0.4, 0.0, torch.exp(t.float()).double())

def devil(u):
    t, still, step = torch.zeros_like(u), torch.ones_like(u, dtype=torch.bool), 0.5
    for _ in range(33):
        u = 3 * u
        digit = torch.floor(u).clamp(max=2)
        t, u = t + torch.where(still & (digit > 0), step, 0.0), u - digit
        still, step = still & (digit != 1), step / 2
    return t

def comb(u):
    whole = torch.floor(u / 1e-9)
    return (whole + 0.5 * (u / 1e-9 - whole)) * 1e-9

def own_logit_normal(u): return torch.sigmoid(torch.special.ndtri(u))
"""


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)


def judged(spec: str, **given: str) -> Judgement:
    found = judge.weighting(spec, **given)
    SCHEMA.validate(json.loads(json.dumps(found.as_dict(), allow_nan=False)))
    return found


@pytest.mark.parametrize(
    ("spec", "given", "verdict", "word"),
    [
        ("own.py:from_cumprod", {"path": "cosine", "target": "x1"}, "supported", "where it underflows"),
        ("own.py:single", {}, "inconclusive", "single precision"),
        ("own.py:single_steep", {}, "inconclusive", "single precision"),
        ("own.py:single_sound", {}, "supported", "almost everywhere"),
        ("own.py:single_cut", {}, "refuted", "zero on (0, 0.4)"),
        ("expr:exp(-1/(t - 0.5)**2)", {}, "inconclusive", "underflows"),
        ("expr:abs(t - 0.5)**400", {}, "inconclusive", "underflows"),
        ("expr:max(t - 0.4, 0)", {}, "refuted", "zero on (0, 0.4)"),
        ("uniform", {"time": "own.py:own_logit_normal"}, "supported", "at a resolution of"),
        ("uniform", {"time": "own.py:comb"}, "inconclusive", "not spread evenly"),
        pytest.param("uniform", {"time": "own.py:devil"}, "inconclusive", "not spread evenly", marks=pytest.mark.slow),
    ],
)
@pytest.mark.default_cases(2)
def test_almost_everywhere_as_far_as_it_was_seen(spec: str, given: dict[str, str], verdict: str, word: str) -> None:
    found = judged(spec, **given)
    assert (found.identified["verdict"], found.admissible["verdict"]) == (verdict, verdict)
    assert word in found.identified["reason"]
    assert "(1, 1)" not in found.identified["reason"]
    if verdict != "refuted":
        assert found.identified["zero_set"] == []


def test_a_feature_that_the_bound_sees_is_in_the_mass() -> None:
    found = judged("expr:1 + 1e6*exp(-((t - 0.3123)/1e-6)**2)")
    assert found.admissible["mass"] == pytest.approx(1 + math.sqrt(math.pi), rel=1e-6)
    assert found.bound["verdict"] != "certified"
    low, high = (found.replacement["quantiles"]["t"][index] for index in (7, 13))
    assert 0.31229 < low < high < 0.31231  # 0.64 of the mass is in the bump
    assert 0 < found.admissible["resolution"]["times"] <= 1.01e-5


@pytest.mark.parametrize("spec", ["expr:abs(sin(1/t))/t", "expr:sin(1/t)**2/t"])
def test_a_mean_that_diverges_unresolved(spec: str) -> None:
    found = judged(spec)
    assert found.admissible["verdict"] in ("inconclusive", "refuted")
    assert found.replacement["K"] is None


@pytest.mark.slow
def test_fifty_thousand_rises() -> None:
    found = judged("expr:2 + sin(300000*t)")
    assert found.bound["verdict"] == "not_representable"
    # A rise of half a turn for each turn of 300 000 t over the range.
    turns = 3e5 * (1 - 2e-4) / (2 * math.pi)
    assert found.bound["violation"]["count"] == pytest.approx(turns, abs=2)
    assert len(found.bound["violation"]["intervals"]) == 1000
    assert "or more" in found.bound["reason"]
    assert found.admissible["mass"] == pytest.approx(2 + (1 - math.cos(3e5)) / 3e5, rel=1e-9)


def test_times_as_singular_laws_have_them() -> None:
    for spec, verdict in (
        ("own.py:devil", "inconclusive"),
        ("own.py:comb", "inconclusive"),
        ("expr:u**3", "supported"),
    ):
        found = judge.time(spec).dominates_lebesgue
        assert found["verdict"] == verdict
        assert (found["resolution"] is None) == (verdict == "inconclusive")
        assert (found["below_resolution"] > 0.01) == (verdict == "inconclusive")
