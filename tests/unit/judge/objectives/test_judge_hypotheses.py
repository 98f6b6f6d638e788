"""`judge.weighting`: what each verdict asks for, on objectives that break one hypothesis, and equivalent objectives."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from judged_objectives import KEYS
from scipy import integrate

from reproflow import judge
from reproflow.foundation.errors import UsageError


class TestHypotheses:
    def test_a_sound_weighting(self) -> None:
        """Everything supported, with the mean by scipy."""
        found = judge.weighting("expr:min(snr, 5)", target="x1", lam=(-3.0, 0.0, 60.0)).as_dict()
        assert set(found) >= KEYS
        mean = integrate.quad(lambda t: min((t / (1 - t)) ** 2, 5), 0, 1, points=[5**0.5 / (1 + 5**0.5)])[0]
        assert found["admissible"]["mass"] == pytest.approx(mean, rel=1e-6)
        assert [found[key]["verdict"] for key in ("admissible", "identified")] == ["supported"] * 2
        assert found["identified"]["zero_set"] == []
        assert found["bound"]["verdict"] == "falsified"
        assert found["bound"]["resolution"] >= 200_000
        assert 0 < found["bound"]["minorant"] < 1
        # On the linear path an eps error is (sigma/alpha)² of an x1 error, and |lam'| = 2/(t (1 - t)).
        t = 1 / (1 + np.exp(np.array([1.5, 0.0])))
        w = np.minimum((t / (1 - t)) ** 2, 5) * ((1 - t) / t) ** 2 * t * (1 - t)
        assert found["canonical"]["lam"] == [-3.0, 0.0, 60.0]
        assert found["canonical"]["w"][:2] == pytest.approx(w, rel=1e-9)
        assert found["canonical"]["w"][2] is None
        json.dumps(found, allow_nan=False)

    @pytest.mark.parametrize(
        ("spec", "mass", "verdict"),
        [
            ("expr:t**-0.5", 2.0, "supported"),
            ("expr:abs(t - 0.3)**-0.5", 2 * (0.3**0.5 + 0.7**0.5), "supported"),
            ("expr:1/t", "inf", "refuted"),
            ("inv_snr", "inf", "refuted"),
            ("expr:t**-0.995", None, "inconclusive"),
        ],
    )
    @pytest.mark.default_cases(2)
    def test_mass(self, spec: str, mass: float | str | None, verdict: str) -> None:
        found = judge.weighting(spec)
        assert found.admissible["verdict"] == verdict
        if isinstance(mass, float):
            assert found.admissible["mass"] == pytest.approx(mass, rel=1e-6)
        elif mass:
            assert found.admissible["mass"] == mass
        assert found.exit_code == {"supported": found.exit_code, "refuted": 3, "inconclusive": 5}[verdict]

    @pytest.mark.parametrize("spec", ["expr:where((t > 0.2)*(t < 0.25), 1/0, 1)", "expr:where(lam > 3, 1/0, 1)"])
    def test_infinite_on_an_interval_is_an_infinite_mass(self, spec: str) -> None:
        found = judge.weighting(spec)
        assert (found.admissible["verdict"], found.admissible["mass"]) == ("refuted", "inf")
        assert "infinite" in found.admissible["reason"]
        assert found.bound["verdict"] == "not_representable"
        assert found.equivalent == []
        assert "a loss that is infinite on" in found.identified["reason"]

    def test_verdicts_are_independent(self) -> None:
        """1/SNR has infinite mass and is certified; a weight that is zero at the data end is certified too."""
        infinite = judge.weighting("inv_snr")
        assert (infinite.admissible["verdict"], infinite.identified["verdict"]) == ("refuted", "supported")
        assert infinite.bound["verdict"] == "certified"
        cut = judge.weighting("expr:where(t < 1/3, 1, 0)")
        assert (cut.admissible["verdict"], cut.identified["verdict"]) == ("refuted", "refuted")
        assert cut.bound["verdict"] == "certified"
        assert cut.identified["zero_set"] == [pytest.approx([1 / 3, 1], abs=1e-9)]
        assert cut.admissible["mass"] == pytest.approx(1 / 3, rel=1e-6)

    def test_zero_objective(self) -> None:
        found = judge.weighting("expr:0")
        assert found.admissible["mass"] == 0
        assert (found.admissible["verdict"], found.identified["verdict"]) == ("refuted", "refuted")
        assert found.identified["zero_set"] == [[0, 1]]
        assert found.bound["verdict"] == "not_representable"
        assert "zero objective" in found.bound["reason"]
        assert found.equivalent == []

    def test_negative_weights_are_judged(self) -> None:
        found = judge.weighting("expr:t - 0.25")
        assert (found.admissible["verdict"], found.identified["verdict"]) == ("refuted", "refuted")
        assert found.admissible["mass"] == pytest.approx(0.25, rel=1e-9)
        assert "negative on (0, 0.25)" in found.identified["reason"]
        assert "negative" in found.bound["reason"]
        assert found.bound["minorant"] is None
        assert found.exit_code == 3

    @pytest.mark.parametrize("spec", ["uniform", "elbo"])
    def test_a_law_with_a_gap(self, spec: str) -> None:
        """BIL-5: t drawn from [1/2, 1] only; a canonical weighting is zero there too, whatever it says."""
        found = judge.weighting(spec, time="expr:0.5 + 0.5*u", lam=(-1.0, 1.0))
        assert (found.admissible["verdict"], found.identified["verdict"]) == ("refuted", "refuted")
        assert "dominate" in found.admissible["reason"]
        assert found.identified["zero_set"] == [pytest.approx([0, 0.5], abs=1e-8)]
        assert found.canonical["w"][0] == 0 < found.canonical["w"][1]
        assert found.bound["violation"]["t"] == pytest.approx([0.5, 0.5], abs=1e-8)

    def test_a_law_without_a_closed_density_keeps_its_atoms(self) -> None:
        """Half of the draws at t = 1/2, the others uniform on [1/2, 1]: E[t] = 1/4 + 3/8."""
        found = judge.weighting("expr:t", time="expr:max(u, 0.5)")
        assert found.admissible["mass"] == pytest.approx(0.625, rel=1e-6)

    def test_an_explicit_range(self) -> None:
        found = judge.weighting("expr:1/t", t_range=(0.25, 0.75)).as_dict()
        assert found["range"] == [0.25, 0.75]
        assert found["admissible"]["mass"] == pytest.approx(math.log(3), rel=1e-9)
        assert found["admissible"]["verdict"] == "supported"
        # t² on the velocity of the linear path rises up to t = 1/2.
        assert judge.weighting("expr:t**2", t_range=(0.5, 0.9)).bound["verdict"] == "certified"
        assert judge.weighting("expr:t**2", t_range=(0.4, 0.9)).bound["verdict"] == "falsified"

    def test_advice_is_certified(self) -> None:
        """The advised curve, put in the place of the weight, is certified, and is the weight where that is monotone."""
        advice = judge.weighting("iddpm", lam=np.linspace(-8, 8, 41).tolist()).bound["advice"]
        lam, w = np.array(advice["lam"]), np.array(advice["w"])
        assert w == pytest.approx(np.where(lam < 0, 1, 1 / np.cosh(lam / 2)), rel=1e-6)

    def test_flags(self) -> None:
        """Masked FM: the integral of w dalpha is pi/2; the ELBO's C_w is infinite for data with a density (5.5)."""
        flags = judge.weighting("fm", "masked", "cosine").bound["flags"]
        assert flags["c_w"]["verdict"] == "finite"
        assert flags["c_w"]["integral"] == pytest.approx(math.pi / 2, rel=1e-6)
        assert flags["noise_end"]["limit"] == "inf"
        flags = judge.weighting("elbo").bound["flags"]
        assert flags["c_w"]["verdict"] == "infinite"
        assert flags["noise_end"]["limit"] == 1

    @pytest.mark.parametrize("width", [1e-6, 3e-5])
    @pytest.mark.parametrize("place", [0.0171, 0.3123, 0.7123, 0.9871])
    @pytest.mark.default_cases(2)
    def test_a_thin_peak_is_in_the_constant(self, place: float, width: float) -> None:
        """Of 1 + exp(-((t - p)/d)²)/d the integral of w dalpha is 1 + sqrt(pi); of (1 - t)² times it, w dlam."""
        peak = f"exp(-((t - {place})/{width})**2)/{width}"
        flags = judge.weighting(f"expr:1 + {peak}", "masked", target="canonical", lam=(0.0,)).bound["flags"]
        assert flags["c_w"]["integral"] == pytest.approx(1 + math.sqrt(math.pi), rel=1e-6)
        ours = f"expr:(1 - t)**2*(1 + {peak})"
        flags = judge.weighting(ours, target="canonical", lam=(0.0,)).bound["flags"]
        peaked = 2 * (1 - place) / place * math.sqrt(math.pi) if place > 0.5 else 0.0
        assert flags["c_w"]["integral"] == pytest.approx(2 * math.log(2) - 1 + peaked, rel=1e-6)

    @pytest.mark.parametrize(
        ("path", "time", "word"), [("expr:t, 1 - 2*t", "uniform", "sigma"), ("linear", "expr:1 - u", "does not fall")]
    )
    def test_a_bad_path_or_law_is_judged(self, path: str, time: str, word: str) -> None:
        found = judge.weighting("uniform", path=path, time=time)
        assert found.exit_code == 3
        assert word in found.bound["reason"]
        json.dumps(found.as_dict(), allow_nan=False)

    @pytest.mark.parametrize(
        ("given", "word"),
        [
            ({"spec": "expr:log(t - 0.5)"}, "weighting .* is NaN at t = "),
            ({"spec": "uniform", "path": "expr:log(t - 0.5), 1 - t"}, "path .* is NaN at t = "),
            ({"spec": "uniform", "time": "expr:log(u - 0.5)"}, "time law .* is NaN at u = "),
            ({"spec": "uniform", "t_range": (0.5, 0.2)}, "range"),
            ({"spec": "uniform", "target": "ce"}, "not a gaussian prediction"),
        ],
    )
    def test_what_cannot_be_evaluated_is_an_error(self, given: dict, word: str) -> None:
        with pytest.raises(UsageError, match=word):
            judge.weighting(**given)


