"""The canonical weight of a table of levels, the objectives that it may be, and its verdict."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
from measured_tables import cosine_betas, of_betas, of_specs, quantiles, reading, table

from reproflow.auditing import naming
from reproflow.auditing.identification import Identification
from reproflow.auditing.measured_loss import MeasuredLoss, Times
from reproflow.auditing.naming import candidates, density, verdict
from reproflow.auditing.naming.comparison import Comparison, compare
from reproflow.auditing.naming.density import Weight
from reproflow.auditing.naming.laws import normal_quantile
from reproflow.auditing.naming.levels import levels_of
from reproflow.theory.objective import Objective
from reproflow.theory.paths import get_path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

U = quantiles()
SIGMA = np.exp(-1.2 + 1.2 * normal_quantile(1 - U))
ROOT = np.sqrt(SIGMA**2 + 0.25)


def weight_of(measured: MeasuredLoss) -> Weight:
    return density.weight(levels_of(measured))


def against(measured: MeasuredLoss, weighting: str, on: str, path: str, time: str) -> Comparison:
    stated = Objective(get_path(path), get_time_law(time, fine=True), get_weighting(weighting, "gaussian", on))
    weight = weight_of(measured)
    found = compare(weight, stated.signature(torch.from_numpy(weight.lam)).numpy())
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("path", "time", "on", "target"),
    [
        ("linear", "uniform", "velocity", "velocity"),
        ("linear", "logit_normal", "velocity", "velocity"),
        ("cosine", "uniform", "eps", "eps"),
        ("vp", "u_squared", "x1", "x1"),
    ],
)
def test_the_weight_of_exact_quantiles_is_the_stated_one(path: str, time: str, on: str, target: str) -> None:
    found = against(of_specs(path, time, target), "expr:1", on, path, time)
    assert found.error_bulk < 1e-4
    assert found.excess < 1e-3


def test_rounded_levels_are_smoothed() -> None:
    """Rounding of 1e-3, which through neighbouring quantiles would make a density that is off by 2 %."""
    measured = of_specs("linear", noise=1e-3)
    assert against(measured, "expr:1", "velocity", "linear", "uniform").error_bulk < 8e-3
    other = of_specs("linear", "u_squared", noise=1e-3)
    assert against(other, "expr:1", "velocity", "linear", "uniform").error_bulk > 0.3


def drawn() -> MeasuredLoss:
    """Of 20 000 draws of a logit-normal law, every 62nd."""
    z = np.sort(np.random.default_rng(0).standard_normal(20000))[31::62]
    t, rank = 1 / (1 + np.exp(-z)), (np.arange(20000) + 0.5)[31::62] / 20000
    return table(t, 1 - t, 1.0, -1.0, 1.0, rank, t, times=Times.DRAWN, draws=20000)


def test_the_density_of_draws_is_known_to_a_few_percent() -> None:
    found = against(drawn(), "expr:1", "velocity", "linear", "logit_normal")
    assert found.error_bulk < 0.1
    weight = weight_of(drawn())
    assert np.median(weight.precision) > 0.02
    assert weight.rise is None
    assert verdict.by_values(weight) is None


def test_the_bulk_is_where_all_but_four_percent_of_the_draws_lie() -> None:
    weight = weight_of(of_specs("linear"))
    t = 1 / (1 + np.exp(-0.5 * weight.lam))
    assert np.array_equal(weight.bulk, (t > 0.02) & (t < 0.98))


@pytest.mark.parametrize("uneven", [False, True])
def test_the_weight_of_a_step_is_its_term_of_the_bound(uneven: bool) -> None:
    """2 pi c_x over the fall of the SNR from the level nearer to the data."""
    law = np.linspace(0.5, 1.5, 1000) / 1000 if uneven else np.full(1000, 1e-3)
    measured = replace(of_betas(cosine_betas(), "eps", noise=0.0), law=law)
    kept = np.cumprod(1 - cosine_betas())
    snr = kept / (1 - kept)
    expected = 2 * law[::-1][1:] * snr[1:] / (snr[:-1] - snr[1:])
    steps = density.chain(levels_of(measured))
    assert steps is not None
    assert steps.w[:-1] == pytest.approx(expected[::-1], rel=1e-6)
    assert np.isnan(steps.w[-1])


EDM = table(1.0 * np.ones(160), SIGMA, 1.0, 0.0, (SIGMA**2 + 0.25) / (0.5 * SIGMA) ** 2, U, SIGMA)
INNER = table(1 / ROOT, SIGMA / ROOT, 2 * SIGMA / ROOT, -0.5 / ROOT, 1.0, U, np.log(SIGMA) / 4)
TILTED = of_specs("linear", c=lambda t, lam: 1 + 0.3 * np.sin(5 * t))


def names(measured: MeasuredLoss, path: str | None = "linear") -> list[str]:
    weight = weight_of(measured)
    found = candidates.same_as(weight, path)
    assert all(each.comparison.error_bulk <= 3e-3 for each in found)
    return [each.name for each in found]


def test_edm_is_edm_and_the_one_made_monotone_another() -> None:
    """They agree on 96 % of the draws: the whole range ranks them."""
    assert names(EDM)[0] == "edm"
    weight = weight_of(EDM)
    made = candidates.same_as(replace(weight, w=np.maximum.accumulate(weight.w[::-1])[::-1]), "linear")
    assert [each.name for each in made][:2] == ["edm-monotone", "edm"]


def test_of_equals_a_published_objective_is_the_name() -> None:
    assert "(" not in names(of_specs("linear"))[0]


@pytest.mark.parametrize(
    ("measured", "name"),
    [
        (of_specs("vp"), "uniform (vp path, uniform time)"),
        (of_specs("linear", c=lambda t, lam: t**2), "t_squared (linear path, uniform time)"),
    ],
)
def test_registered_combinations_have_their_own_path(measured: MeasuredLoss, name: str) -> None:
    assert name in names(measured)


def test_a_weight_that_is_none_of_them_has_no_name() -> None:
    assert names(TILTED) == []
    assert names(of_specs("linear", c=lambda t, lam: 1 + 0.005 * (t > 0.6))) == []


@functools.cache
def identified(name: str) -> Identification:
    return naming.identify(reading({"edm": EDM, "inner": INNER, "tilted": TILTED}[name]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "by", "said", "code"),
    [("edm", "parts", "falsified", 3), ("inner", "parts", "falsified", 3), ("tilted", "table", "certified", 0)],
)
def test_what_is_judged_are_the_parts_where_they_have_the_weight(name: str, by: str, said: str, code: int) -> None:
    judged = identified(name).judged
    assert judged is not None
    assert judged["by"] == by
    assert judged["bound"]["verdict"] == said
    assert judged["exit_code"] == code


@pytest.mark.slow
@pytest.mark.parametrize(("rise", "said"), [(0.02, "falsified"), (0.002, "certified")])
def test_a_table_rises_where_it_rises_by_more_than_it_is_known_to(rise: float, said: str) -> None:
    weight = weight_of(of_specs("linear"))
    judged = verdict.by_values(replace(weight, w=1 + rise / (1 + np.exp(-weight.lam))))
    assert judged is not None
    assert judged["bound"]["verdict"] == said


def test_a_path_that_reaches_half_of_the_levels_is_not_compared() -> None:
    weight = weight_of(of_specs("linear"))
    assert compare(weight, np.where(weight.lam > 0, weight.w, np.nan)) is None
    found = compare(weight, weight.w * np.where(np.arange(len(weight.w)) == 5, 1.5, 1.0))
    assert found is not None
    assert found.error_range == pytest.approx(0.5)
    assert found.excess > 0.4
