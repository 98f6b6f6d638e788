"""`judge.divergence`: registered losses and a user's, sound and broken; what they target, against scipy."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from jsonschema import Draft202012Validator
from scipy import optimize

from reproflow import cli, judge
from reproflow.exact.matching import Problem
from reproflow.foundation import child, registry
from reproflow.foundation.errors import UsageError
from reproflow.judge import DivergenceJudgement
from reproflow.judge.divergences import facts, functional, losses
from reproflow.theory.divergences import get_divergence

SCHEMA = Draft202012Validator(
    json.loads((Path(__file__).parents[2] / "docs/schemas/check-divergence.json").read_text())
)
KEYS = {"spec", "gradient", "affine_in_target", "identified", "domains", "reason", "seconds"}
TARGETS = {
    "l1": "median",
    "huber": "Huber's location, between mean and median",
    "kl_swapped": "geometric mean",
    "hellinger": "squared mean of the root",
    "log_squared": "geometric mean",
    "pearson": "root mean square",
    "neyman": "harmonic mean",
}


def judged(spec: str) -> DivergenceJudgement:
    """The judgement; what it says must fit the schema, and its two gradient answers each other."""
    found = judge.divergence(spec)
    SCHEMA.validate(json.loads(json.dumps(found.as_dict(), allow_nan=False)))
    gap = found.gradient["relative_gap"]
    assert (found.gradient["verdict"] == "supported") == (gap != "inf" and gap <= 1e-8)
    assert found.exit_code == (0 if verdicts(found) == ("supported", "supported") else 3)
    return found


def verdicts(found: DivergenceJudgement) -> tuple[str, str]:
    return found.gradient["verdict"], found.identified["verdict"]


class TestRegistered:
    @pytest.mark.parametrize("name", [entry.name for entry in registry.entries("divergence")])
    def test_every_divergence(self, name: str) -> None:
        """Those that say they are Bregman are; the others target what the catalogue says (BIL-4)."""
        found = judged(name)
        word = "supported" if get_divergence(name).bregman else "refuted"
        assert verdicts(found) == (word, word)
        assert found.affine_in_target == (word == "supported")
        assert found.identified["functional"] == TARGETS.get(name, "mean")
        assert set(found.as_dict()) == KEYS
        assert next(iter(found.domains)) == get_divergence(name).domain

    @pytest.mark.parametrize("name", ["kl_rates", "itakura_saito", "log_squared"])
    def test_for_positive_numbers_alone(self, name: str) -> None:
        found = judged(name)
        assert found.domains["real"] is None
        assert "not defined for all real numbers" in found.reason

    def test_a_threshold_beyond_the_enumerated_targets(self) -> None:
        """Huber at 100 is the squared error on every target of the small problems; farther apart it is not."""
        found = judged("huber:delta=100")
        assert verdicts(found) == ("refuted", "refuted")
        assert found.domains["real"]["gradient"]["network_gap"] < 1e-12


BREGMAN = [
    "(a - b)**2",
    "3*(a - b)**2 + a**2",
    "a*log(a/b) - a + b",
    "b - a*log(b)",
    "a*log((a + 1e-8)/(b + 1e-8)) - a + b",
    "a/b - log(a/b) - 1",
    "exp(a) - exp(b) - exp(b)*(a - b)",
    "exp(5*a) - exp(5*b) - 5*exp(5*b)*(a - b)",
    "a**4 - b**4 - 4*b**3*(a - b)",
    "(1 + t)**3*exp(-x**2/4)*(a - b)**2",
    "(1 + t + x**2)*(a*log(a/b) - a + b)",
    "cosh(a) - cosh(b) - (exp(b) - exp(-b))/2*(a - b)",
]
# Not Bregman: what is targeted instead.
OTHERS = [
    ("abs(a - b)", "median"),
    ("max(0.9*(a - b), -0.1*(a - b))", "quantile at 0.9"),
    ("max(0.25*(a - b), -0.75*(a - b))", "quantile at 0.25"),
    ("where(a > b, 0.7, 0.3)*(a - b)**2", "expectile at 0.7"),
    ("(log(a) - log(b))**2", "geometric mean"),
    ("b*log(b/a) - b + a", "geometric mean"),
    ("(sqrt(a) - sqrt(b))**2", "squared mean of the root"),
    ("(a**2 - b**2)**2", "root mean square"),
    ("(1/a - 1/b)**2", "harmonic mean"),
    ("(a**3 - b**3)**2", "power mean with exponent 3"),
    ("(exp(a/2) - exp(b/2))**2", "exponential mean with rate 0.5"),
    ("log(cosh(clamp(a - b, -300, 300)))", "none of the known ones"),
    ("(a - b)**4", "none of the known ones"),
    ("abs(a - b)**1.5", "none of the known ones"),
    ("(sqrt(a) - b)**2", "none of the known ones"),
]
# Equal gradients, but the truth is not the only minimum.
DEGENERATE = [
    ("-(a - b)**2", None, "no minimum"),
    ("-a*log(b)", None, "no minimum near the targets"),
    ("a**2", None, "does not depend on the prediction"),
    ("0", None, "does not depend on the prediction"),
    ("b - a*log(b + 0.05)", "none of the known ones", "not zero at b = a"),
    ("(t - 0.5)*(a - b)**2", None, "no minimum"),
    ("max(t - 0.5, 0)*(a - b)**2", None, "flat at the truth"),
    ("(2*a - b)**2", "2 times the mean", "not zero at b = a"),
    ("0*(a - b)**2 + x", None, "does not depend on the prediction"),
]


class TestExpressions:
    @pytest.mark.parametrize("expression", BREGMAN)
    def test_bregman(self, expression: str) -> None:
        found = judged(f"expr:{expression}")
        assert verdicts(found) == ("supported", "supported")
        assert found.affine_in_target
        assert found.identified["functional"] == "mean"

    @pytest.mark.parametrize(("expression", "target"), OTHERS)
    def test_no_bregman(self, expression: str, target: str) -> None:
        found = judged(f"expr:{expression}")
        assert verdicts(found) == ("refuted", "refuted")
        assert not found.affine_in_target
        assert found.identified["functional"] == target

    @pytest.mark.parametrize(("expression", "target", "word"), DEGENERATE)
    def test_equal_gradients_are_not_enough(self, expression: str, target: str | None, word: str) -> None:
        found = judged(f"expr:{expression}")
        assert verdicts(found) == ("supported", "refuted")
        assert found.identified["functional"] == target
        assert word in found.identified["reason"]

    def test_an_infinite_loss_is_judged(self) -> None:
        found = judged("expr:(a - b)**2 + 1/0")
        assert verdicts(found) == ("refuted", "refuted")
        assert found.gradient["relative_gap"] == "inf"

    def test_what_overflows_is_judged_where_it_does_not(self) -> None:
        found = judged("expr:exp(a) - exp(b) - exp(b)*(a - b)")
        assert found.domains["positive"]["largest"] < 400
        assert "beyond which" in found.reason

    @pytest.mark.parametrize("scale", ["1e-200", "1e-6", "1e6"])
    def test_a_constant_factor_changes_nothing(self, scale: str) -> None:
        found = judged(f"expr:{scale}*abs(a - b)")
        assert verdicts(found) == ("refuted", "refuted")
        assert found.identified["functional"] == "median"
        assert found.gradient["relative_gap"] == pytest.approx(
            judged("l1").domains["positive"]["gradient"]["relative_gap"]
        )

    def test_other_verdicts_for_real_numbers_are_told(self) -> None:
        """The cube is convex for positive numbers alone."""
        found = judged("expr:a**3 - b**3 - 3*b**2*(a - b)")
        assert verdicts(found) == ("supported", "supported")
        real = found.domains["real"]
        assert (real["gradient"]["verdict"], real["identified"]["verdict"]) == ("supported", "refuted")
        assert "for real numbers" in found.reason


FILE = """
import torch
import reproflow

