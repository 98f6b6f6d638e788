"""Objectives at the edges of what is looked at: next to an end, on a range, under a law of one's own, without end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from judged_objectives import objective

from reproflow import judge
from reproflow.foundation import code_limits
from reproflow.foundation.errors import UsageError
from reproflow.judge.objectives import restatements
from reproflow.judge.objectives.integrability import mass


@pytest.mark.parametrize("spec", ["expr:t - 1e-7", "expr:1 - 1e-7 - t"])
def test_a_weight_that_is_negative_next_to_an_end(spec: str) -> None:
    """Nearer to it than the times of an even grid."""
    found = judge.weighting(spec)
    assert (found.admissible["verdict"], found.identified["verdict"], found.exit_code) == ("refuted", "refuted", 3)
    assert "negative" in found.admissible["reason"]


def test_a_weight_that_is_zero_next_to_an_end() -> None:
    [zero] = judge.weighting("expr:max(t - 1e-7, 0)").identified["zero_set"]
    assert zero == pytest.approx([0, 1e-7], abs=1e-12)


def test_the_resolution_is_that_of_the_widest_cell() -> None:
    """A third of a million times at most leave a cell of this length at least somewhere in (0, 1)."""
    found = judge.weighting("uniform").admissible["resolution"]["times"]
    assert 3e-6 < found <= 1.01e-5


class TestLawsWithoutADensity:
    """Under u² the chance of t < a is sqrt(a)."""

    def test_the_mean_over_a_range(self) -> None:
        subject = objective("uniform", time="expr:u**2")
        assert mass(subject, (0.25, 1.0)).value == pytest.approx(1 - 0.5, rel=1e-9)
        assert mass(subject, (0.0, 0.25)).value == pytest.approx(0.5, rel=1e-9)

    def test_halves_are_of_time(self) -> None:
        subject = objective("uniform", time="expr:u**2")
        _, halves = restatements.replacement(subject, mass(subject, (0.0, 1.0)), [], (0.0, 1.0))
        assert halves["noise"] == pytest.approx(0.5**0.5, rel=1e-9)


STANDS_STILL = "where(t < 0.4, t, where(t < 0.6, 0.4, 1.5*t - 0.5))"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (f"expr:{STANDS_STILL}, 1 - {STANDS_STILL}", "the SNR does not rise"),
        ("expr:t, abs(1 - 2*t)", "the SNR does not rise"),
        ("expr:t - 0.2, 1 - t", "has alpha = -0.1999"),
    ],
)
def test_a_path_on_which_no_objective_is_one(path: str, words: str) -> None:
    found = judge.weighting("elbo", path=path)
    assert found.exit_code == 3
    assert words in found.admissible["reason"]
    assert (found.admissible["verdict"], found.bound["verdict"]) == ("refuted", "not_representable")


class TestAgainst:
    @pytest.mark.parametrize(("other", "listed"), [("expr:3", True), ("elbo", False)])
    def test_another_one_is_equivalent_only_if_it_is(self, other: str, listed: bool) -> None:
        found = judge.weighting("uniform", against=judge.Against(other))
        assert (other in [each["weighting"] for each in found.equivalent]) == listed

    def test_what_is_zero_on_a_stretch_is_not_what_is_not(self) -> None:
        found = judge.weighting("expr:where(t < 0.01, 0, 1)", against=judge.Against("uniform"))
        assert (found.against["verdict"], found.exit_code) == ("different", 3)


@pytest.mark.parametrize(
    ("asked", "spec"),
    [
        (judge.weighting, "expr:1 + t"),
        (judge.time, "expr:u**3"),
        (judge.path, "expr:t**1.5, 1 - t"),
        (judge.divergence, "expr:(a - b)**2"),
    ],
)
def test_an_expression_has_a_limit_of_time(
    asked: Callable[[str], object], spec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(code_limits.TIME, "1e-9")
    with pytest.raises(UsageError, match="was not judged within 1e-09 s of processor time"):
        asked(spec)


def test_a_weighting_that_mixes_times_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.py").write_text("def mixes(t, lam): return t / t.max()\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="alone"):
        judge.weighting("own.py:mixes")
