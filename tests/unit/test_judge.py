"""`judge.weighting` and `reproflow check weighting`: the catalogue's verdicts, hypotheses, exit codes, bad code."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from scipy import integrate, optimize

from reproflow import cli, judge
from reproflow.foundation import child
from reproflow.foundation.errors import UsageError
from reproflow.judge.weightings.objective import Objective
from reproflow.theory import bounds
from reproflow.theory.paths import get_path
from reproflow.theory.reverse import quick_law, quick_path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

KEYS = {
    "spec", "process", "path", "time", "target", "range", "admissible", "identified", "bound", "canonical",
    "equivalent", "gradient", "variance", "seconds",
}  # fmt: skip

SCHEMA = Draft202012Validator(json.loads((Path(__file__).parents[2] / "docs/schemas/check-weighting.json").read_text()))


def found_bound(spec: str, **given: str) -> bounds.Bound:
    """The bound property alone, on a grid that is enough for smooth weights."""
    process = given.get("process", "gaussian")
    objective = Objective(
        quick_path(get_path(given.get("path", "linear"), process)),
        quick_law(get_time_law(given.get("time", "uniform"))),
        get_weighting(spec, process, given.get("target", "")),
    )
    return bounds.analyse(objective.w, objective.lam, points=10_001)


def argmax(log_w: Callable[[float], float]) -> float:
    return float(
        optimize.minimize_scalar(lambda x: -log_w(x), bounds=(-10, 10), method="bounded", options={"xatol": 1e-10}).x
    )


def log_edm(lam: float) -> float:
    """ST-8: N(lam; 2.4, 2.4²) (exp(-lam) + 0.5²)."""
    return -0.5 * ((lam - 2.4) / 2.4) ** 2 + math.log(math.exp(-lam) + 0.25)


def log_sech(x: float) -> float:
    return -math.log(math.cosh(x))


EDM_PEAK = argmax(log_edm)
HALF = {"target": "velocity"}
MASKED = {"process": "masked", "path": "cosine"}

# Certified, by ST-8, ST-9, ST-10 and derivations by hand.
CERTIFIED = [
    ("elbo", {}),
    ("sigmoid:k=2", {}),
    ("fm", {}),
    ("v_cosine", {}),
    ("indi", {}),
    ("edm_monotone", {}),
    ("expr:1", {"target": "v", "path": "cosine"}),
    ("expr:1", {"target": "x1"}),
    ("uniform", {}),
    ("expr:1/snr", HALF),
    ("expr:(1 - t)**2", HALF),
    ("expr:t/(1 - t)", HALF),
    ("uniform", {"time": "expr:1 - (1 - u)**2"}),
    ("uniform", {"time": "expr:u**2"}),
    *((name, MASKED) for name in ("elbo", "sigmoid", "fm", "simple", "edm_monotone")),
    *(
        ("simple", {"process": "masked", "path": path})
        for path in ("linear", "polynomial:n=2", "polynomial:n=0.5", "geometric")
    ),
]

# Not representable: w rises from the start of the range up to this log-SNR.
RISING = [
    ("iddpm", {}, 0.0),
    ("expr:1", {"target": "eps", "path": "cosine"}, 0.0),
    ("edm", {}, EDM_PEAK),
    ("p2:gamma=1", {}, argmax(lambda x: log_sech(x / 2) - math.log1p(math.exp(x)))),
    ("p2:gamma=0.5", {}, argmax(lambda x: log_sech(x / 2) - 0.5 * math.log1p(math.exp(x)))),
    ("min_snr", {"path": "cosine"}, 0.0),
    ("expr:min(snr, 5)", {"target": "x1", "path": "cosine"}, 0.0),
    ("iddpm", MASKED, 0.0),
    ("edm", MASKED, EDM_PEAK),
]

# The same on the velocity of the linear path: w falls for noise-times beyond this one only.
UNTIL = [
    ("expr:t**2", {}, 0.5),
    ("expr:min(snr, 5)", {}, 1 / (1 + math.sqrt(5))),
    ("expr:min(snr, 5)/(snr + 1)", {}, 0.5),
    ("uniform", {"time": "logit_normal"}, None),
]


class TestCatalogue:
    @pytest.mark.parametrize(("spec", "given"), CERTIFIED)
    def test_certified(self, spec: str, given: dict[str, str]) -> None:
        assert found_bound(spec, **given).verdict == "certified"

    @pytest.mark.parametrize(("spec", "given", "end"), RISING)
    def test_rises_with_lam_up_to(self, spec: str, given: dict[str, str], end: float) -> None:
        found = found_bound(spec, **given)
        assert found.verdict == "not_representable"
        assert [rise.t[0] for rise in found.rises] == [1e-4]
        assert found.rises[0].lam[1] == pytest.approx(end, abs=2e-6)

    @pytest.mark.parametrize(("spec", "given", "noise_time"), UNTIL)
    def test_rises_on_the_velocity_up_to(self, spec: str, given: dict[str, str], noise_time: float | None) -> None:
        if noise_time is None:  # logit-normal: w = pi (1 - t)/t, with pi = N(logit t; 0, 1)/(t (1 - t))
            noise_time = 1 - float(
                optimize.minimize_scalar(
                    lambda t: 0.5 * math.log(t / (1 - t)) ** 2 + 2 * math.log(t), bounds=(0.01, 0.9), method="bounded",
                    options={"xatol": 1e-10},
                ).x
            )  # fmt: skip
            assert noise_time == pytest.approx(0.844, abs=5e-4), "the catalogue's number"
        found = found_bound(spec, **given)
        assert [rise.t for rise in found.rises] == [pytest.approx((1e-4, 1 - noise_time), abs=1e-6)]

    def test_catalogue_numbers(self) -> None:
        assert pytest.approx(-3.308, abs=5e-4) == EDM_PEAK
        assert [round(end, 2) for spec, _, end in RISING if spec.startswith("p2")] == [-1.10, -0.69]

    def test_simple_follows_the_schedule(self) -> None:
        """ST-10: simple is w = m/|m'| with m = 1 - alpha, here m = (s + 4 s^8)/5 at noise-time s, not log-concave."""

        def w(s: float) -> float:
            return (s + 4 * s**8) / (1 + 32 * s**7)

        search = {"bounds": (0.2, 0.8), "method": "bounded", "options": {"xatol": 1e-11}}
        peak = optimize.minimize_scalar(lambda s: -w(s), **search).x
        found = found_bound("simple", process="masked", path="expr:1 - ((1 - t) + 4*(1 - t)**8)/5")
        assert [rise.t for rise in found.rises] == [pytest.approx((1e-4, 1 - peak), abs=1e-6)]

    @pytest.mark.parametrize("name", ["sigmoid", "fm", "indi"])
    def test_reversed_in_time_they_are_refused(self, name: str) -> None:
        """The control: w(1 - t) of a falling weight rises. On the linear path 1 - t is -lam."""
        forms = {"sigmoid": "sigmoid(lam)", "fm": "exp(lam/2)", "indi": "exp(lam)/cosh(lam/4)**2"}
        found = found_bound(f"expr:{forms[name]}", target="canonical")
        assert [rise.t for rise in found.rises] == [(1e-4, 1 - 1e-4)]


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


