"""Equal objectives on one's own path and law: those of the registered component that is the same function.

Unit weight on the linear path's velocity is 1/(1-t)² on x1 under the same law; on the cosine path it is another
multiple of the same canonical weight, under uniform time.
"""

from __future__ import annotations

import pytest

from reproflow.theory.equivalence import Combination, equivalents
from reproflow.theory.objective import Objective
from reproflow.theory.own_equivalents import all_equivalents, own_equivalents
from reproflow.theory.paths import get_path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

LINE = "expr:t, 1-t"
SQUARE = "expr:u**2"
ON_X1 = "inv_one_minus_t_squared"


def objective(path: str, time: str) -> Objective:
    return Objective(get_path(path), get_time_law(time, fine=True), get_weighting("uniform"))


def names(found: list[Combination]) -> list[tuple[str, str, str]]:
    return [(each.path, each.time, each.weighting) for each in found]


def test_on_an_own_path() -> None:
    found = own_equivalents(objective(LINE, "uniform"))
    assert names(found) == [(LINE, "uniform", ON_X1)]
    assert found[0].factor == pytest.approx(1, rel=1e-9)


def test_under_an_own_law_on_registered_paths() -> None:
    assert names(own_equivalents(objective("linear", SQUARE))) == [("linear", SQUARE, ON_X1)]


def test_an_own_path_under_its_own_law_and_under_the_same_registered_one() -> None:
    found = names(own_equivalents(objective(LINE, SQUARE)))
    assert set(found) == {
        (LINE, SQUARE, ON_X1), (LINE, "u_squared", ON_X1), (LINE, "u_squared", "uniform"),
        ("linear", SQUARE, ON_X1), ("linear", SQUARE, "uniform"),
    }  # fmt: skip
    assert len(found) == 5


def test_what_is_registered_has_none_of_its_own() -> None:
    plain = objective("linear", "uniform")
    assert own_equivalents(plain) == []
    found = all_equivalents(plain)
    assert found == equivalents(plain)
    told = {(each.path, each.time, each.weighting): each.factor for each in found}
    assert told["any", "any", "fm"] == pytest.approx(1, rel=1e-9)
    # d(velocity) = (pi/2)/cos(pi t/2) d(x1) against 1/(1-t): the same power of the SNR, pi/2 times as much.
    assert told["cosine", "uniform", "uniform"] == pytest.approx(1.5707963267948966, rel=1e-9)
    assert told["linear", "uniform", ON_X1] == pytest.approx(1, rel=1e-9)
    assert ("linear", "uniform", "uniform") not in told
    assert ("linear", "u_squared", "uniform") not in told
