"""Losses on a chain against each other: what counts as the same, under which law, and what a loss stresses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reproflow import judge
from reproflow.foundation.tables import Table, table
from reproflow.judge.levels.judgement import Asked, LevelsJudgement, levels_of
from reproflow.judge.levels.judgement import judge as judge_levels
from reproflow.judge.levels.schedule import Levels
from reproflow.judge.levels.weights import CHAINS

SIGMAS = np.array([0.1, 0.4, 1.0, 3.0, 9.0])


def levels(sigmas: np.ndarray = SIGMAS) -> Levels:
    return levels_of("gaussian", "linear", None, table("sigmas", sigmas), "sigmas")


def weights(*values: float) -> Table:
    return table("weights", values)


def against(one: tuple[float, ...], other: tuple[float, ...], sigmas: np.ndarray = SIGMAS) -> LevelsJudgement:
    return judge_levels(Asked(weights(*one)), levels(sigmas), Asked(weights(*other)))


class TestAgainst:
    @pytest.mark.parametrize(
        ("other", "verdict", "code"),
        [
            ((2, 4, 6, 8, 10), "same", 0),
            ((1, 2, 3, 4, 5.001), "different", 3),
            ((-1, -2, -3, -4, -5), "different", 3),
            ((1, 2, 0, 4, 5), "different", 3),
            ((1, 2, np.inf, 4, 5), "different", 3),
            ((0, 0, 0, 0, 0), "different", 3),
        ],
    )
    def test_level_by_level(self, other: tuple[float, ...], verdict: str, code: int) -> None:
        found = against((1, 2, 3, 4, 5), other)
        assert found.against is not None
        assert (found.against["verdict"], found.exit_code) == (verdict, code)

    def test_one_that_differs_on_a_level_keeps_the_factor_of_the_others(self) -> None:
        found = against((1, 1, 1, 1, 1), (3, 3, 3, 3, 300)).against
        assert found is not None
        assert found["factor"] == pytest.approx(3)
        assert found["difference"]["index"] == 4
        assert found["difference"]["relative"] == pytest.approx(99)

    def test_where_the_levels_are_no_chain_it_is_open(self) -> None:
        found = against((1, 1, 1), (1, 1, 1), np.array([0.1, 0.4, 0.4]))
        assert found.against is not None
        assert (found.against["verdict"], found.exit_code) == ("inconclusive", 5)
        assert "SNR at index 2 is that of index 1" in found.against["reason"]

    def test_digits_of_single_precision_are_no_difference(self) -> None:
        """1/3 of single precision is off by 1e-8 to 6e-8; the same numbers in double precision differ."""
        exact = np.arange(1, 6) / 3
        single = exact.astype(np.float32)
        for given, verdict in ((single, "same"), (single.astype(np.float64) * (1 + 1e-9), "different")):
            found = judge_levels(Asked(table("exact", exact)), levels(), Asked(table("other", given)))
            assert found.against is not None
            assert found.against["difference"]["relative"] > 1e-8
            assert found.against["verdict"] == verdict


@pytest.mark.parametrize(("admissible", "code"), [("refuted", 3), ("supported", 5)])
def test_what_is_refuted_is_not_hidden_by_what_is_open(admissible: str, code: int) -> None:
    found = judge_levels(Asked(weights(1, 2, 3, 4, 5)), levels())
    assert replace(found, admissible={"verdict": admissible}, bound={"verdict": "inconclusive"}).exit_code == code


class TestEquivalent:
    def equivalents(self, *values: float, drawn: Table | str = "uniform") -> list[tuple[str, str]]:
        found = judge_levels(Asked(weights(*values), time=drawn), levels())
        return [(each["weighting"], each["on"]) for each in found.equivalent]

    def test_a_constant_is_one(self) -> None:
        assert ("1", "eps") in self.equivalents(1, 1, 1, 1, 1)

    @pytest.mark.parametrize("values", [(-1, -1, -1, -1, -1), (1, 1, 1, 1, 1 + 1e-5), (1, 1, 1, 1, 0)])
    def test_what_is_none(self, values: tuple[float, ...]) -> None:
        assert self.equivalents(*values) == []

    def test_the_law_over_levels_is_that_of_the_loss(self) -> None:
        """1 on eps is 1 on eps however the levels are drawn."""
        drawn = table("drawn", (1, 2, 3, 4, 5))
        assert ("1", "eps") in self.equivalents(1, 1, 1, 1, 1, drawn=drawn)
        assert ("1", "eps") not in self.equivalents(*(1 / np.arange(1, 6)), drawn=drawn)


class TestLaw:
    def test_probabilities_need_not_add_up_to_one(self) -> None:
        """E[w] of the weight i under probabilities in proportion to 1, 1, 1, 1, 4: (1 + 2 + 3 + 4 + 20)/8."""
        found = judge_levels(Asked(weights(1, 2, 3, 4, 5), time=weights(1, 1, 1, 1, 4)), levels())
        assert found.admissible["mass"] == pytest.approx(30 / 8, rel=1e-12)
        assert found.replacement["K"] == pytest.approx(30 / 8, rel=1e-12)
        assert found.replacement["probability"] == pytest.approx(np.array([1, 2, 3, 4, 20]) / 30, rel=1e-12)

    @pytest.mark.parametrize("value", [(1, -1, 3, 4, 5), (1, np.inf, 3, 4, 5), (0, 0, 0, 0, 0)])
    def test_what_is_no_law_replaces_nothing(self, value: tuple[float, ...]) -> None:
        found = judge_levels(Asked(weights(*value)), levels())
        assert (found.replacement["K"], found.replacement["probability"]) == (None, None)


class TestStresses:
    def test_the_quartiles_of_the_loss_of_the_best_linear_denoiser(self) -> None:
        """By a plain loop: of N(0, 1) on x1 + sigma eps the error of x1 is 1/(1 + SNR), SNR = 1/sigma²."""
        drawn = np.array([1.0, 3.0, 2.0, 1.0, 5.0])
        each = [p * 2.0 * 1 / (1 + 1 / s**2) for p, s in zip(drawn, SIGMAS, strict=True)]
        below = np.cumsum(each) / sum(each)
        wanted = [next(i for i, share in enumerate(below) if share >= quarter) for quarter in (0.25, 0.5, 0.75)]
        found = judge_levels(Asked(weights(*[2.0] * 5), target="x1", time=table("drawn", drawn)), levels()).stresses
        assert found is not None
        assert found["index"] == wanted == [3, 4, 4]
        uniform = judge_levels(Asked(weights(*[2.0] * 5), target="x1"), levels()).stresses
        assert uniform is not None
        assert uniform["index"] != wanted

    def test_of_tokens_it_is_the_share_that_is_masked(self) -> None:
        """Masked shares 0.1, .., 1 under a constant weight: a quarter of 5.5 is passed at 0.1 + .. + 0.5 = 1.5."""
        shown = 1 - np.arange(1, 11) / 10
        found = judge.chain(np.ones(10), shown, "alphas_cumprod", process="masked").stresses
        assert found is not None
        assert found["index"] == [4, 6, 8]

    def test_a_loss_that_is_negative_somewhere_has_none(self) -> None:
        assert judge_levels(Asked(weights(1, -1, 3, 4, 5), target="x1"), levels()).stresses is None

    def test_data_of_another_scale(self) -> None:
        """The best linear denoiser of N(0, s²), by its normal equation: s² - (alpha s²)²/(alpha² s² + sigma²)."""
        for s in (0.5, 2.0):
            wanted = s**2 - s**4 / (s**2 + SIGMAS**2)
            np.testing.assert_allclose(CHAINS["gaussian"]().reference(levels(), s), wanted, rtol=1e-12)


def test_the_level_after_data_without_noise_has_no_weight() -> None:
    """Its posterior is a point: there is no term to be relative to, and a weight of 0 would be a fault of it."""
    found = judge.chain(np.ones(4), [0.0, 0.5, 1.0, 2.0], "sigmas", target="x1")
    assert found.canonical["w"][:2] == [None, None]
    assert all(each > 0 for each in found.canonical["w"][2:])
    assert found.bound["resolution"] == 2


def test_levels_that_are_never_drawn() -> None:
    """They have a weight of 0, but the one next to the data none: drawn or not, it belongs to no step of the chain."""
    drawn = table("drawn", (0, 1, 1, 0, 1))
    for asked in (Asked(weights(1, 1, 1, 1, 1), target="x1", time=drawn), Asked("elbo", "", drawn)):
        w = judge_levels(asked, levels()).canonical["w"]
        assert [each if each is None else each > 0 for each in w] == [None, True, True, False, True]
