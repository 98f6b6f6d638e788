"""The cascade's claims: that each control breaks what it says, by the size that theory gives it."""

from __future__ import annotations

import re

import pytest
import torch

from reproflow.claims.bounds import continuous, improved_bounds, weighted_sum
from reproflow.claims.errata.reduced_kl import reduced_kl
from reproflow.claims.policy import STATEMENT, Context
from reproflow.exact import gaussian_chain, masked_chain

CONTEXT = Context()
CHAINS = ["gaussian linear", "masked cosine"]


def parts(detail: str) -> dict[str, float]:
    """The numbers of a detail by what stands before them."""
    found = re.findall(r"(?:^|, |: )([A-Za-z][^,:;]*?) (-?\d[\d.e+-]*)", detail)
    return {name: float(value) for name, value in found}


def example(case: str):
    process, name = case.split()
    return masked_chain.example(name) if process == "masked" else gaussian_chain.example(name)


@pytest.mark.parametrize("case", CHAINS)
def test_a_decoder_without_the_law_of_the_data_loses_a_kl_and_stays_a_bound(case: str) -> None:
    chain = example(case)
    measured = improved_bounds.optimal_decoder(case, improved_bounds.NO_LAW, CONTEXT)
    flat = [given.log_softmax(0).nan_to_num(neginf=-1e300) for given in chain.given]
    lost = [
        float((z.exp() @ ((best.exp() * (best - other).nan_to_num()).sum(0))).item())
        for z, best, other in zip(chain.marginals[1:], chain.decoders[1:], flat[1:], strict=True)
    ]
    assert measured.statistic == pytest.approx(max(lost), rel=1e-6)
    assert parts(measured.detail)["L - log p at most"] < 1e-12


@pytest.mark.parametrize("case", CHAINS)
def test_the_prior_left_out_is_missing_in_the_stated_sum(case: str) -> None:
    measured = improved_bounds.optimal_decoder(case, improved_bounds.NO_PRIOR, CONTEXT)
    assert measured.statistic == pytest.approx(float(example(case).prior_terms.max()), rel=1e-6)


@pytest.mark.parametrize("case", CHAINS)
def test_the_posterior_given_x_adds_an_information_to_the_gain(case: str) -> None:
    measured = improved_bounds.improved_bounds(case, improved_bounds.GIVEN_X, CONTEXT)
    assert measured.statistic == pytest.approx(float(example(case).floors.max()), rel=1e-9)


@pytest.mark.parametrize("case", CHAINS)
def test_theorem_1_fails_for_single_x_where_it_holds_on_average(case: str) -> None:
    chain = example(case)
    steps = chain.bounds.diff(dim=0)
    assert improved_bounds.improved_bounds(case, STATEMENT, CONTEXT).statistic < 1e-12
    assert improved_bounds.improved_bounds(case, improved_bounds.PER_X, CONTEXT).statistic == pytest.approx(
        -float(steps.min())
    )


@pytest.mark.parametrize("case", CHAINS)
def test_each_control_of_st3_breaks_its_own_inequality(case: str) -> None:
    whole, further, no_prior = (
        parts(weighted_sum.data_model_kl(case, variant, CONTEXT).detail.partition("violation: ")[2])
        for variant in (STATEMENT, weighted_sum.NEXT, weighted_sum.NO_PRIOR)
    )
    assert set(whole) == {"KL over KL_i", "KL_i over PKL_i", "rise of PKL_i", "weighted"}
    assert [name for name in whole if further[name] > 1e-12] == ["KL_i over PKL_i"]
    assert [name for name in whole if no_prior[name] > 1e-12] == ["KL_i over PKL_i", "weighted"]


@pytest.mark.parametrize("case", ["gaussian edm", "gaussian min_snr", "masked simple"])
@pytest.mark.parametrize("variant", [weighted_sum.NEXT, weighted_sum.NO_PRIOR, weighted_sum.REVERSED])
def test_each_control_of_st5_breaks_sums_and_integrals(case: str, variant: str) -> None:
    gaps = parts(weighted_sum.weighted_sum(case, variant, CONTEXT).detail.partition("gaps: ")[2])
    assert gaps["sums"] > 1e-3
    assert gaps["integrals"] > 1e-3


def test_a_constant_weight_has_no_order_to_reverse() -> None:
    assert weighted_sum.REVERSED not in weighted_sum._controls("masked elbo")
    assert weighted_sum.REVERSED in weighted_sum._controls("masked iddpm")


def test_increments_add_up_and_the_running_minimum_is_the_largest_below() -> None:
    w = torch.tensor([0.5, 0.2, 0.4, 0.3, 0.9], dtype=torch.float64)
    assert torch.allclose(weighted_sum._increments(w).cumsum(0), w)
    assert weighted_sum._running_minimum(w).tolist() == [0.2, 0.2, 0.3, 0.3, 0.9]


def test_a_weight_that_is_not_monotone_has_a_negative_share() -> None:
    w = weighted_sum._weights("masked", "iddpm", "uniform")
    chain = masked_chain.example("cosine")
    assert weighted_sum._noised_gap(chain, w, STATEMENT) > 0.01
    assert weighted_sum._noised_gap(chain, weighted_sum._running_minimum(w), STATEMENT) < 1e-12


def test_a_distance_to_the_data_survives_an_exact_reversal_of_a_wrong_prior() -> None:
    model = weighted_sum._models("masked", "cosine")[2]
    assert float(model.improvements.abs().max()) < 1e-14
    assert float(model.data_kls[0]) > 1e-5


@pytest.mark.parametrize("form", ["printed", "corrected"])
def test_the_erratum_measures_the_kl_and_its_bound(form: str) -> None:
    measured = reduced_kl(form, CONTEXT)
    expected = 0.1654 if form == "printed" else 0.3747748 - 0.5489726
    assert measured.statistic == pytest.approx(expected, abs=1e-4)


def test_the_raw_loss_exceeds_the_path_kl_by_the_information() -> None:
    """I-MMSE: the integral of the least loss is I(x; z) between the ends."""
    path = continuous.forward_path("linear")
    ends = gaussian_chain.levels(path, 1, continuous.LAM_RANGE)
    gained = gaussian_chain.information(path, ends)
    raw, excess = (continuous._integral("linear", variant) for variant in (continuous.RAW, STATEMENT))
    assert raw - excess == pytest.approx(float(gained[0] - gained[1]), abs=1e-9)


def test_romberg_takes_out_whole_powers() -> None:
    assert continuous._romberg([1 + 3 * h - 5 * h**2 + h**3 for h in (1, 0.5, 0.25, 0.125)]) == pytest.approx(1)


def test_shown_tokens_and_a_single_order_count_in_the_masked_claim() -> None:
    gaps = {variant: continuous._schedule_gaps("linear", variant) for variant in (STATEMENT, continuous.SHOWN)}
    assert gaps[STATEMENT]["time"] < 1e-12 < 1 < gaps[continuous.SHOWN]["time"]
    order = continuous._limit_gaps(continuous.ORDER)
    assert order["log p"] > 0.1
    assert order["PKL"] < 1e-10
    assert continuous._limit_gaps(continuous.FINITE)["log p"] > 0.1
