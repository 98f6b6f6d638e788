"""Mask rates drawn from a part of (0, 1), and networks not told the time: means in closed form and by scipy."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable

import numpy as np
import pytest
from judged_objectives import SCHEMA, objective
from scipy import integrate, special, stats

from reproflow import judge
from reproflow.judge.objectives import time_agnostic

WHOLE = (0.0, 1.0)
LENGTHS = (1, 2, 3, 8, 24)


def uniform_rates(tokens: int, low: float, high: float) -> np.ndarray:
    """y_k for m uniform on [low, high] and weight 1: the mean of m Beta(m; k, L-k+1), k/(L+1) of a Beta(k+1, L-k+1)."""
    k = np.arange(1, tokens + 1)
    law = stats.beta(k + 1, tokens - k + 1)
    mass = np.where(law.median() > low, law.cdf(high) - law.cdf(low), law.sf(low) - law.sf(high))
    return k / (tokens + 1) * mass / (high - low)


def by_scipy(tokens: int, m: Callable[[float], float], c: Callable[[float], float], *inner: float) -> np.ndarray:
    """y_k = E[c m Beta(m; k, L-k+1)] over quantiles u, m and c as functions of u."""

    def rate(u: float, k: int) -> float:
        return c(u) * m(u) * float(stats.beta.pdf(m(u), k, tokens - k + 1))

    cuts = [0.0, *inner, 1.0]
    return np.array(
        [
            sum(integrate.quad(rate, *pair, args=(k,), epsrel=1e-12)[0] for pair in itertools.pairwise(cuts))
            for k in range(1, tokens + 1)
        ]
    )


# On the linear path m = 1 - t: the law of t, and the rates it draws.
RATES = {
    "expr:0.7*u": (0.3, 1.0),
    "expr:0.5*u": (0.5, 1.0),
    "expr:0.3*u": (0.7, 1.0),
    "expr:0.05*u": (0.95, 1.0),
    "expr:0.3 + 0.7*u": (0.0, 0.7),
    "expr:0.3 + 0.4*u": (0.3, 0.7),
    "expr:0.1 + 0.15*u": (0.75, 0.9),
    "expr:0.9 + 0.05*u": (0.05, 0.1),
    "expr:0.2 + 0.6*u": (0.2, 0.8),
    "expr:0.55 - 0.3 + 0.3*u": (0.45, 0.75),
}


@pytest.mark.parametrize("law", RATES)
@pytest.mark.parametrize("tokens", LENGTHS)
@pytest.mark.default_cases(12)
def test_the_means_of_uniform_rates_in_closed_form(law: str, tokens: int) -> None:
    k, y, m_range = time_agnostic.means(objective("simple", "masked", time=law), tokens, WHOLE)
    assert m_range == (0.0, 1.0)
    np.testing.assert_array_equal(k, np.arange(1, tokens + 1))
    np.testing.assert_allclose(y, uniform_rates(tokens, *RATES[law]), rtol=1e-6)


@pytest.mark.parametrize(
    ("spec", "law", "m", "c", "inner"),
    [
        ("expr:1/(1 - t)", "expr:0.8*u**2", lambda u: 1 - 0.8 * u**2, lambda u: 1 / (1 - 0.8 * u**2), ()),
        ("expr:1 - t", "expr:0.4*sqrt(u)", lambda u: 1 - 0.4 * u**0.5, lambda u: 1 - 0.4 * u**0.5, ()),
        (
            "expr:exp(t)",
            "expr:where(u < 0.5, 0.4*u, 0.4 + 0.4*u)",
            lambda u: 1 - (0.4 * u if u < 0.5 else 0.4 + 0.4 * u),
            lambda u: np.exp(0.4 * u if u < 0.5 else 0.4 + 0.4 * u),
            (0.5,),
        ),
        # Half of the draws at t = 1/4, an atom.
        ("simple", "expr:max(0.5*u, 0.25)", lambda u: 1 - max(0.5 * u, 0.25), lambda u: 1.0, (0.5,)),
        ("simple", "expr:0.6", lambda u: 0.4, lambda u: 1.0, ()),
    ],
)
def test_the_means_by_scipy(spec: str, law: str, m: Callable, c: Callable, inner: tuple[float, ...]) -> None:
    for tokens in (1, 4):
        y = time_agnostic.means(objective(spec, "masked", time=law), tokens, WHOLE)[1]
        np.testing.assert_allclose(y, by_scipy(tokens, m, c, *inner), rtol=1e-7)


def of_three(y: np.ndarray) -> bool:
    """Whether three means are those of steps 1[m >= c]: (1-c)³, (1-c)²(1+2c) and 1-c³.

    Their first and a third of their differences are 1-c times (1-c)², c(1-c) and c²: the moments of a measure on [0, 1]
    in Bernstein's form, which are such if and only if their matrix is positive semidefinite and no entry negative.
    """
    first, both, last = y[0], (y[1] - y[0]) / 3, (y[2] - y[1]) / 3
    return bool(min(first, both, last) >= 0 and both**2 <= first * last)


@pytest.mark.parametrize(
    ("law", "tokens", "certified"),
    [
        # Two means are those of a mixture of steps if and only if the second is no less: (1 - c)² and 1 - c².
        *((law, 1, True) for law in RATES),
        *((law, 2, bool(np.diff(uniform_rates(2, *RATES[law]))[0] >= 0)) for law in RATES),
        *((law, 3, of_three(uniform_rates(3, *RATES[law]))) for law in RATES),
        # A mean that falls with k has no such mixture: the means of a step rise with k.
        ("expr:0.3 + 0.7*u", 8, bool(np.diff(uniform_rates(8, 0.0, 0.7)).min() >= 0)),
        # A weight that never rises is its own.
        *((f"expr:{end}*u", tokens, True) for end in (0.7, 0.5, 0.3) for tokens in (3, 8)),
    ],
)
@pytest.mark.default_cases(9)
def test_verdicts_of_uniform_rates(law: str, tokens: int, certified: bool) -> None:
    k, y, m_range = time_agnostic.means(objective("simple", "masked", time=law), tokens, WHOLE)
    fit = time_agnostic.nearest(k, y, tokens, m_range)
    assert (fit.distance <= time_agnostic.TOLERANCE) == certified


@pytest.mark.parametrize("law", ["expr:0.7*u", "expr:0.3*u"])
def test_a_law_that_ends_early_is_looked_at_beyond_its_end(law: str) -> None:
    """There the weight is zero, which is no rise: with weight 1 it falls like 1 - t and then to nothing."""
    found = judge.weighting("simple", "masked", "linear", law, tokens=3, time_agnostic=True)
    SCHEMA.validate(json.loads(json.dumps(found.as_dict(), allow_nan=False)))
    assert (found.bound["verdict"], found.time_agnostic["verdict"]) == ("certified", "certified")
    assert "too few digits" not in found.bound["reason"]
    assert found.identified["verdict"] == "supported"
    assert "k = 1..3 of 3" in found.identified["reason"]
    assert found.admissible["verdict"] == "refuted"


def test_a_false_certificate() -> None:
    """Rates on [0.3, 0.7] and three tokens: 0.355, 0.71, 0.435; the third mean is below the second."""
    found = judge.weighting("simple", "masked", "linear", "expr:0.3 + 0.4*u", tokens=3, time_agnostic=True)
    assert uniform_rates(3, 0.3, 0.7) == pytest.approx([0.355, 0.71, 0.435], abs=1e-12)
    assert found.time_agnostic["verdict"] == "not_representable"
    # No mixture comes nearer than with both means met half-way: (0.71 - 0.435)/(0.71 + 0.435) is a lower bound.
    assert found.time_agnostic["distance"] >= 0.275 / 1.145 - 1e-9
    assert found.exit_code == 3


@pytest.mark.parametrize("tokens", [2, 6])
def test_a_range_of_times_under_such_a_law(tokens: int) -> None:
    """Rates on [0.3, 1] cut to [0.4, 0.8] keep the density 1/0.7, and beta laws are cut to the range."""
    k, y, m_range = time_agnostic.means(objective("simple", "masked", time="expr:0.7*u"), tokens, (0.2, 0.6))
    assert m_range == pytest.approx((0.4, 0.8))
    laws = stats.beta(k, tokens - k + 1)
    seen = laws.cdf(0.8) - laws.cdf(0.4)
    np.testing.assert_allclose(y, uniform_rates(tokens, 0.4, 0.8) * 0.4 / 0.7 / seen, rtol=1e-8)


class TestCounts:
    """`identified` is about numbers of masked tokens."""

    def identified(self, spec: str, law: str, tokens: int, span: tuple[float, float] = WHOLE, negative: bool = False):
        subject = objective(spec, "masked", time=law)
        return time_agnostic.identified(subject, tokens, span, [(0.0, 0.5)] if negative else [])

    @pytest.mark.parametrize("law", [*RATES, "uniform", "expr:0.5", "expr:where(u < 0.5, 0.2, 0.8)"])
    @pytest.mark.parametrize("tokens", [1, 4, 512])
    def test_every_number_is_trained(self, law: str, tokens: int) -> None:
        found = self.identified("simple", law, tokens)
        assert (found["verdict"], found["counts"]["untrained"]) == ("supported", [])

    def test_a_weight_that_is_zero_on_a_half_trains_them_all_the_same(self) -> None:
        assert self.identified("expr:where(t < 0.5, 0, 1)", "uniform", 6)["verdict"] == "supported"

    def test_a_weight_that_is_zero_wherever_the_law_goes_trains_none(self) -> None:
        found = self.identified("expr:where(t < 0.5, 0, 1)", "expr:0.4*u", 3)
        assert (found["verdict"], found["counts"]["untrained"]) == ("refuted", [1, 2, 3])

    def test_a_range_that_the_law_never_enters(self) -> None:
        found = self.identified("simple", "expr:0.4*u", 3, (0.5, 0.9))
        assert (found["verdict"], found["counts"]["untrained"]) == ("refuted", [1, 2, 3])

    def test_a_negative_weight_by_its_means(self) -> None:
        """c = t - a: the mean of (1 - a - m) m Beta(m; k, L-k+1) is k/(L+1) (1 - a - (k+1)/(L+2))."""
        for a in (0.1, 0.25, 0.6):
            k = np.arange(1, 5)
            wanted = k[1 - a - (k + 1) / 6 <= 0].tolist()
            found = self.identified(f"expr:t - {a}", "uniform", 4, negative=True)
            assert found["counts"]["untrained"] == wanted
            assert found["verdict"] == ("refuted" if wanted else "supported")


def test_beta_functions_that_the_closed_forms_need() -> None:
    """m Beta(m; k, L-k+1) is k/(L+1) times Beta(m; k+1, L-k+1)."""
    assert special.beta(4, 3) / special.beta(3, 3) == pytest.approx(3 / 6)
