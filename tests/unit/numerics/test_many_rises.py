"""Many rises: as many as the phase of a sine goes through, located, and at a cost that does not grow with them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from reproflow.numerics import monotonicity
from reproflow.theory import bounds

Function = Callable[[np.ndarray], np.ndarray]

LOW, HIGH = bounds.DEFAULT_RANGE
GRID = np.linspace(LOW, HIGH, 100_101)

PHASES: dict[str, Function] = {
    "300000 t": lambda t: 3e5 * t,
    "200000 t": lambda t: 2e5 * t,
    "30000 t": lambda t: 3e4 * t,
    "2500 t": lambda t: 2.5e3 * t,
    "37 t": lambda t: 37 * t,
    "20000 t²": lambda t: 2e4 * t**2,
    "5000 sqrt t": lambda t: 5e3 * np.sqrt(t),
    "300 log t": lambda t: 300 * np.log(t),
    "9000 exp t": lambda t: 9e3 * np.exp(t),
    "1/(t + 0.01)": lambda t: -20 / (t + 0.01),
    "tan": lambda t: 500 * np.tan(1.5 * t),
}


class Counted:
    """A function that counts how often it is called, and with how many times in all."""

    def __init__(self, f: Function) -> None:
        self.f, self.calls, self.asked = f, 0, 0

    def __call__(self, t: np.ndarray) -> np.ndarray:
        self.calls += 1
        self.asked += t.size
        return self.f(t)


def rising_stretches(phase: Function) -> list[tuple[float, float]]:
    """From -pi/2 + 2 pi k to pi/2 + 2 pi k in the phase, those that the range meets, cut to it."""
    first, last = (float(phase(np.array([end]))[0]) for end in (LOW, HIGH))
    k = np.arange(math.floor(first / (2 * math.pi)) - 1, math.ceil(last / (2 * math.pi)) + 2)
    low, high = 2 * math.pi * k - 0.5 * math.pi, 2 * math.pi * k + 0.5 * math.pi
    meets = (high > first) & (low < last)
    return list(zip(np.maximum(low, first)[meets], np.minimum(high, last)[meets], strict=True))


@pytest.mark.parametrize("name", PHASES)
def test_as_many_as_the_phase_goes_through(name: str) -> None:
    phase = PHASES[name]
    f = Counted(lambda t: 2 + np.sin(phase(t)))
    found = monotonicity.rises(f, monotonicity.sample(f, GRID))
    wanted = rising_stretches(phase)
    # One that the range cuts to less than a step of the grid may be missed at either end.
    assert abs(len(found) - len(wanted)) <= 2
    assert len(found) == pytest.approx(len(wanted), rel=2e-4, abs=0.5)
    assert f.calls < 60
    if len(found) <= monotonicity.MANY:
        inner = np.array(found)[1:-1]
        values = f.f(inner.ravel()).reshape(-1, 2)
        assert np.abs(values - [1, 3]).max() < 1e-9


def test_the_cost_does_not_grow_with_the_rises() -> None:
    """As many calls for forty thousand as for none, and at most a constant times the grid in all."""
    many, none = Counted(lambda t: 2 + np.sin(3e5 * t)), Counted(lambda t: 2 - t)
    for f in (many, none):
        monotonicity.rises(f, monotonicity.sample(f, GRID))
    assert many.calls <= none.calls + 2
    assert many.asked < 3 * len(GRID)


def test_pieces_below_the_threshold_do_not_count() -> None:
    """The control: as many wiggles, each of a hundred-millionth."""
    f = Counted(lambda t: 2 - t + 1e-8 * np.sin(3e5 * t))
    assert monotonicity.rises(f, monotonicity.sample(f, GRID)) == []


@pytest.mark.parametrize(
    ("frequency", "more"), [(3e5, True), (2.5e5, True), (3e4, False), (200.0, False), (3.0, False)]
)
@pytest.mark.default_cases(2)
def test_whether_there_may_be_more_than_the_times_show(frequency: float, more: bool) -> None:
    lam = lambda t: 2 * (np.log(t) - np.log1p(-t))  # noqa: E731
    found = bounds.analyse(lambda t: 2 + np.sin(frequency * t), lam)
    assert found.verdict == "not_representable"
    assert ("or more" in found.reason) == more
    stretches = rising_stretches(lambda t: frequency * t)
    assert len(found.rises) == pytest.approx(len(stretches), rel=1e-3, abs=1)


def test_stairs_that_step_up_are_all_counted() -> None:
    found = bounds.analyse(lambda t: 1 + np.floor(750 * t), lambda t: 2 * (np.log(t) - np.log1p(-t)))
    assert len(found.rises) == 749
    assert "or more" not in found.reason


@pytest.mark.parametrize("scale", [1.0, 1e-250, 1e-299, 1e-304, 1e-306, 1e-308])
@pytest.mark.parametrize(
    ("w", "certified"),
    [
        (lambda t: 2 + np.sin(20 * t), False),
        (lambda t: 1 + (t > 0.4), False),
        (lambda t: 3 - 2 * t + 0.5 * np.cos(60 * t), False),
        (lambda t: 2 - t, True),
        (lambda t: np.exp(-3 * t), True),
        (np.ones_like, True),
    ],
)
@pytest.mark.default_cases(9)
def test_a_small_weight_is_judged_like_a_large_one(scale: float, w: Function, certified: bool) -> None:
    lam = lambda t: 2 * (np.log(t) - np.log1p(-t))  # noqa: E731
    found = bounds.analyse(lambda t: scale * w(t), lam, points=4001)
    whole = bounds.analyse(w, lam, points=4001)
    assert found.verdict == whole.verdict == ("certified" if certified else "not_representable")
    assert np.array([each.t for each in found.rises]) == pytest.approx(
        np.array([each.t for each in whole.rises]), abs=1e-6
    )


def test_a_weight_of_the_least_numbers_is_inconclusive() -> None:
    """Where float64 has a digit or two; and a rise that is seen there is one all the same."""
    lam = lambda t: 2 * (np.log(t) - np.log1p(-t))  # noqa: E731
    assert bounds.analyse(lambda t: 1e-320 * (2 - t), lam, points=4001).verdict == "inconclusive"
    assert bounds.analyse(lambda t: 1e-319 * (1 + (t > 0.4)), lam, points=4001).verdict == "not_representable"
    tail = bounds.analyse(lambda t: np.where(t < 0.5, 1, 1e-305 * (2 + np.sin(100 * t))), lam)
    assert tail.verdict == "not_representable"
