"""The bound property, integrals with poles, and supports, against functions whose answer is known by construction."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import integrate, special

from reproflow.numerics.quadrature import integral
from reproflow.numerics.zero_sets import zero_sets
from reproflow.theory import bounds, time_law_gaps
from reproflow.theory.bounds import analyse
from reproflow.theory.times import get_time_law

Array = np.ndarray
LOW, HIGH = (math.log(t / (1 - t)) * 2 for t in bounds.DEFAULT_RANGE)
FEW = 20_001


def lam(t: Array) -> Array:
    """The log-SNR of the linear path."""
    return 2 * (np.log(t) - np.log1p(-t))


def of_lam(w: Callable[[Array], Array], points: int = FEW) -> bounds.Bound:
    """The verdict on a function of the log-SNR."""
    return analyse(lambda t: w(lam(t)), lam, points=points)


class Piecewise:
    """log w linear in lam between knots, with jumps at them: where it rises is known from slopes and jumps."""

    def __init__(self, seed: int, slopes: tuple[float, ...], jumps: tuple[float, ...]) -> None:
        draw = np.random.default_rng(seed)
        self.knots = np.concatenate([[LOW], np.sort(draw.uniform(LOW + 1, HIGH - 1, 6)), [HIGH]])
        self.slopes = draw.choice(slopes, 7)
        self.jumps = np.concatenate([draw.choice(jumps, 6), [0.0]])

    def __call__(self, at: Array) -> Array:
        piece = np.clip(np.searchsorted(self.knots, at, side="right") - 1, 0, 6)
        starts = np.concatenate([[0.0], np.cumsum(self.slopes * np.diff(self.knots) + self.jumps)[:-1]])
        return np.exp(starts[piece] + self.slopes[piece] * (at - self.knots[piece]))

    @property
    def rises(self) -> list[tuple[float, float]]:
        """Rising pieces and upward jumps, those that follow each other at once as one."""
        steps = [
            step
            for i in range(7)
            for step in ((self.knots[i], self.knots[i + 1], self.slopes[i]), (*[self.knots[i + 1]] * 2, self.jumps[i]))
            if step[2] or step[0] < step[1]
        ]
        groups = itertools.groupby(steps, lambda step: step[2] > 0)
        runs = [list(group) for up, group in groups if up]
        return [(run[0][0], run[-1][1]) for run in runs]


class TestVerdict:
    @pytest.mark.parametrize("seed", range(12))
    def test_what_rises_is_found_where_it_rises(self, seed: int) -> None:
        w = Piecewise(seed, (-1.0, -0.4, 0.0, 0.3, 0.8), (0.0, 0.0, -0.5, 0.4))
        found = of_lam(w)
        assert found.verdict == "not_representable"
        assert [rise.lam for rise in found.rises] == [pytest.approx(each, abs=1e-6) for each in w.rises]
        assert found.hull is not None
        assert found.hull.lam == pytest.approx((w.rises[0][0], w.rises[-1][1]), abs=1e-6)
        for rise in found.rises:
            assert lam(np.array(rise.t)) == pytest.approx(rise.lam, abs=1e-9)

    @pytest.mark.parametrize("seed", range(8))
    def test_what_never_rises_is_certified(self, seed: int) -> None:
        found = of_lam(Piecewise(seed, (-1.0, -0.4, -1e-3, 0.0), (0.0, -0.5, -3.0)))
        assert (found.verdict, found.rises, found.minorant) == ("certified", (), 1.0)

    @pytest.mark.parametrize("seed", range(4))
    def test_minorant_is_the_running_minimum(self, seed: int) -> None:
        w = Piecewise(seed, (-0.6, 0.4), (0.0, 0.3))
        at = np.linspace(LOW, HIGH, 2_000_001)
        values = w(at)
        share = integrate.trapezoid(np.minimum.accumulate(values), at) / integrate.trapezoid(values, at)
        assert of_lam(w).minorant == pytest.approx(share, rel=1e-4)

    def test_majorant_is_the_least_monotone_function_above(self) -> None:
        w = Piecewise(3, (-0.6, 0.4), (0.0, 0.3))
        found = of_lam(w)
        above = np.array([found.w[i:].max() for i in range(0, len(found.w), 997)])
        assert found.majorant[::997] == pytest.approx(above, rel=1e-12)
        assert of_lam(lambda at: np.interp(at, found.lam, found.majorant)).verdict == "certified"

    def test_smooth_extrema_are_located(self) -> None:
        """w = 2 + sin(lam) rises from -pi/2 + 2 pi k to pi/2 + 2 pi k.

        A turning point is known to the square root of w's rounding, which t = 1 - 1e-4 makes 1e-12.
        """
        found = of_lam(lambda at: 2 + np.sin(at))
        turns = [((4 * k - 1) * math.pi / 2, (4 * k + 1) * math.pi / 2) for k in range(-3, 4)]
        wanted = [(max(low, LOW), min(high, HIGH)) for low, high in turns]
        assert [rise.lam for rise in found.rises] == [pytest.approx(each, abs=3e-6) for each in wanted]

    @pytest.mark.parametrize(("amplitude", "verdict"), [(4e-7, "certified"), (6e-7, "not_representable")])
    def test_the_threshold_is_one_millionth(self, amplitude: float, verdict: str) -> None:
        """A wave of amplitude a rises by 2a above its running minimum."""
        assert of_lam(lambda at: 1 + amplitude * np.sin(at)).verdict == verdict

    def test_rounding_is_no_rise(self) -> None:
        """1 - tanh loses its digits by cancellation; the other has errors of 3e-6 that look like random numbers."""
        errors = np.random.default_rng(0).uniform(-3e-6, 3e-6, 1 << 16)
        assert of_lam(lambda at: 1 - np.tanh(at)).verdict == "certified"
        rough = analyse(lambda t: 1 + errors[t.view(np.int64) % (1 << 16)], lam, points=FEW)
        assert rough.verdict == "certified"
        step = analyse(lambda t: 1 + errors[t.view(np.int64) % (1 << 16)] + 1e-3 * (t > 0.4), lam, points=FEW)
        assert step.verdict == "not_representable"

    def test_single_times_do_not_count(self) -> None:
        for value in (0.0, 7.0, np.inf):
            at_one = analyse(lambda t, v=value: np.where(t == 0.5, v, 1.0), lam, points=FEW)
            assert at_one.verdict == "certified"

    def test_upward_step_has_both_its_sides(self) -> None:
        found = analyse(lambda t: np.where(t < 1 / 3, 1.0, 2.0), lam, points=FEW)
        assert found.hull is not None
        assert found.hull.t == pytest.approx((1 / 3, 1 / 3), abs=1e-12)
        assert "steps up" in found.reason

    def test_a_narrow_dip_is_found(self) -> None:
        found = analyse(lambda t: 1 - 0.5 * np.exp(-0.5 * ((t - 0.3771) / 5e-5) ** 2), lam)
        assert found.hull is not None
        assert found.hull.t[0] == pytest.approx(0.3771, abs=1e-7)

    @pytest.mark.parametrize(
        ("w", "word"),
        [
            (np.zeros_like, "zero objective"),
            (lambda t: 0.5 - t, "negative between t = 0.5"),
            (lambda t: np.where(t < 0.2, np.inf, 1.0), "infinite at t = 0.0001"),
            (lambda t: np.abs(t - 0.5) ** -0.5, "infinite at t = 0.5"),
        ],
    )
    def test_what_is_no_weight(self, w: Callable[[Array], Array], word: str) -> None:
        with np.errstate(divide="ignore"):
            found = analyse(w, lam, points=20_000 + 1)
        assert found.verdict == "not_representable"
        assert word in found.reason

    def test_the_resolution_is_kept(self) -> None:
        asked: list[Array] = []
        found = analyse(lambda t: (asked.append(t), np.ones_like(t))[1], lam)
        assert found.resolution >= 200_000
        times = np.unique(np.concatenate(asked))
        for axis in (times, lam(times)):
            assert np.diff(axis).max() <= 1.01 * (axis[-1] - axis[0]) / 100_000

    def test_the_range_is_kept(self) -> None:
        """w rises for t > 0.7 only."""
        for t_range, verdict in (((0.1, 0.7), "certified"), ((0.1, 0.75), "not_representable")):
            assert analyse(lambda t: np.abs(t - 0.7), lam, t_range, FEW).verdict == verdict


class TestIntegral:
    @pytest.mark.parametrize(
        ("f", "wanted"),
        [
            (lambda t: t**-0.5, 2.0),
            (lambda t: t**-0.98, 50.0),
            (lambda t: (1 - t) ** -0.9, 10.0),
            (lambda t: np.abs(t - 0.3) ** -0.5, 2 * (0.3**0.5 + 0.7**0.5)),
            (
                lambda t: np.abs(t - 0.3) ** -0.5 + np.abs(t - 0.7) ** -0.6,
                2 * (0.3**0.5 + 0.7**0.5) + (0.7**0.4 + 0.3**0.4) / 0.4,
            ),
            (lambda t: -np.log(t) * t**-0.5, 4.0),
            (lambda t: np.where(t > 0.3, 1.0, 0.0), 0.7),
            (lambda t: np.where(np.abs(t - 0.377) < 1e-3, 100.0, 1.0), 1.198),
            (lambda t: np.cos(0.5 * np.pi * t) ** -0.5, special.beta(0.5, 0.25) / np.pi),
            (lambda t: special.stdtr(3, t) * np.exp(-t), None),
        ],
    )
    def test_finite_ones(self, f: Callable[[Array], Array], wanted: float | None) -> None:
        if wanted is None:
            wanted = integrate.quad(f, 0, 1, epsabs=0, epsrel=1e-11)[0]
        found = integral(f)
        assert found.verdict == "finite"
        assert found.value == pytest.approx(wanted, rel=1e-6)

    @pytest.mark.parametrize(
        "f",
        [
            lambda t: 1 / t,
            lambda t: t / (1 - t),
            lambda t: (1 - t) ** -2,
            lambda t: 1 / np.abs(t - 0.3),
            lambda t: -np.log(t) / t,
            lambda t: 1 / np.cos(0.5 * np.pi * t),
            lambda t: np.exp(1 / t),
        ],
    )
    def test_infinite_ones(self, f: Callable[[Array], Array]) -> None:
        with np.errstate(over="ignore"):
            found = integral(f)
        assert (found.verdict, found.value) == ("infinite", np.inf)
        assert found.worst.exponent <= -1 + 1e-5

    @pytest.mark.parametrize("f", [lambda t: t**-0.995, lambda t: 1 / (t * np.log(t / 3) ** 2)])
    def test_what_a_ladder_cannot_tell(self, f: Callable[[Array], Array]) -> None:
        """The second has the integral 1/log 3, but its exponent is -1."""
        assert integral(f).verdict == "inconclusive"

    def test_part_of_the_line(self) -> None:
        assert integral(lambda t: 1 / t, 0.2, 0.7).value == pytest.approx(math.log(3.5), rel=1e-10)


class TestSupport:
    @pytest.mark.parametrize(
        ("spec", "wanted"),
        [
            ("uniform", []),
            ("mode", []),
            ("logit_normal:std=0.05", []),
            ("expr:1 - (1 - u)**0.1", []),
            ("expr:sigmoid(0.1*log(u/(1 - u)))", []),
            ("expr:0.5 + 0.5*u", [(0, 0.5)]),
            ("expr:clamp(u, 0.2, 0.8)", [(0, 0.2), (0.8, 1)]),
            (
                "expr:where(u < 0.25, u, where(u < 0.5, u + 0.1, u + 0.3))*0.75",
                [(0.1875, 0.2625), (0.45, 0.6), (0.975, 1)],
            ),
            ("expr:where(u < 0.5, 0.25, 0.75)", [(0, 1)]),
            ("expr:where(u < 0.3, u, u + 1e-6)/(1 + 1e-6)", [(0.3 / (1 + 1e-6), (0.3 + 1e-6) / (1 + 1e-6))]),
        ],
    )
    def test_gaps_of_laws(self, spec: str, wanted: list[tuple[float, float]]) -> None:
        assert list(time_law_gaps.gaps(get_time_law(spec))) == [pytest.approx(each, abs=1e-9) for each in wanted]

    @pytest.mark.parametrize(
        ("f", "wanted"),
        [
            (lambda t: np.maximum(t - 0.3, 0), [(1e-9, 0.3)]),
            (lambda t: np.where((t > 1 / 3) & (t < 0.4), 0.0, 1.0), [(1 / 3, 0.4)]),
            (lambda t: (t - 0.5) ** 2, []),
            (lambda t: np.exp(-((np.log(t) * 2) ** 2)), []),  # underflows below t = 1e-6
        ],
    )
    def test_zeros_of_functions(self, f: Callable[[Array], Array], wanted: list[tuple[float, float]]) -> None:
        t = np.concatenate([np.geomspace(1e-9, 1e-3, 50), np.linspace(1e-3, 0.999, 10001)[1:]])
        assert zero_sets(f, t).zero == [pytest.approx(each, abs=1e-12) for each in wanted]