def squared(a, b, t, x, k=1.0): return k * (a - b).square().sum(1)
def mahalanobis(a, b, t, x):
    n = a.shape[1]
    d = a - b
    return torch.einsum("bi,ij,bj->b", d, torch.eye(n, dtype=a.dtype) + 0.9, d)
def sums(a, b, t, x): return (a.sum(1) - b.sum(1))**2
def first(a, b, t, x): return (a[:, 0] - b[:, 0])**2
def detached(a, b, t, x): return (a - b.detach()).square().sum(1)
def by_numpy(a, b, t, x): return torch.from_numpy(((a.numpy() - b.detach().numpy()) ** 2).sum(1))
def steps(a, b, t, x): return ((a - b).abs() > 1).double().sum(1)
def norm_squared(a, b, t, x): return (a - b).norm(dim=1) ** 2
def root_squared(a, b, t, x): return (a - b).square().sum(1).sqrt() ** 2
def nearly(a, b, t, x): return torch.nn.functional.pairwise_distance(a, b) ** 2
def shares_kl(a, b, t, x):
    p, q = a / a.sum(1, keepdim=True), b / b.sum(1, keepdim=True)
    return (p * (p / q).log()).sum(1)
def norm(a, b, t, x): return (a - b).norm(dim=1)
def insensitive(a, b, t, x): return torch.relu((a - b).abs() - 1).square().sum(1)
def single(a, b, t, x): return (a.float() - b.float()).square().sum(1)
def clamped(a, b, t, x): return (a * (a.clamp(min=1e-12) / b.clamp(min=1e-12)).log() - a + b).sum(1)
def constant(a, b, t, x): return 0.0
@reproflow.divergence("mine", cite="-", domain="real")
def decorated(a, b, t, x): return (a - b).abs().sum(1)