class TestEquivalent:
    def names(self, *given: str, **more: str) -> set[tuple[str, str, str]]:
        found = judge.weighting(*given, **more).equivalent
        return {(each["path"], each["time"], each["weighting"]) for each in found}

    def test_flow_matching(self) -> None:
        """Uniform on the velocity of the linear path is FM-OT; v-prediction on the cosine path is the same (ST-8)."""
        assert {("any", "any", "fm"), ("cosine", "uniform", "uniform")} <= self.names("uniform")
        assert ("linear", "uniform", "uniform") not in self.names("uniform")
        assert ("linear", "uniform", "uniform") in self.names("expr:7*exp(-lam/2)", target="canonical")

    def test_the_factor_is_what_multiplies(self) -> None:
        [fm] = [each for each in judge.weighting("expr:5").equivalent if each["weighting"] == "fm"]
        assert fm["factor"] == pytest.approx(1 / 5, rel=1e-9)

    def test_noise_prediction(self) -> None:
        """eps-prediction on the cosine path is IDDPM (ST-8)."""
        assert ("any", "any", "iddpm") in self.names("expr:1", "gaussian", "cosine", target="eps")
        assert ("any", "any", "elbo") not in self.names("expr:1", "gaussian", "cosine", target="eps")

    def test_masked_schedules(self) -> None:
        """simple on alpha = t is w = 1 - t, which is the sigmoid with k = 0."""
        assert ("any", "any", "sigmoid") in self.names("simple", "masked", "linear")
        assert ("any", "any", "sigmoid") not in self.names("simple", "masked", "cosine")
