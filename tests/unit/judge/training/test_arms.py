"""`check --train`: which objectives are trained alongside, and what is concluded from paired differences."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from judged_objectives import quick_objective
from scipy import stats
from sign_flip_oracle import two_sided

from reproflow.judge.objectives.numeric_objective import NumericObjective
from reproflow.judge.training.arms import Arm, Outcome, arms, told
from reproflow.theory.equivalence import equivalents
from reproflow.theory.objective import Objective


def equivalent(found: Objective) -> list[dict[str, Any]]:
    return [dict(vars(each)) for each in equivalents(found)]


class TestNeighbours:
    @pytest.mark.parametrize(
        ("given", "wanted"),
        [
            # Its own weight under another law of time differs in the noise of the gradient alone.
            (("expr:exp(-lam/2)", "gaussian", "linear", "logit_normal", "canonical"),
             [("same objective", "linear", "uniform"), ("elbo", "linear", "logit_normal"),
              ("usual", "linear", "logit_normal")]),
            # Flow matching is uniform time on the cosine path too.
            (("uniform",), [("same objective", "cosine", "uniform"), ("elbo", "linear", "uniform")]),
            # Nothing registered is the same as min-SNR.
            (("min_snr",), [("elbo", "linear", "uniform"), ("usual", "linear", "uniform")]),
            (("elbo",), [("usual", "linear", "uniform")]),
            (("fm", "masked", "cosine"),
             [("same objective", "cosine", "uniform"), ("elbo", "cosine", "uniform"), ("usual", "cosine", "uniform")]),
        ],
    )  # fmt: skip
    def test_roles(self, given: tuple[str, ...], wanted: list[tuple[str, str, str]]) -> None:
        found = quick_objective(*given).objective
        first, *others = arms(found, equivalent(found))
        assert (first.role, first.objective) == ("this", found)
        got = [(each.role, each.name[0], each.name[1]) for each in others]
        if given[0] == "elbo":  # the bound itself may be registered under other names too
            got = [each for each in got if each[0] != "same objective"]
        assert got == wanted

    def test_it_is_no_neighbour_of_itself(self) -> None:
        """The loss in other words is, though it comes later among the equivalent."""
        found = quick_objective("uniform").objective
        same = [{"path": "linear", "time": "uniform", "weighting": weighting} for weighting in ("uniform", "p2")]
        first, other = arms(found, same)[:2]
        assert (first.role, first.name[2]) == ("this", "uniform")
        assert (other.role, other.name[2]) == ("same objective", "p2")

    @pytest.mark.parametrize(
        "given", [("expr:exp(-lam/2)", "gaussian", "linear", "u_squared", "canonical"), ("uniform",)]
    )
    def test_the_same_objective_is_the_same(self, given: tuple[str, ...]) -> None:
        """Its canonical weight at twenty log-SNRs, over this one's, is one number."""
        found = quick_objective(*given).objective
        other = arms(found, equivalent(found))[1].objective
        lam = np.linspace(-4, 4, 20)
        ratio = [_w(NumericObjective(each), lam) for each in (found, other)]
        assert np.ptp(ratio[0] / ratio[1]) < 1e-6 * np.abs(ratio[0] / ratio[1]).max()


def _w(found: NumericObjective, lam: np.ndarray) -> np.ndarray:
    t = np.interp(lam, found.lam(np.linspace(1e-3, 1 - 1e-3, 200_001)), np.linspace(1e-3, 1 - 1e-3, 200_001))
    return np.interp(lam, found.lam(t), found.w(t))


class TestDifferences:
    def outcomes(self, *rows: list[float]) -> dict[str, Any]:
        names = ("this", "elbo", "usual")[: len(rows)]
        return told(
            [
                Arm(role, quick_objective(spec).objective)
                for role, spec in zip(names, ("min_snr", "elbo", "uniform"), strict=False)
            ],
            [Outcome({seed: v for seed, v in enumerate(row) if not math.isnan(v)}) for row in rows],
        )

    def test_eight_pairs_are_told_apart_by_sign_flips(self) -> None:
        """Against scipy's permutation test, and its paired t as the oracle beside it."""
        a = [1.0, 1.2, 0.9, 1.1, 1.05, 0.95, 1.15, 1.0]
        b = [1.3, 1.25, 1.2, 1.5, 1.1, 1.3, 1.4, 1.2]
        [found] = self.outcomes(a, b)["neighbours"]
        differences = np.subtract(a, b)
        flips = stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=10**6)
        assert found["p_adjusted"] == pytest.approx(flips.pvalue)
        assert found["p_holm"] == pytest.approx(stats.ttest_rel(a, b).pvalue, rel=1e-9)
        assert (found["verdict"], found["pairs"]) == ("better", 8)
        low, high = found["difference_interval"]
        assert low < differences.mean() < high <= 0
        assert found["detectable"] > 0

    def test_fewer_than_eight_pairs_have_no_interval(self) -> None:
        for rows in (([1.0, 2.0], [2.0, 3.0]), ([*[1.0] * 7, math.nan], [*[2.0] * 7, 1.0])):
            [found] = self.outcomes(*rows)["neighbours"]
            assert found["pairs"] == len(rows[0]) - len(rows[0]) // 8
            assert (found["difference_interval"], found["p_holm"], found["p_adjusted"]) == (None, None, None)
            assert found["difference"] == pytest.approx(-1)
            assert "fewer than 8 pairs of seeds, so no interval and no verdict" in found["reason"]
            json.dumps(found, allow_nan=False)

    def test_nothing_to_pair(self) -> None:
        [found] = self.outcomes([math.nan, 1.0], [1.0, math.nan])["neighbours"]
        assert (found["pairs"], found["difference"], found["verdict"]) == (0, None, "no result")

    def test_equal_to_the_last_digit(self) -> None:
        numbers = [float(i) for i in range(8)]
        [found] = self.outcomes(numbers, numbers)["neighbours"]
        assert found["verdict"] == "not separated"
        assert "equal in all 8 pairs" in found["reason"]

    def test_several_comparisons_are_corrected(self) -> None:
        """By closed testing over both neighbours; what one alone would separate need not be."""
        own = np.random.default_rng(3)
        a, b, c = own.normal(0, 1, 8), own.normal(1.1, 1, 8), own.normal(1.3, 1, 8)
        rows = self.outcomes(a.tolist(), b.tolist(), c.tolist())["neighbours"]
        wanted = two_sided(np.stack([a - b, a - c], axis=1))
        assert [row["p_adjusted"] for row in rows] == pytest.approx(wanted)