def nan(a, b, t, x): return (a - b).log().sum(1)
def far(a, b, t, x): return (20 - a).sqrt().sum(1) * float("nan")
def shape(a, b, t, x): return (a - b)**2
def mean(a, b, t, x): return (a - b).square().mean()
def shares(a, b, t, x): return (a - b).square().sum(1) / (a - b).square().mean()
def random(a, b, t, x): return (a - b).square().sum(1) + torch.rand(len(a))
def raises(a, b, t, x): raise ValueError("on purpose")
def three(a, b, t): return a
"""


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_ENTRIES", dict(registry._ENTRIES))
    (tmp_path / "loss.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("user")
class TestFiles:
    @pytest.mark.parametrize(
        ("function", "expected", "target", "word"),
        [
            ("squared:k=3", ("supported", "supported"), "mean", "for positive numbers and for real numbers"),
            ("mahalanobis", ("supported", "supported"), "mean", "a Bregman divergence"),
            (
                "clamped",
                ("supported", "supported"),
                "mean",
                "for real numbers, where it is finite too: equal gradients",
            ),
            ("sums", ("supported", "refuted"), None, "flat at the truth"),
            ("first", ("supported", "refuted"), None, "flat at the truth"),
            ("detached", ("supported", "refuted"), None, "its graph is cut"),
            ("by_numpy", ("supported", "refuted"), None, "its graph is cut"),
            ("steps", ("supported", "refuted"), None, "made of steps"),
            ("norm_squared", ("supported", "supported"), "mean", "a Bregman divergence"),
            ("root_squared", ("supported", "supported"), "mean", "a Bregman divergence"),
            ("nearly", ("supported", "refuted"), "mean", "the truth is not exactly its only minimum"),
            ("shares_kl", ("refuted", "refuted"), "none of the known ones", "not defined for all real numbers"),
            ("constant", ("supported", "refuted"), None, "does not depend on the prediction"),
            ("norm", ("refuted", "refuted"), "none of the known ones", "closest is the"),
            ("insensitive", ("refuted", "refuted"), "none of the known ones", "neither the mean nor another"),
            ("single", ("refuted", "refuted"), "none of the known ones", "float32"),
            ("decorated", ("refuted", "refuted"), "median", "for real numbers and for positive numbers"),
        ],
    )
    def test_verdicts(self, function: str, expected: tuple[str, str], target: str | None, word: str) -> None:
        found = judged(f"loss.py:{function}")
        assert verdicts(found) == expected
        assert found.identified["functional"] == target
        assert word in "; ".join([found.gradient["reason"], found.identified["reason"], found.reason])

    @pytest.mark.parametrize(
        ("spec", "word"),
        [
            ("loss.py:nan", r"is NaN at a = \("),
            ("loss.py:far", r"is NaN at a = \("),
            ("expr:log(a - b)", r"is NaN at a = \("),
            ("loss.py:shape", "of shape"),
            ("loss.py:mean", "depends on the others in its batch"),
            ("loss.py:shares", "depends on the others in its batch"),
            ("loss.py:random", "global random generator"),
            ("loss.py:raises", "raised ValueError in loss.py, line"),
            ("loss.py:three", r"cannot be called as three\(a, b, t, x\)"),
            ("loss.py:missing", "has no function 'missing'"),
            ("squard", "did you mean 'squared'"),
            ("huber:delta=-1", "outside its range"),
            ("expr:(a - c)**2", "unknown 'c'"),
        ],
    )
    def test_what_cannot_be_judged(self, spec: str, word: str) -> None:
        with pytest.raises(UsageError, match=word) as caught:
            judge.divergence(spec)
        assert len(str(caught.value).splitlines()) <= 3


class TestMinimiser:
    @pytest.mark.parametrize(
        "loss",
        [
            lambda a, b: (a - b) ** 2,
            lambda a, b: np.abs(a - b),
            lambda a, b: np.log(np.cosh(a - b)),
            lambda a, b: (np.log(a) - np.log(b)) ** 2,
            lambda a, b: np.where(a > b, 0.8, 0.2) * np.abs(a - b),
        ],
    )
    def test_against_scipy(self, loss: Callable) -> None:
        """One node with four targets on a line: scipy's bounded search from many brackets finds the same minimum."""
        targets, weights = np.array([0.5, 0.8, 2.0, 3.5]), np.array([0.3, 0.25, 0.35, 0.1])
        one = torch.ones(1, 1, dtype=torch.float64)
        target = torch.from_numpy(targets).view(1, 4, 1)
        problem = Problem("test", "positive", one[0], one, torch.from_numpy(weights)[None], target)

        def tensors(a: torch.Tensor, b: torch.Tensor, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(loss(a.detach().numpy(), b.detach().numpy()))[:, 0] + 0 * b[:, 0]

        found = functional.minimiser(problem, tensors)

        def cost(b: float) -> float:
            return float((weights * loss(targets, np.array(b))).sum())

        pairs = itertools.pairwise(np.linspace(0.3, 4, 60))
        local = [optimize.minimize_scalar(cost, bounds=p, method="bounded", options={"xatol": 1e-11}) for p in pairs]
        best = min(local, key=lambda each: each.fun)
        assert found.inside
        assert float(found.value) == pytest.approx(best.x, abs=2e-6)

    @pytest.mark.parametrize("domain", ["positive", "real"])
    def test_curvature_is_the_hessians(self, domain: str) -> None:
        """A quadratic form's: the least eigenvalue of its matrix with a unit diagonal."""
        matrix = torch.tensor([[2.0, 0.5, 0.1], [0.5, 1.0, 0.3], [0.1, 0.3, 5.0]], dtype=torch.float64)

        def loss(a: torch.Tensor, b: torch.Tensor, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
            return torch.einsum("bi,ij,bj->b", a - b, matrix, a - b)

        scale = np.diag(matrix.numpy()) ** -0.5
        expected = np.linalg.eigvalsh(scale[:, None] * matrix.numpy() * scale).min()
        assert facts.curvature(loss, domain) == pytest.approx(expected, rel=1e-9)

    def test_units_keep_verdicts(self) -> None:
        """l(k a, k b) is judged as l is, whatever k: here by hand."""
        for unit in (1.0, 0.01, 30.0):
            found = facts.facts(losses.Scaled(get_divergence("pearson"), unit), "positive")
            assert found.name == "root mean square"
            assert found.gap > 0.1
            assert math.isfinite(found.gap)


class TestCommand:
    def test_json_and_exit_codes(self, capsys: pytest.CaptureFixture) -> None:
        for spec, code in (("kl_rates", 0), ("l1", 3), ("expr:-(a - b)**2", 3)):
            assert cli.run(["check", "divergence", spec, "--json", "-"]) == code
            said = capsys.readouterr()
            assert said.err == ""
            SCHEMA.validate(json.loads(said.out))

    def test_the_page(self, capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
        assert cli.run(["check", "divergence", "log_squared", "--json", str(tmp_path / "loss.json")]) == 3
        said = capsys.readouterr().out
        for word in ("gradient", "identified", "refuted", "geometric mean"):
            assert word in said
        assert json.loads((tmp_path / "loss.json").read_text())["affine_in_target"] is False

    @pytest.mark.usefixtures("user")
    def test_a_users_file_in_a_child(self, capfd: pytest.CaptureFixture) -> None:
        assert cli.run(["check", "divergence", "loss.py:squared", "--json", "-"]) == 0
        found = json.loads(capfd.readouterr().out)
        assert found["spec"] == "loss.py:squared"
        assert found["gradient"]["verdict"] == "supported"

    @pytest.mark.usefixtures("user")
    def test_nan_is_exit_2_without_json(self, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
        """In the child, which this process plays here."""
        monkeypatch.setenv(child.PIPE, "-1")
        assert cli.run(["check", "divergence", "loss.py:nan", "--json", "-"]) == 2
        said = capfd.readouterr()
        assert "is NaN at a = (" in said.err
        assert said.out == ""

    def test_help_shows_an_example(self, capsys: pytest.CaptureFixture) -> None:
        assert cli.run(["check", "divergence", "--help"]) == 0
        assert "Example: reproflow check divergence" in capsys.readouterr().out
