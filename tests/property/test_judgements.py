"""Judgements of random weights against a slow oracle, and what must not change them: units, paths, Lemma 4.7."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from scipy import special, stats

from reproflow.judge.objectives import restatements, time_agnostic, verdicts
from reproflow.judge.objectives.integrability import mass
from reproflow.judge.objectives.numeric_objective import NumericObjective
from reproflow.theory import bounds
from reproflow.theory.objective import Objective
from reproflow.theory.paths import get_path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

RANGE = (1e-3, 1 - 1e-3)
POINTS = 2001
FEW = settings(
    max_examples=20, database=None, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.filter_too_much]
)


@dataclass(frozen=True)
class Form:
    """A weight as an expression in lam for the package, and in numpy for the oracle."""

    text: str
    values: np.ndarray

    def at(self, lam: float) -> float:
        return float(np.interp(lam, LAM, self.values))


LAM = np.linspace(-16, 16, 32_001)
NUMBERS = st.integers(-30, 30).map(lambda n: n / 10)


@st.composite
def atoms(draw: st.DrawFn) -> Form:
    """One of the shapes that weightings have: a power, a sigmoid, a hump, a dip, a step, a kink."""
    at, kind = draw(NUMBERS), draw(st.sampled_from(("power", "sigmoid", "hump", "dip", "step", "kink")))
    x = LAM - at
    return {
        "power": lambda: Form(f"exp({at / 6}*lam)", np.exp(at / 6 * LAM)),
        "sigmoid": lambda: Form(f"sigmoid(-(lam - {at}))", special.expit(-x)),
        "hump": lambda: Form(f"1/cosh((lam - {at})/2)", 2 / (np.exp(x / 2) + np.exp(-x / 2))),
        "dip": lambda: Form(f"(1 - 0.4*exp(-(lam - {at})**2))", 1 - 0.4 * np.exp(-(x**2))),
        "step": lambda: Form(f"where(lam < {at + 0.0005}, 2, 1)", np.where(x < 0.0005, 2.0, 1.0)),
        "kink": lambda: Form(f"min(1, exp(-(lam - {at})))", np.exp(-np.maximum(x, 0))),
    }[kind]()


@st.composite
def weights(draw: st.DrawFn) -> Form:
    """A convex combination of up to three products of one or two atoms."""
    terms = []
    for _ in range(draw(st.integers(1, 3))):
        factors = draw(st.lists(atoms(), min_size=1, max_size=2))
        text = "*".join(each.text for each in factors)
        terms.append(Form(text, math.prod(each.values for each in factors)))
    shares = [draw(st.integers(1, 9)) for _ in terms]
    texts, total = [f"{share}*{term.text}" for share, term in zip(shares, terms, strict=True)], sum(shares)
    values = sum(share * term.values for share, term in zip(shares, terms, strict=True)) / total
    return Form(f"({' + '.join(texts)})/{total}", values)


def objective(text: str, process: str = "gaussian", path: str = "linear", time: str = "uniform", on: str = "canonical"):
    noun = get_weighting(text if text.startswith("expr:") else f"expr:{text}", process, on)
    return NumericObjective(Objective(get_path(path, process), get_time_law(time, fine=True), noun))


def judged(subject: NumericObjective, points: int = POINTS) -> tuple[bounds.Bound, dict]:
    bound = bounds.analyse(subject.w, subject.lam, RANGE, points)
    return bound, verdicts.bound_property(subject, bound, RANGE, (-1.0, 0.0, 1.0), whole=False)


def slow(form: Form, low: float, high: float) -> tuple[float, float | None, float | None]:
    """The largest relative excess over the running minimum, and the first and last lam at which the weight rises."""
    inside = (low <= LAM) & (high >= LAM)
    # Python's own numbers: a loop over an array's makes one anew at each step.
    lam, w = LAM[inside].tolist(), form.values[inside].tolist()
    least, excess, first, last = w[0], 0.0, None, None
    for index in range(1, len(w)):
        excess = max(excess, w[index] / least - 1)
        least = min(least, w[index])
        if w[index] > w[index - 1] * (1 + 1e-12):
            first = lam[index - 1] if first is None else first
            last = lam[index]
    return excess, first, last


class TestAgainstTheSlowOracle:
    @FEW
    @given(
        form=weights(), where=st.sampled_from([("gaussian", "linear"), ("gaussian", "cosine"), ("masked", "cosine")])
    )
    def test_the_verdict_and_where_it_rises(self, form: Form, where: tuple[str, str]) -> None:
        subject = objective(form.text, *where)
        bound, found = judged(subject)
        excess, first, last = slow(form, bound.lam[0], bound.lam[-1])
        assume(excess < 1e-8 or excess > 1e-4)
        assert (found["verdict"] == "certified") == (excess < 1e-8)
        if found["verdict"] == "certified":
            return
        low, high = found["violation"]["lam"]
        # The package leaves out rises of less than a millionth, which the oracle counts.
        assert first - 2e-3 <= low <= high
        assert high <= last + 2e-3 or form.at(high) == pytest.approx(form.at(last), rel=1e-6)
        assert 0 < found["minorant"] < 1
        if found["verdict"] == "falsified":
            assert found["witness"]["left"] < found["witness"]["right"]

    @FEW
    @given(form=weights())
    def test_minorant_and_advice(self, form: Form) -> None:
        """Both running extremes by a loop over the oracle's grid, and both certified."""
        bound, found = judged(objective(form.text))
        inside = (bound.lam[0] <= LAM) & (bound.lam[-1] >= LAM)
        lam, w = LAM[inside], form.values[inside]
        below, above = w.tolist(), w.tolist()
        for index in range(1, len(w)):
            below[index] = min(below[index - 1], below[index])
            above[-1 - index] = max(above[-index], above[-1 - index])
        if found["minorant"] < 1:
            assert found["minorant"] == pytest.approx(np.trapezoid(below, lam) / np.trapezoid(w, lam), rel=2e-3)
        if found["advice"]:
            wanted = np.interp(found["advice"]["lam"], lam, np.array(above) / above[0])
            assert found["advice"]["w"] == pytest.approx(wanted, rel=2e-3)

    @FEW
    @given(form=weights(), path=st.sampled_from(["cosine", "polynomial:n=0.7", "polynomial:n=2"]))
    def test_another_path_walks_the_same_weight(self, form: Form, path: str) -> None:
        """A canonical weight is one function of lam: in another's time it is the same, where both paths reach."""
        ends = [objective(form.text, path=each) for each in ("linear", path)]
        lam = np.array([-4.0, 4.0])
        spans = [tuple(float(np.interp(each, subject.lam(T), T)) for each in lam) for subject in ends]
        found = [bounds.analyse(each.w, each.lam, span, POINTS) for each, span in zip(ends, spans, strict=True)]
        assume(not 1e-8 < slow(form, -4, 4)[0] < 1e-4)
        assert found[0].verdict == found[1].verdict
        if found[0].minorant and found[0].minorant < 1:
            assert found[0].minorant == pytest.approx(found[1].minorant, rel=2e-3)


