"""`judge.path` on functions of a user's own file: sound ones, derivatives that are not their own, and faulty code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from judged_paths import judged, refuted

from reproflow import judge
from reproflow.foundation.errors import UsageError

USER = """
import math
import numpy as np
import torch
from reproflow.theory.paths import path

def sound(t, power=1.0):
    return torch.sin(math.pi * t / 2) ** power, torch.cos(math.pi * t / 2)

def root(t):
    alpha = torch.sin(math.pi * t / 2)
    return alpha, torch.sqrt(1 - alpha**2)

def table(t):
    v = torch.linspace(0, 1, 51, dtype=t.dtype) ** 1.5
    i = (50 * t).floor().clamp(0, 49).long()
    alpha = v[i] + (v[i + 1] - v[i]) * (50 * t - i)
    return alpha, 1 - alpha

def open_interval(t):
    assert bool(((t > 0) & (t < 1)).all())
    return t, 1 - t

def single(t):
    return torch.sin(math.pi * t.float() / 2), torch.cos(math.pi * t.float() / 2)

def detached(t):
    return t.detach(), 1 - t

def partly(t):
    return torch.where((t > 0.2) & (t < 0.2002), t.detach(), t), 1 - t

def rounded(t):
    return (1000 * t).round() / 1000, 1 - t

def masked(t):
    return t, 1 - t**2

@path("short", cite="here", expects=("sigma(1) > 0",))
def short(t):
    return t, 1 - 0.9 * t

def numbers(t):
    return 0.5, 0.25

def with_numpy(t):
    return torch.from_numpy(np.sin(math.pi * t.numpy() / 2)), 1 - t

def alone(t):
    return t

def column(t):
    return t[:, None], 1 - t[:, None]

def nan(t):
    return torch.log(t - 0.5), 1 - t

def draws(t):
    return t + 0 * torch.rand_like(t), 1 - t

def raises(t):
    raise ValueError("on purpose")

def crowd(t):
    return t / t.max(), 1 - t
"""


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """The spec of a function of a user's file."""
    (tmp_path / "user_paths.py").write_text(USER)
    monkeypatch.chdir(tmp_path)
    return lambda function: f"user_paths.py:{function}"


class TestUser:
    @pytest.mark.parametrize("function", ["sound", "sound:power=2", "root", "table", "open_interval", "short"])
    @pytest.mark.default_cases(2)
    def test_sound(self, function: str, user: Callable[[str], str]) -> None:
        found = judged(user(function))
        assert refuted(found) == set()
        assert found.exit_code == 0

    def test_kinks_of_a_table(self, user: Callable[[str], str]) -> None:
        kinks = judged(user("table")).velocity["kinks"]
        assert kinks == pytest.approx((np.arange(1, 50) / 50).tolist(), abs=1e-6)

    def test_only_the_open_interval(self, user: Callable[[str], str]) -> None:
        found = judged(user("open_interval")).boundary
        assert found["extrapolated"] == ["alpha(0)", "sigma(0)", "alpha(1)", "sigma(1)"]
        assert found["values"]["alpha(1)"] == pytest.approx(1, abs=1e-12)

    def test_an_end_missed_as_declared(self, user: Callable[[str], str]) -> None:
        assert judged(user("short")).boundary["by_design"] == ["sigma(1)"]
        assert refuted(judged("expr:t, 1 - 0.9*t")) == {"boundary"}

    @pytest.mark.parametrize("function", ["detached", "partly", "rounded"])
    @pytest.mark.default_cases(1)
    def test_derivatives_that_are_not_its_own(self, function: str, user: Callable[[str], str]) -> None:
        found = judged(user(function))
        assert found.velocity["verdict"] == found.continuity["verdict"] == "refuted"
        assert found.integrable["verdict"] != "supported"

    def test_single_precision(self, user: Callable[[str], str]) -> None:
        found = judged(user("single"))
        assert found.exit_code == 5
        assert "single precision" in found.velocity["reason"]

    def test_numbers(self, user: Callable[[str], str]) -> None:
        assert refuted(judged(user("numbers"))) == {"boundary", "monotone_snr"}

    def test_no_probabilities(self, user: Callable[[str], str]) -> None:
        found = judge.path(user("masked"), "masked")
        assert {"positive", "continuity"} <= refuted(found)
        assert "alpha + sigma is not 1" in found.positive["reason"]

    @pytest.mark.parametrize(
        ("function", "word"),
        [
            ("alone", "must give .alpha, sigma."),
            ("column", "of shape"),
            ("nan", "is NaN at t = "),
            ("draws", "global random generator"),
            ("raises", "raised ValueError in user_paths.py, line"),
            ("with_numpy", "raised RuntimeError in user_paths.py, line"),
            ("crowd", "function of each t alone"),
            ("missing", "no function 'missing'"),
        ],
    )
    def test_what_cannot_be_evaluated(self, function: str, word: str, user: Callable[[str], str]) -> None:
        with pytest.raises(UsageError, match=word):
            judge.path(user(function))
