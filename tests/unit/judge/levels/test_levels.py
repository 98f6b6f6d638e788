"""Tables of weights judged on their own levels, against answers worked out by hand or by plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reproflow import judge
from reproflow.foundation.errors import UsageError
from reproflow.foundation.tables import table
from reproflow.judge.levels.judgement import Asked, LevelsJudgement, levels_of
from reproflow.judge.levels.judgement import judge as judge_levels

T = 1000
BETAS = np.linspace(1e-4, 0.02, T)
KEPT = np.cumprod(1 - BETAS)
SNR = KEPT / (1 - KEPT)


def rescaled() -> np.ndarray:
    """Betas of the same schedule with no data left at its end: sqrt(alphas_cumprod) shifted and scaled."""
    root = np.sqrt(KEPT)
    kept = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
    return 1 - kept / np.concatenate([[1.0], kept[:-1]])


def elbo(schedule: np.ndarray = BETAS) -> np.ndarray:
    """The weight on x1 whose w is 1: N/2 times the fall of the SNR; the first level has that of the next."""
    kept = np.cumprod(1 - schedule)
    snr = kept / (1 - kept)
    return 0.5 * len(snr) * np.concatenate([[snr[0] - snr[1]], -np.diff(snr)])


def verdicts(found: LevelsJudgement) -> tuple[str, str, str]:
    return found.admissible["verdict"], found.identified["verdict"], found.bound["verdict"]


class TestKnownAnswers:
    def test_the_simple_loss_on_linear_betas(self) -> None:
        """w_i = 2/(T (SNR_{i-1}/SNR_i - 1)), in a plain loop, rises from the noise to the middle, and falls."""
        w = [2 / T / (SNR[i - 1] / SNR[i] - 1) for i in range(1, T)]
        top = 1 + max(range(T - 1), key=w.__getitem__)
        found = judge.chain(np.ones(T), BETAS)
        assert verdicts(found) == ("supported", "supported", "not_representable")
        assert found.canonical["w"][1:] == pytest.approx(w, rel=1e-9)
        assert found.bound["violation"]["levels"] == [T - 1, top] == [999, 349]
        assert found.bound["violation"]["steps"] == T - 1 - top
        assert "over 650 of 998 steps" in found.bound["reason"]
        assert {"weighting": "1", "on": "eps", "factor": 1.0} in found.equivalent
        assert found.exit_code == 3

    def test_min_snr_as_a_table(self) -> None:
        found = judge.chain(np.minimum(SNR, 5) / SNR, BETAS)
        assert [each["weighting"] for each in found.equivalent] == ["min_snr"]
        assert found.equivalent[0]["factor"] == pytest.approx(1, rel=1e-9)
        assert found.bound["violation"]["levels"] == [999, 349]
        assert judge.chain(np.minimum(SNR, 4) / SNR, BETAS).equivalent == []

    def test_no_data_left_at_the_end(self) -> None:
        """1 on v is sound there; 1 on eps trains nothing at the last level, and that level is named."""
        on_v = judge.chain(np.ones(T), rescaled(), target="v")
        assert verdicts(on_v) == ("supported", "supported", "certified")
        kept = np.cumprod(1 - rescaled())
        assert on_v.canonical["lam"][-1] == "-inf"
        assert on_v.canonical["w"][-1] == pytest.approx(2 / T * (1 - kept[-2]) / kept[-2], rel=1e-9)
        on_eps = judge.chain(np.ones(T), rescaled(), target="eps")
        assert on_eps.identified["levels"] == [T - 1]
        assert "index 999" in on_eps.identified["reason"]
        assert on_eps.canonical["w"][-1] == 0
        assert on_eps.bound["violation"]["levels"][0] == T - 1

    def test_one_on_v_written_for_another_prediction_is_exactly_that(self) -> None:
        """1/alpha² on eps and 1/sigma² on x1 are 1 on v on a variance preserving chain, on its own levels."""
        for on, value in (("eps", 1 / KEPT), ("x1", 1 / (1 - KEPT))):
            found = judge.chain(value, BETAS, target=on)
            assert verdicts(found) == ("supported", "supported", "certified")
            assert [(each["weighting"], each["on"]) for each in found.equivalent] == [("1", "v")]
            assert found.targets["v"] == pytest.approx(np.ones(T), rel=1e-9)

    def test_a_geometric_schedule_makes_one_on_eps_the_elbo(self) -> None:
        """sigma_i = r^i: every step of lam is 2 log r, so w = 2/(N (r² - 1)) on every level."""
        found = judge.chain(np.ones(8), 0.01 * 2.0 ** np.arange(8), "sigmas")
        assert verdicts(found) == ("supported", "supported", "certified")
        assert found.canonical["w"][1:] == pytest.approx(np.full(7, 2 / 8 / 3), rel=1e-12)
        assert ("elbo", "canonical") in [(each["weighting"], each["on"]) for each in found.equivalent]

    def test_sigmas_from_noise_to_data_are_the_same_chain_counted_backwards(self) -> None:
        sigmas, value = np.array([0.1, 0.5, 2.0, 9.0]), np.array([1.0, 4.0, 2.0, 3.0])
        up, down = judge.chain(value, sigmas, "sigmas"), judge.chain(value[::-1], sigmas[::-1], "sigmas")
        assert up.canonical["w"] == down.canonical["w"]
        assert down.canonical["index"] == [3, 2, 1, 0]
        assert up.bound["violation"]["levels"] == [3 - end for end in down.bound["violation"]["levels"]]

    def test_masking_at_even_rates(self) -> None:
        """alpha_i = 1 - i/N and 1 on the cross-entropy: w_i = (1/N) (i/N)/(1/N) = i/N, falling towards the data."""
        shown = 1 - np.arange(1, 11) / 10
        found = judge.chain(np.ones(10), shown, "alphas_cumprod", process="masked")
        assert found.canonical["w"][1:] == pytest.approx(np.arange(2, 11) / 10, rel=1e-12)
        assert verdicts(found) == ("supported", "supported", "certified")
        level = judge.chain(10 / np.arange(1, 11), shown, "alphas_cumprod", process="masked")
        assert level.canonical["w"][1:] == pytest.approx(np.ones(9), rel=1e-12)
        rising = judge.chain(np.arange(1, 11.0) ** -2, shown, "alphas_cumprod", process="masked")
        assert rising.bound["violation"]["levels"] == [9, 1]

    def test_levels_of_a_path(self) -> None:
        """t = 1 - (i+1)/N; on the linear path SNR = (t/(1-t))², worked out level by level."""
        t = 1 - np.arange(1, 6) / 5
        snr = (t / (1 - t)) ** 2
        expected = [2 / 5 / (1 - t[i]) ** 2 / (snr[i - 1] - snr[i]) for i in range(1, 5)]
        found = judge.chain("uniform", path="linear", levels=5)
        assert found.target == "velocity"
        assert found.canonical["w"][1:] == pytest.approx(expected, rel=1e-12)

    def test_flow_matching_in_sigmas(self) -> None:
        """1 on x1 - eps is 1/sigma² on x1."""
        sigmas = np.array([0.1, 0.3, 0.7, 1.0])
        one = judge.chain(np.ones(4), sigmas, "flow_sigmas", target="velocity")
        assert one.targets["x1"] == pytest.approx(sigmas**-2, rel=1e-12)
        assert ("1", "velocity") in [(each["weighting"], each["on"]) for each in one.equivalent]


class TestFaultsOfOneLevel:
    def test_zero_next_to_the_data_is_a_level(self) -> None:
        value = elbo()
        value[0] = 0
        found = judge.chain(value, BETAS, target="x1")
        assert verdicts(found) == ("refuted", "refuted", "certified")
        assert found.identified["levels"] == [0]
        assert "zero at index 0" in found.identified["reason"]

    def test_zero_in_the_middle(self) -> None:
        value = elbo()
        value[500] = 0
        found = judge.chain(value, BETAS, target="x1")
        assert found.identified["levels"] == [500]
        assert found.bound["violation"]["levels"] == [500, 499]
        advice = found.bound["advice"]
        assert [i for i, factor in zip(advice["index"], advice["factor"], strict=True) if factor == "inf"] == [500]

    def test_a_jump_between_two_levels(self) -> None:
        towards_data, towards_noise = elbo(), elbo()
        towards_data[:500] *= 2
        towards_noise[500:] *= 2
        found = judge.chain(towards_data, BETAS, target="x1")
        assert found.bound["violation"]["levels"] == [500, 499]
        assert found.bound["violation"]["steps"] == 1
        assert found.bound["violation"]["w"] == pytest.approx([1, 2], rel=1e-9)
        assert judge.chain(towards_noise, BETAS, target="x1").bound["verdict"] == "certified"

    def test_the_minorant_is_the_share_under_the_running_minimum(self) -> None:
        value = elbo()
        value[:500] *= 2
        lam = np.log(SNR)
        whole = 2 * (lam[0] - lam[499]) + (lam[499] - lam[-1])
        assert judge.chain(value, BETAS, target="x1").bound["minorant"] == pytest.approx((lam[0] - lam[-1]) / whole)

    def test_advice_certifies(self) -> None:
        found = judge.chain(np.ones(T), BETAS)
        factor = np.ones(T)
        factor[found.bound["advice"]["index"]] = found.bound["advice"]["factor"]
        assert judge.chain(factor, BETAS).bound["verdict"] == "certified"
        assert (factor >= 1).all()

    def test_negative_and_infinite_weights(self) -> None:
        value = elbo()
        value[7] = -1
        found = judge.chain(value, BETAS, target="x1")
        assert verdicts(found) == ("refuted", "refuted", "not_representable")
        assert "negative at index 7" in found.bound["reason"]
        value[7] = math.inf
        found = judge.chain(value, BETAS, target="x1")
        assert (found.admissible["mass"], found.bound["verdict"]) == ("inf", "not_representable")

    def test_a_level_that_is_never_drawn(self) -> None:
        drawn = np.ones(T)
        drawn[300:310] = 0
        levels = levels_of("gaussian", "linear", None, table("betas", BETAS), "betas")
        found = judge_levels(Asked("elbo", "", table("drawn", drawn)), levels)
        assert found.identified["levels"] == list(range(300, 310))
        assert "index 300-309 never drawn" in found.admissible["reason"]

    def test_rises_within_single_precision_are_inconclusive(self) -> None:
        """Weights that are level in double precision, on levels in single precision; the control rises indeed."""
        value, single = elbo(), KEPT.astype(np.float32)
        assert judge.chain(value, KEPT, "alphas_cumprod", target="x1").bound["verdict"] == "certified"
        found = judge.chain(value, single, "alphas_cumprod", target="x1")
        assert found.bound["verdict"] == "inconclusive"
        assert found.exit_code == 5
        value[:500] *= 2
        assert judge.chain(value, single, "alphas_cumprod", target="x1").bound["verdict"] == "not_representable"


class TestNoChain:
    @pytest.mark.parametrize(
        ("schedule", "of", "words"),
        [
            ([0.9, 0.5, 0.5, 0.1], "alphas_cumprod", "index 2 is that of index 1"),
            ([0.9, 0.4, 0.5, 0.1], "alphas_cumprod", "index 2 does not fall from index 1"),
        ],
    )
    def test_an_snr_that_does_not_fall(self, schedule: list[float], of: str, words: str) -> None:
        found = judge.chain(np.ones(4), schedule, of)
        assert verdicts(found) == ("refuted", "refuted", "not_representable")
        assert words in found.bound["reason"]

    @pytest.mark.parametrize(
        ("value", "schedule", "of", "target", "words"),
        [
            (np.ones(3), KEPT[:4], "alphas_cumprod", "", "3 numbers for 4 levels"),
            ([1, math.nan], KEPT[:2], "alphas_cumprod", "", "NaN at index 1"),
            (np.ones(2), [0.1, 1.2], "betas", "", "1.2 at index 1"),
            (np.ones(2), [0.1, -1], "sigmas", "", "-1 at index 1"),
            (np.ones(2), [0.5, 0.1], "beta", "", "did you mean 'betas'"),
            (np.ones(2), [0.5], "sigmas", "", "one level"),
            (np.ones((2, 2)), [0.5, 0.1], "sigmas", "", "shape (2, 2)"),
            (["a", "b"], [0.5, 0.1], "sigmas", "", "no real numbers"),
            (np.ones(2), [0.5, 0.1], "sigmas", "velocity", "has no velocity"),
            ([1, math.inf], [0.5, 0.0], "alphas_cumprod", "eps", "index 1"),
        ],
    )
    def test_what_is_no_table(self, value: object, schedule: object, of: str, target: str, words: str) -> None:
        with pytest.raises(UsageError, match=words.replace("(", r"\(").replace(")", r"\)")):
            judge.chain(value, schedule, of, target=target)