T = np.linspace(1e-4, 1 - 1e-4, 200_001)


class TestWhatMustNotMatter:
    @FEW
    @given(form=weights(), scale=st.floats(-30, 30).map(lambda power: 2.0**power))
    def test_the_unit(self, form: Form, scale: float) -> None:
        one, many = objective(form.text), objective(f"{scale!r}*{form.text}")
        (bound, found), (scaled, same) = judged(one), judged(many)
        assert np.allclose(many.w(T[::1000]), scale * one.w(T[::1000]), rtol=1e-12)
        assert found["verdict"] == same["verdict"]
        assert scaled.minorant == pytest.approx(bound.minorant, rel=1e-6)
        # Where a weight levels off a rise has no sharp end, but its height has.
        heights = [
            [float(subject.w(np.array(rise.t))[1] / subject.w(np.array(rise.t))[0]) for rise in found_there.rises]
            for subject, found_there in ((one, bound), (many, scaled))
        ]
        assert heights[1] == pytest.approx(heights[0], rel=1e-6)
        if found["witness"]:
            assert same["witness"]["parameters"] == found["witness"]["parameters"]
            assert same["witness"]["margin"] == pytest.approx(found["witness"]["margin"], rel=1e-6)

    @FEW
    @given(
        form=weights(),
        a=st.floats(0.6, 3),
        b=st.floats(0.6, 3),
        scale=st.floats(0.01, 100),
        on=st.sampled_from(["velocity", "x1", "eps", "ce"]),
    )
    @pytest.mark.slow
    def test_moving_it_into_the_time_law(self, form: Form, a: float, b: float, scale: float, on: str) -> None:
        """Lemma 4.7: the beta density as a weight under uniform time, or as the law of time."""
        process = "masked" if on == "ce" else "gaussian"
        density = f"t**({a - 1!r})*(1 - t)**({b - 1!r})*{float(scale / special.beta(a, b))!r}"
        weight = objective(f"{density}*({form.text})", process, on=on)
        law = objective(form.text, process, time=f"beta:a={a!r},b={b!r}", on=on)
        curve = weight.w(T[::500]) / law.w(T[::500])
        np.testing.assert_allclose(curve, scale, rtol=1e-6)
        (one, found), (other, same) = judged(weight), judged(law)
        assert found["verdict"] == same["verdict"]
        assert one.minorant == pytest.approx(other.minorant, rel=1e-6)
        if found["witness"]:
            assert same["witness"]["margin"] == pytest.approx(found["witness"]["margin"], rel=1e-5)

    @FEW
    @given(a=st.floats(0.6, 3), b=st.floats(0.6, 3), power=st.floats(-0.4, 2))
    def test_the_law_that_replaces_a_weight(self, a: float, b: float, power: float) -> None:
        """t^p under Beta(a, b) is Beta(a + p, b), and K the ratio of beta functions."""
        subject = objective(f"t**({power!r})", time=f"beta:a={a!r},b={b!r}", on="velocity")
        law, _ = restatements.replacement(subject, mass(subject, (0.0, 1.0)), [], (0.0, 1.0))
        assert law["K"] == pytest.approx(special.beta(a + power, b) / special.beta(a, b), rel=1e-6)
        exact = stats.beta(a + power, b)
        np.testing.assert_allclose(law["density"], exact.pdf(law["t"]), rtol=1e-6)
        np.testing.assert_allclose(law["quantiles"]["t"], exact.ppf(law["quantiles"]["u"]), rtol=1e-6)


