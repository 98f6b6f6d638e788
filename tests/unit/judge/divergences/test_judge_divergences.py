"""`judge.divergence` on registered losses and expressions, sound and broken."""

from __future__ import annotations

import pytest
from judged_divergences import judged, verdicts

from reproflow.foundation import registry
from reproflow.theory.divergences import get_divergence

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


class TestRegistered:
    @pytest.mark.parametrize("name", [entry.name for entry in registry.entries("divergence")])
    @pytest.mark.default_cases(4)
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
    @pytest.mark.default_cases(1)
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
    ("(1 + 1e-5*sin(a))*(a - b)**2", "none of the known ones"),
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
    @pytest.mark.default_cases(3)
    def test_bregman(self, expression: str) -> None:
        found = judged(f"expr:{expression}")
        assert verdicts(found) == ("supported", "supported")
        assert found.affine_in_target
        assert found.identified["functional"] == "mean"

    @pytest.mark.parametrize(("expression", "target"), OTHERS)
    @pytest.mark.default_cases(4)
    def test_no_bregman(self, expression: str, target: str) -> None:
        found = judged(f"expr:{expression}")
        assert verdicts(found) == ("refuted", "refuted")
        assert not found.affine_in_target
        assert found.domains["positive"]["gradient"]["network_gap"] > 1e-8
        assert found.identified["functional"] == target

    @pytest.mark.parametrize(("expression", "target", "word"), DEGENERATE)
    @pytest.mark.default_cases(2)
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
    @pytest.mark.default_cases(1)
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
