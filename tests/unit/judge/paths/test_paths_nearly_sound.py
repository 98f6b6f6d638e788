"""Paths that are wrong by a little, near an end, or so that nothing can be told, and the verdict of each."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from judged_paths import judged, refuted
from scipy import special

from reproflow.judge.paths import continuity, derivatives
from reproflow.judge.paths.discontinuities import NONE, Breaks, breaks
from reproflow.judge.paths.path_values import Course
from reproflow.judge.processes import gaussian
from reproflow.theory.paths import get_path

OWN = """
import torch

def nearly(t):
    return t + 1e-8 * torch.sin(40 * t).detach(), 1 - t

def swings(t):
    return t + 5e-4 * torch.sin(1e3 * t).detach() * (1 - t), 1 - t
"""


def test_a_derivative_that_is_off_by_four_ten_millionths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1e-8 sin(40 t) is detached: its derivative, 4e-7 cos(40 t), is missing."""
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    found = judged("own.py:nearly").velocity
    assert found["verdict"] == "refuted"
    assert found["residual"] == pytest.approx(4e-7 / 2, rel=0.05)


@pytest.mark.parametrize(("off", "verdict"), [(1e-4, "refuted"), (3e-6, "refuted"), (1e-8, "supported")])
def test_a_field_that_is_off_by_a_little(off: float, verdict: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """u + off sin 3x; the residual counts from a millionth on."""
    flux = gaussian._flux
    monkeypatch.setattr(
        gaussian,
        "_flux",
        lambda values, slopes, x: flux(values, slopes, x) + off * np.sin(3 * x) * gaussian._density(values, x),
    )
    found = continuity.continuity(Course(get_path("linear")), NONE)
    assert found["verdict"] == verdict
    assert off < found["residual"] < 2 * off


def test_the_largest_violation_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field that is wrong at x > 2 alone, and there only."""
    flux = gaussian._flux
    monkeypatch.setattr(
        gaussian,
        "_flux",
        lambda values, slopes, x: (
            flux(values, slopes, x) + 0.05 * np.maximum(x - 2, 0) ** 2 * gaussian._density(values, x)
        ),
    )
    assert continuity.continuity(Course(get_path("linear")), NONE)["verdict"] == "refuted"


@pytest.mark.parametrize("speed", [1e3, 1e5, 1e6, 1e7])
@pytest.mark.default_cases(2)
def test_what_oscillates_within_a_step_is_not_refuted(speed: float) -> None:
    """alpha = t + sin(k t)/(2k) rises smoothly, and its derivative is its own: too coarse a step tells nothing."""
    found = judged(f"expr:t + {0.5 / speed}*sin({speed}*t)*(1 - t), 1 - t")
    assert refuted(found) == set()
    assert found.exit_code == (0 if speed == 1e3 else 5)
    if speed in (1e5, 1e7):  # at 1e6 differences at the times looked at happen to be exact
        assert found.continuity["verdict"] == "inconclusive"


def test_a_derivative_that_is_wrong_on_a_stretch_stays_refuted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the same oscillation, detached."""
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    found = judged("own.py:swings")
    assert {"velocity", "continuity"} <= refuted(found)


@pytest.mark.parametrize(("off", "verdict"), [(3e-6, "refuted"), (3e-7, "supported")])
def test_an_end_that_is_missed_by_a_little(off: float, verdict: str) -> None:
    assert judged(f"expr:t + {off}*(1 - t), 1 - t").boundary["verdict"] == verdict


def test_an_end_that_has_no_limit_is_open() -> None:
    """alpha swings between 0.05 and 0.15 ever faster in log t, and is no number at 0 itself."""
    found = judged("expr:t + (1 - t)*(0.1 + 0.05*sin(log(t))), 1 - t").boundary
    assert found["verdict"] == "inconclusive"
    assert "limit of alpha(0) is not known" in found["reason"]


def test_what_is_refuted_is_not_hidden_by_what_is_open() -> None:
    found = judged("expr:t**0.505, 1 - t/2")
    assert (found.boundary["verdict"], found.integrable["verdict"], found.exit_code) == ("refuted", "inconclusive", 3)


@pytest.mark.parametrize("spec", ["expr:t - 5e-7, 1 - t", "expr:t, 1 - t - 5e-7"])
def test_a_sign_that_is_wrong_next_to_an_end(spec: str) -> None:
    """Negative within 5e-7 of it, which misses the end by less than counts."""
    assert refuted(judged(spec)) == {"positive", "monotone_snr"}


@pytest.mark.parametrize(("process", "power"), [("gaussian", 2), ("masked", 1)])
def test_the_log_snr_of_a_violation(process: str, power: int) -> None:
    """alpha = t + 0.3 sin(2 pi t), sigma = 1 - alpha: lam is log(alpha/sigma), twice that where noise is Gaussian."""
    alpha = "t + 0.3*sin(2*pi*t)"
    found = judged(f"expr:{alpha}" + (f", 1 - ({alpha})" if process == "gaussian" else ""), process).monotone_snr
    first = math.acos(-1 / (0.6 * math.pi)) / (2 * math.pi)
    lam = power * special.logit(first + 0.3 * math.sin(2 * math.pi * first))
    assert found["violation"]["lam"] == pytest.approx([-lam, lam], abs=1e-8)


def test_small_jumps_are_jumps_and_kinks_are_none() -> None:
    found = breaks(Course(get_path("expr:t + 1e-4*(t > 0.3) + 0.1*abs(t - 0.6), 1 - t")))
    assert found.jumps == pytest.approx([0.3], abs=1e-6)
    assert found.kinks == pytest.approx([0.6], abs=1e-6)


def test_what_could_not_be_followed_is_not_supported() -> None:
    course, cells = Course(get_path("linear")), np.array([[0.3, 0.3001]])
    assert derivatives.velocity(course, NONE)["verdict"] == "supported"
    assert derivatives.velocity(course, Breaks((), (), cells))["verdict"] == "inconclusive"


def test_two_stretches_on_which_the_snr_falls() -> None:
    """The hull goes from the first to the last."""
    found = judged("expr:t, 1 - t + 0.2*sin(10*pi*t)*t").monotone_snr["violation"]
    assert len(found["intervals"]) > 1
    assert found["t"] == [found["intervals"][0]["t"][0], found["intervals"][-1]["t"][1]]
