"""`judge.time` and `reproflow check time`: valid or not, gaps and atoms, densities against scipy and closed forms."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from repository import schema
from scipy import optimize, stats

from reproflow import cli, judge
from reproflow.foundation import code_limits, registry
from reproflow.foundation.errors import UsageError
from reproflow.judge import TimeJudgement

SCHEMA = schema("check-time")
AT = np.arange(1, 10) / 10
KEYS = {"spec", "valid", "dominates_lebesgue", "atoms", "density_at", "seconds", "time_runs", "source"}


def judged(spec: str) -> TimeJudgement:
    """The judgement; what it says must fit the schema."""
    found = judge.time(spec)
    SCHEMA.validate(json.loads(json.dumps(found.as_dict(), allow_nan=False)))
    return found


def verdicts(found: TimeJudgement) -> tuple[str, str | None]:
    return found.valid["verdict"], found.dominates_lebesgue["verdict"]


class TestRegistered:
    @pytest.mark.parametrize("name", [entry.name for entry in registry.entries("time", "gaussian")])
    def test_every_law_is_sound(self, name: str) -> None:
        found = judged(name)
        assert verdicts(found) == ("supported", "supported")
        assert found.exit_code == 0
        assert (found.dominates_lebesgue["gap"], found.atoms) == (None, [])
        assert set(found.as_dict()) == KEYS

    @pytest.mark.parametrize(
        ("spec", "pdf"),
        [
            ("uniform", lambda t: np.ones_like(t)),
            ("logit_normal:mean=-0.5,std=0.8", lambda t: stats.norm(-0.5, 0.8).pdf(np.log(t / (1 - t))) / t / (1 - t)),
            ("beta:a=2,b=5", stats.beta(2, 5).pdf),
            ("laplace", lambda t: stats.laplace(0, 0.5).pdf(2 * np.log(t / (1 - t))) * 2 / t / (1 - t)),
            ("u_squared", stats.beta(0.5, 1).pdf),
        ],
    )
    def test_densities(self, spec: str, pdf: stats.rv_continuous) -> None:
        assert judged(spec).density_at["pi"] == pytest.approx(pdf(AT), rel=1e-10)

    def test_a_law_without_a_closed_density(self) -> None:
        """Mode sampling: 1/Q' at the root of Q(u) = t, found by scipy."""

        def q(u: float) -> float:
            return u + 1.29 * (math.cos(0.5 * math.pi * u) ** 2 - 1 + u)

        slopes = []
        for t in AT:
            u = optimize.brentq(lambda u, t=t: q(u) - t, 0, 1, xtol=1e-15)
            slopes.append(1 + 1.29 * (1 - 0.5 * math.pi * math.sin(math.pi * u)))
        assert judged("mode").density_at["pi"] == pytest.approx(1 / np.array(slopes), rel=1e-9)


