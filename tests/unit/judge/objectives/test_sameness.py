"""Are two objectives one? Pairs whose answer and factor are worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from judged_objectives import quick_objective

from reproflow import judge
from reproflow.foundation.errors import UsageError
from reproflow.judge.objectives.sameness import compare

# The linear path at s(t) = 3t/(1 + 2t), s' = 3/(1 + 2t)².
SHIFTED = "expr:3*t/(1 + 2*t), (1 - t)/(1 + 2*t)"


def against(one: dict, other: dict) -> dict:
    return compare(quick_objective(**one), quick_objective(**other))


class TestTheSame:
    @pytest.mark.parametrize(
        ("one", "other", "factor"),
        [
            # On the linear path dlam/dt = 2/(t(1 - t)) and an error of the velocity is that of eps over t.
            ({"spec": "uniform"}, {"spec": "expr:exp(-lam/2)", "target": "canonical"}, 1),
            ({"spec": "expr:7"}, {"spec": "uniform"}, 1 / 7),
            # On the cosine path dlam/dt = 2 pi/sin(pi t), sech(lam/2) = sin(pi t): 1 on eps is sech/pi.
            ({"spec": "expr:1", "target": "eps", "path": "cosine"}, {"spec": "iddpm"}, math.pi),
            # A law in the place of a weight (Lemma 4.7): u² has the density 1/(2 sqrt t).
            ({"spec": "uniform", "time": "u_squared"}, {"spec": "expr:0.5/sqrt(t)"}, 1),
            ({"spec": "expr:1", "time": "expr:u**3"}, {"spec": "expr:t**(-2/3)/3"}, 1),
            # Straight lines walked at another speed: pi_s = 1/s', and the velocity's error has s'².
            ({"spec": "expr:(1 + 2*t)**2/3", "path": SHIFTED}, {"spec": "uniform"}, 1),
            ({"spec": "sigmoid:k=2", "path": SHIFTED}, {"spec": "expr:1/(1 + exp(lam - 2))", "target": "canonical"}, 1),
            ({"spec": "min_snr:gamma=3"}, {"spec": "expr:min(snr, 3)/snr", "target": "eps"}, 1),
            # Masked: w = (1 - alpha)/alpha' = 1 - t = sigmoid(-lam).
            ({"spec": "simple", "process": "masked"}, {"spec": "sigmoid", "process": "masked"}, 1),
            ({"spec": "elbo", "process": "masked"}, {"spec": "expr:1/(1 - alpha)", "process": "masked"}, 1),
        ],
    )
    def test_up_to_the_factor(self, one: dict, other: dict, factor: float) -> None:
        found = against(one, other)
        assert found["verdict"] == "same"
        assert found["factor"] == pytest.approx(factor, rel=1e-8)
        assert found["difference"]["relative"] <= 1e-8
        assert found["differs"] is None
        assert against(other, one)["factor"] == pytest.approx(1 / factor, rel=1e-8)


class TestDifferent:
    def test_another_parameter_is_found_where_it_matters(self) -> None:
        found = against({"spec": "min_snr"}, {"spec": "min_snr:gamma=6"})
        assert (found["verdict"], found["factor"]) == ("different", pytest.approx(1))
        assert found["difference"]["relative"] == pytest.approx(0.2, rel=1e-6)
        assert found["difference"]["lam"] >= math.log(6)
        assert found["differs"][0] == pytest.approx(math.log(5), abs=0.01)

    def test_a_narrow_window(self) -> None:
        bump = "expr:where((lam > 2)*(lam < 2.1), 1.03, 1)"
        found = against({"spec": "expr:1", "target": "canonical"}, {"spec": bump, "target": "canonical"})
        assert found["difference"]["relative"] == pytest.approx(0.03)
        low, high = found["differs"]
        assert 2 < low < high < 2.1
        t = found["difference"]["t"]
        assert 2 * math.log(t / (1 - t)) == pytest.approx(found["difference"]["lam"], rel=1e-9)

    def test_zero_on_a_stretch(self) -> None:
        found = against({"spec": "uniform"}, {"spec": "expr:t > 0.2"})
        assert found["difference"]["relative"] == "inf"
        assert found["differs"][1] == pytest.approx(2 * math.log(0.2 / 0.8), abs=0.02)

    def test_a_law_that_leaves_times_out(self) -> None:
        assert against({"spec": "uniform"}, {"spec": "uniform", "time": "expr:0.1 + 0.9*u"})["verdict"] == "different"

    def test_the_same_words_on_another_path(self) -> None:
        assert against({"spec": "uniform"}, {"spec": "uniform", "path": SHIFTED})["verdict"] == "different"

    def test_a_hundred_thousandth_is_different_and_its_size_is_said(self) -> None:
        found = against({"spec": "uniform"}, {"spec": "expr:1 + 1e-5*t"})
        assert found["verdict"] == "different"
        assert 1e-6 < found["difference"]["relative"] < 1e-5

    def test_a_sign(self) -> None:
        assert against({"spec": "uniform"}, {"spec": "expr:-1"})["verdict"] == "different"

    def test_nothing_in_common(self) -> None:
        found = against({"spec": "expr:t < 0.4"}, {"spec": "expr:t > 0.6"})
        assert (found["verdict"], found["factor"]) == ("different", None)


class TestUndecided:
    def test_single_precision(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        code = (
            "def f(t, lam):\n    return 1 / (1 + lam.float().exp())\ndef g(t, lam):\n    return 1 / (1 + lam.exp())\n"
        )
        (tmp_path / "own.py").write_text(code)
        monkeypatch.chdir(tmp_path)
        one, other = {"spec": "own.py:f", "target": "canonical"}, {"spec": "own.py:g", "target": "canonical"}
        assert against(one, other)["verdict"] == "inconclusive"
        assert against(other, {"spec": "sigmoid"})["verdict"] == "same"

    def test_a_path_that_is_none(self) -> None:
        found = against({"spec": "uniform"}, {"spec": "uniform", "path": "expr:1 - t, t"})
        assert found["verdict"] == "inconclusive"
        assert "SNR does not rise" in found["reason"]

    def test_two_processes(self) -> None:
        with pytest.raises(UsageError, match="one process"):
            against({"spec": "elbo"}, {"spec": "elbo", "process": "masked"})


class TestInAJudgement:
    def test_own_paths_and_parameters_are_among_the_equivalent(self) -> None:
        """1/s' on the velocity of the shifted path is `uniform` on the linear one: registered, and asked for."""
        asked = judge.Against("expr:2", path="linear")
        found = judge.weighting("expr:(1 + 2*t)**2/3", path=SHIFTED, against=asked)
        assert (found.against["verdict"], found.exit_code) == ("same", 0)
        assert found.against["factor"] == pytest.approx(2)
        named = [(each["path"], each["weighting"]) for each in found.equivalent]
        assert ("linear", "uniform") in named
        assert ("linear", "expr:2") in named
        other = judge.weighting("uniform", path=SHIFTED, target="eps")
        assert (SHIFTED, "snr") in [(each["path"], each["weighting"]) for each in other.equivalent]

    def test_the_verdict_alone_counts(self) -> None:
        """1/SNR on the velocity has infinite mean (exit code 3), and is the same as itself in other words."""
        found = judge.weighting("inv_snr", against=judge.Against("expr:1/snr"))
        assert (found.admissible["verdict"], found.against["verdict"], found.exit_code) == ("refuted", "same", 0)
        assert judge.weighting("elbo", against=judge.Against("fm")).exit_code == 3

    def test_the_difference_is_the_largest_there_is(self) -> None:
        """p2:gamma=2 over p2 is 1/(1 + SNR) in closed form, looked at on another grid."""
        found = against({"spec": "p2"}, {"spec": "p2:gamma=2"})
        lam = np.linspace(*found["range"], 997)
        ratio = 1 / (1 + np.exp(lam)) / found["factor"] - 1
        assert np.abs(ratio).max() <= found["difference"]["relative"] * (1 + 1e-3)