class TestCommand:
    def answer(self, capsys: pytest.CaptureFixture, *arguments: str, code: int = 0) -> dict:
        assert cli.run(["check", "weighting", *arguments, "--json", "-"]) == code
        said = capsys.readouterr()
        assert said.err == ""
        SCHEMA.validate(json.loads(said.out))
        return json.loads(said.out)

    def test_json_alone_on_standard_output(self, capsys: pytest.CaptureFixture) -> None:
        found = self.answer(capsys, "uniform", "--lam", "-3,-1,0")
        assert set(found) >= KEYS
        assert found["canonical"]["lam"] == [-3, -1, 0]
        assert (found["gradient"]["verdict"], found["train"]) == ("supported", None)
        assert found["variance"]["this"] == pytest.approx(found["variance"]["uniform"], rel=1e-12)

    def test_exit_codes(self, capsys: pytest.CaptureFixture) -> None:
        self.answer(capsys, "edm", "--process", "masked", "--path", "cosine", code=3)
        self.answer(capsys, "expr:t**-0.995", code=5)

    @pytest.mark.parametrize(
        "arguments", [["expr:0"], ["uniform", "--path", "expr:t, 1 - 2*t"], ["expr:1/abs(t - 0.3)"]]
    )
    def test_the_schema_holds_for_strange_answers(self, arguments: list[str], capsys: pytest.CaptureFixture) -> None:
        self.answer(capsys, *arguments, code=3)

    def test_help_shows_an_example(self, capsys: pytest.CaptureFixture) -> None:
        assert cli.run(["check", "weighting", "--help"]) == 0
        assert "Example: reproflow check weighting" in capsys.readouterr().out

    def test_target_and_range(self, capsys: pytest.CaptureFixture) -> None:
        found = self.answer(capsys, "min_snr:gamma=3", "--target", "eps", "--range", "0.7,0.9")
        assert (found["target"], found["range"], found["spec"]) == ("eps", [0.7, 0.9], "min_snr:gamma=3")

    def test_the_page(self, capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
        assert cli.run(["check", "weighting", "edm", "--json", str(tmp_path / "edm.json")]) == 3
        said = capsys.readouterr().out
        for word in ("admissible", "supported", "identified", "falsified", "-3.308", "to certify"):
            assert word in said
        assert json.loads((tmp_path / "edm.json").read_text())["bound"]["verdict"] == "falsified"

    @pytest.mark.parametrize(
        ("arguments", "word"),
        [
            (["unifrm"], "did you mean 'uniform'"),
            (["uniform", "--process", "gausian"], "did you mean 'gaussian'"),
            (["uniform", "--target", "velocty"], "did you mean 'velocity'"),
            (["uniform", "--path", "linaer"], "did you mean 'linear'"),
            (["uniform", "--range", "0.5"], "--range '0.5' is not A,B"),
            (["uniform", "--range", "0.7,0.2"], "range 0.7,0.2"),
            (["uniform", "--lam", "1,x"], "--lam '1,x'"),
            (["min_snr:gamma=-1"], "outside its range"),
            (["expr:log(t - 0.5)"], "NaN at t = "),
            (["expr:__import__('os').system('touch pwned')"], "not allowed"),
            (["expr:(1).__class__"], "not allowed"),
            (["expr:9**9**9**9*t"], None),
            (["nowhere.py:f"], "no file nowhere.py"),
            (["user.py:missing"], "has no function 'missing'; did you mean 'missin'"),
            (["user.py:one_argument"], "user.py, line 7: one_argument(t) cannot be called as one_argument(t, lam)"),
            (["broken.py:f"], "broken.py, line 2"),
        ],
    )
    def test_bad_usage(self, arguments: list[str], word: str | None, capsys: pytest.CaptureFixture, user: Path) -> None:
        code = cli.run(["check", "weighting", *arguments])
        said = capsys.readouterr()
        assert not (user / "pwned").exists()
        if word is None:  # a number too large is infinite, and is judged
            assert code == 3
            return
        assert code == 2
        assert word in said.err.replace("\n", " ")
        assert 1 <= len(said.err.strip().splitlines()) <= 3
        assert said.out == ""

    @pytest.mark.parametrize(
        ("function", "word"),
        [
            ("nan", "'user.py:nan' is NaN at t = "),
            ("two_columns", "of shape"),
            ("random", "global random generator"),
            ("raises", "raised ValueError in user.py, line"),
        ],
    )
    def test_faulty_functions(
        self, function: str, word: str, capfd: pytest.CaptureFixture, user: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In the child, which this process plays here."""
        monkeypatch.setenv(child.PIPE, "-1")
        assert cli.run(["check", "weighting", f"user.py:{function}", "--json", "-"]) == 2
        said = capfd.readouterr()
        assert word in said.err.replace("\n", " ")
        assert said.out == ""


USER = """
import os, sys, time
import torch

print("imported")

def one_argument(t):
    return t

def missin(t, lam):
    print("called")
    os.write(1, b"written")
    return torch.exp(-0.5 * lam)

def nan(t, lam):
    return torch.log(t - 0.5)

def two_columns(t, lam):
    return torch.stack([t, lam], 1)

def random(t, lam):
    return torch.rand(len(t))

def raises(t, lam):
    raise ValueError("on purpose")

def loops(t, lam):
    while True:
        pass
"""


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a user's files, to work in."""
    (tmp_path / "user.py").write_text(USER)
    (tmp_path / "broken.py").write_text("def f(t, lam):\n    return (\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


class TestChild:
    def test_the_real_command_line(self, user: Path) -> None:
        """A function in a file, --lam as its own argument, and whatever the file prints kept off standard output."""
        command = [sys.executable, "-m", "reproflow", "check", "weighting", "user.py:missin", "--target", "canonical"]
        command += ["--lam", "-3,-1,0", "--json", "-"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["canonical"]["w"] == pytest.approx([math.exp(1.5), math.exp(0.5), 1], rel=1e-9)
        assert {"imported", "called"} <= set(done.stderr.split())

    def test_a_loop_without_an_end(
        self, user: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(child.LIMIT, "2")
        assert cli.run(["check", "weighting", "expr:t", "--time", "user.py:loops_u", "--json", "-"]) == 2
        assert cli.run(["check", "weighting", "user.py:loops", "--json", "-"]) == 2
        said = capfd.readouterr()
        assert "user.py did not come back within 2 s" in said.err
        assert said.out == ""