class TestOwn:
    @pytest.mark.parametrize(
        ("expression", "density"),
        [
            ("u**3", AT ** (-2 / 3) / 3),
            ("1 - (1 - u)**0.5", 2 * (1 - AT)),
            ("log(1 + u*(exp(1) - 1))", np.exp(AT) / (math.e - 1)),
            ("sin(pi*u/2)**2", stats.beta(0.5, 0.5).pdf(AT)),
            ("where(u < 0.5, 0.6*u, 1.4*u - 0.4)", np.where(AT < 0.3, 1 / 0.6, 1 / 1.4)),
            ("where(u < 0.25, sqrt(u)/2, 0.25 + (u - 0.25))", np.where(AT < 0.25, 8 * AT, 1.0)),
        ],
    )
    def test_sound_maps_and_their_densities(self, expression: str, density: np.ndarray) -> None:
        found = judged(f"expr:{expression}")
        assert verdicts(found) == ("supported", "supported")
        pi = np.array(found.density_at["pi"])
        kink = np.isclose(AT, 0.3) & (expression.find("1.4") > 0)
        assert pi[~kink] == pytest.approx(density[~kink], rel=1e-8)

    @pytest.mark.parametrize(
        ("expression", "gaps"),
        [
            ("0.1 + 0.8*u", [(0, 0.1), (0.9, 1)]),
            ("0.1 + 0.7*u", [(0, 0.1), (0.8, 1)]),
            ("0.5*u", [(0.5, 1)]),
            ("0.5 + 0.5*u", [(0, 0.5)]),
            ("0.3 + 0.7*u**4", [(0, 0.3)]),
            ("where(u < 0.5, 0.6*u, 0.4 + 0.6*u)", [(0.3, 0.7)]),
            ("u/2 + 0.25*(u > 0.3) + 0.25*(u > 0.8)", [(0.15, 0.4), (0.65, 0.9)]),
            ("where(u < 0.5, u, u*(1 - 1e-5) + 1e-5)", [(0.5, 0.500005)]),
            ("where(u < 0.5, 0.5*u, 0.25 + 1e-6 + (1.5 - 2e-6)*(u - 0.5))", [(0.25, 0.250001)]),
            ("where(u < 0.37, u**2, u**2 + 4e-8)*(1 - 4e-8*(u > 0.37))", [(0.37**2, 0.37**2 + 4e-8 * (1 - 0.37**2))]),
        ],
    )
    def test_gaps(self, expression: str, gaps: list[tuple[float, float]]) -> None:
        found = judged(f"expr:{expression}")
        assert verdicts(found) == ("supported", "refuted")
        assert found.exit_code == 3
        assert found.atoms == []
        assert np.array(found.dominates_lebesgue["gaps"]) == pytest.approx(np.array(gaps), abs=1e-8)
        lengths = [high - low for low, high in gaps]
        assert np.ptp(found.dominates_lebesgue["gap"]) == pytest.approx(max(lengths), abs=1e-8)
        inside = [any(low < t - 1e-6 and t + 1e-6 < high for low, high in gaps) for t in AT]
        assert all(pi == 0 for pi, gap in zip(found.density_at["pi"], inside, strict=True) if gap)

    @pytest.mark.parametrize(
        ("expression", "atoms", "dominates"),
        [
            ("max(u, 0.5)", [(0.5, 0.5)], "refuted"),
            ("min(u, 0.9)", [(0.9, 0.1)], "refuted"),
            ("where(u < 0.3, u/0.6, max(0.5, (u - 0.3)/0.6 - 1/6))", [(0.5, 0.4)], "supported"),
            ("0.5", [(0.5, 1)], "refuted"),
            ("0.25 + 0.25*(u > 0.3) + 0.25*(u > 0.7)", [(0.25, 0.3), (0.5, 0.4), (0.75, 0.3)], "refuted"),
        ],
    )
    def test_atoms_do_no_harm_and_gaps_do(
        self, expression: str, atoms: list[tuple[float, float]], dominates: str
    ) -> None:
        found = judged(f"expr:{expression}")
        assert verdicts(found) == ("supported", dominates)
        assert [(each["t"], each["mass"]) for each in found.atoms] == [
            (pytest.approx(t, abs=1e-9), pytest.approx(mass, abs=1e-9)) for t, mass in atoms
        ]
        at = {round(10 * t) for t, _ in atoms if abs(10 * t - round(10 * t)) < 1e-9}
        assert all(found.density_at["pi"][k - 1] == "inf" for k in at)

    def test_short_gaps_are_told_apart_from_kinks_and_steep_stretches(self) -> None:
        """Each of three jumps is found where it is; a kink, a steep stretch and a smooth bend are no gaps."""
        found = judged("expr:(u + 2e-7*(u > 0.2) + 3e-8*(u > 0.4) + 5e-6*(u > 0.9))/(1 + 5.23e-6)")
        assert [high - low for low, high in found.dominates_lebesgue["gaps"]] == pytest.approx(
            [2e-7, 3e-8, 5e-6], rel=0.02
        )
        for sound in ("where(u < 0.5, 0.2*u, 0.1 + 1.8*(u - 0.5))", "0.5 + 0.5*tanh(3000*(u - 0.5))/tanh(1500)"):
            assert verdicts(judged(f"expr:{sound}")) == ("supported", "supported"), sound

    @pytest.mark.parametrize("expression", ["0.5", "0.2 + 0.6*(u > 0.5)"])
    def test_atoms_alone_are_all_gap(self, expression: str) -> None:
        found = judged(f"expr:{expression}")
        assert found.dominates_lebesgue["gap"] == [0, 1]
        assert "all gap" in found.dominates_lebesgue["reason"]

    @pytest.mark.parametrize(
        ("expression", "word"),
        [
            ("1 - u", "falls"),
            ("u + 0.2*sin(20*u)", "falls"),
            ("u - 0.01*exp(-((u - 0.5)/0.0005)**2)", "falls"),
            ("1 - u*5e-12", "falls"),
            ("2*u", "outside"),
            ("u - 0.01", "outside"),
            ("log(u)", "outside"),
            ("1/u", "outside"),
        ],
    )
    def test_maps_that_are_none(self, expression: str, word: str) -> None:
        found = judged(f"expr:{expression}")
        assert verdicts(found) == ("refuted", None)
        assert word in found.valid["reason"]
        assert found.exit_code == 3
        assert (found.dominates_lebesgue["gap"], found.density_at["pi"]) == (None, [None] * 9)

    def test_where_the_map_falls_is_told(self) -> None:
        """From its top, 0.6 at u = 0.6, to 0.4: the middle piece goes down."""
        found = judged("expr:where(u < 0.6, u, where(u < 0.8, 1.2 - u, 3*u - 2))")
        assert "from t = 0.6 at u = 0.6 to t = 0.4 at u = 0.8" in found.valid["reason"]