def hausdorff(y: np.ndarray) -> float:
    """Positive where y (L,) are the means of a certified weight: the least eigenvalue of the two Hankel matrices.

    The differences of y are the Bernstein moments of nu on [0, 1], up to an atom at 1.
    """
    tokens = len(y)
    parts = np.diff(y, prepend=0) / special.comb(tokens, np.arange(tokens))
    moment = np.array(
        [sum(special.comb(tokens - 1 - i, j - i) * parts[j] for j in range(i, tokens)) for i in range(tokens)]
    )
    half, odd = divmod(tokens - 1, 2)
    grid = np.add.outer(np.arange(half + 1), np.arange(half + 1))
    inner = grid[: half + odd, : half + odd]
    matrices = [moment[grid + odd], moment[inner + 1 - odd] - moment[inner + 2 - odd]]
    return min(float(np.linalg.eigvalsh(each)[0]) for each in matrices if each.size) / abs(y).max()


class TestMoments:
    @FEW
    @given(st.integers(1, 24), st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 10)), min_size=1, max_size=6))
    def test_whatever_is_certified_passes(self, tokens: int, steps: list[tuple[float, float]]) -> None:
        """The means of mixtures of steps, where scipy's beta law is the oracle."""
        k = np.arange(1, tokens + 1)
        y = sum(mass * stats.beta.sf(min(c, 0.9), k, tokens - k + 1) for c, mass in steps)
        assert time_agnostic.nearest(k, y, tokens).distance <= time_agnostic.TOLERANCE

    @FEW
    @given(
        st.integers(2, 6),
        st.lists(st.tuples(st.floats(0, 1.5), st.floats(-0.9, 1.5), st.floats(0.1, 1)), min_size=1, max_size=3),
    )
    def test_the_verdict_is_that_of_the_moment_problem(
        self, tokens: int, terms: list[tuple[float, float, float]]
    ) -> None:
        """Sums of m^a (1-m)^b, whose means are ratios of beta functions."""
        k = np.arange(1, tokens + 1)
        y = sum(
            share * np.exp(special.betaln(k + a, tokens - k + 1 + b) - special.betaln(k, tokens - k + 1))
            for a, b, share in terms
        )
        sign = hausdorff(y)
        distance = time_agnostic.nearest(k, y, tokens).distance
        assume(abs(sign) > 1e-7 and not 1e-8 < distance < 1e-5)
        assert (distance <= time_agnostic.TOLERANCE) == (sign > 0)