FILE = """
import numpy as np
import torch
import reproflow

def cubic(u, power=3.0): return u**power
def grid(u): return torch.floor(1000 * u) / 1000
def constant(u): return 0.25
def full(u): return torch.full_like(u, 0.25)
def single(u): return torch.sigmoid(torch.special.ndtri(u.float()))
def masked(u): return torch.where(u < 0.5, 0.5 - torch.sqrt((0.5 - u) / 2), 0.5 + torch.sqrt((u - 0.5) / 2))
@reproflow.time_law("mine", cite="-", density=lambda t: 2 * t, cdf=lambda t: t**2)
def decorated(u): return u.sqrt()
def nan(u): return torch.sqrt(u - 0.5)
def shape(u): return u[:, None]
def random(u): return u * torch.rand(())
def raises(u): raise ValueError("on purpose")
def others(u): return u / u.max()
def in_order(u): return torch.sort(u).values
"""


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "law.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("user")
class TestFiles:
    @pytest.mark.parametrize(
        ("function", "expected"),
        [
            ("cubic", ("supported", "supported")),
            ("cubic:power=0.5", ("supported", "supported")),
            ("grid", ("supported", "refuted")),
            ("constant", ("supported", "refuted")),
            ("full", ("supported", "refuted")),
            ("single", ("supported", "inconclusive")),
            ("decorated", ("supported", "supported")),
        ],
    )
    @pytest.mark.default_cases(2)
    def test_verdicts(self, function: str, expected: tuple[str, str]) -> None:
        assert verdicts(judged(f"law.py:{function}")) == expected

    def test_the_grid_of_a_discrete_schedule(self) -> None:
        """DDPM's thousand steps: a thousand atoms, and nothing between."""
        found = judged("law.py:grid")
        assert found.dominates_lebesgue["gap"] == [0, 1]
        assert len(found.atoms) == 1000
        assert sum(each["mass"] for each in found.atoms) == pytest.approx(1, abs=1e-9)

    def test_where_backwards_would_give_nan(self) -> None:
        """Half-parabolas that `where` joins: NaN in the branch not taken does not reach the density, 4 |t - 1/2|."""
        found = judged("law.py:masked")
        assert verdicts(found) == ("supported", "supported")
        pi = np.delete(np.array(found.density_at["pi"], dtype=float), 4)
        assert pi == pytest.approx(np.delete(4 * np.abs(AT - 0.5), 4), rel=1e-7)

    def test_a_closed_density(self) -> None:
        assert judged("law.py:decorated").density_at["pi"] == pytest.approx(2 * AT, rel=1e-12)

    @pytest.mark.parametrize(
        ("spec", "word"),
        [
            ("law.py:nan", "is NaN at u = "),
            ("expr:log(u - 0.5)", "is NaN at u = "),
            ("law.py:shape", "of shape"),
            ("law.py:random", "global random generator"),
            ("law.py:raises", "raised ValueError in law.py, line"),
            ("law.py:others", "function of each u alone"),
            ("law.py:in_order", "function of each u alone"),
            ("law.py:missing", "has no function 'missing'"),
            ("unifrm", "did you mean 'uniform'"),
            ("expr:t", "unknown 't'"),
        ],
    )
    def test_what_cannot_be_judged(self, spec: str, word: str) -> None:
        with pytest.raises(UsageError, match=word) as caught:
            judge.time(spec)
        assert len(str(caught.value).splitlines()) <= 3


class TestCommand:
    def test_json_and_exit_codes(self, capsys: pytest.CaptureFixture) -> None:
        for spec, code in (("uniform", 0), ("expr:0.5*u", 3), ("expr:1 - u", 3)):
            assert cli.run(["check", "time", spec, "--json", "-"]) == code
            said = capsys.readouterr()
            assert said.err == ""
            SCHEMA.validate(json.loads(said.out))

    def test_the_page(self, capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
        assert cli.run(["check", "time", "expr:max(u, 0.5)", "--json", str(tmp_path / "law.json")]) == 3
        said = capsys.readouterr().out
        for word in ("valid", "supported", "dominates lebesgue", "refuted", "an atom", "π(0.9)"):
            assert word in said
        assert json.loads((tmp_path / "law.json").read_text())["valid"]["verdict"] == "supported"

    def test_bad_usage(self, capsys: pytest.CaptureFixture) -> None:
        assert cli.run(["check", "time", "unifrm"]) == 2
        said = capsys.readouterr()
        assert "did you mean 'uniform'" in said.err
        assert said.out == ""

    def test_help_shows_an_example(self, capsys: pytest.CaptureFixture) -> None:
        assert cli.run(["check", "time", "--help"]) == 0
        assert "Example: reproflow check time" in capsys.readouterr().out

    @pytest.mark.usefixtures("user")
    @pytest.mark.slow
    def test_a_function_that_never_comes_back(
        self, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Path("loop.py").write_text("def law(u):\n    while True:\n        pass\n")
        monkeypatch.setenv(code_limits.TIME, "1")
        assert cli.run(["check", "time", "loop.py:law", "--json", "-"]) == 2
        assert "did not come back within 1 s" in capfd.readouterr().err
