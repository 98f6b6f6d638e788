"""What is held against tables of levels, and what no table has: names and findings without a judgement."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from measured_tables import linear_betas, of_betas, of_specs, quantiles, reading, table

from reproflow.auditing import naming
from reproflow.auditing.findings import Finding
from reproflow.auditing.measured_loss import MeasuredLoss, Times
from reproflow.auditing.naming import (
    carriers,
    coefficients,
    laws,
    level_findings,
    numbers,
    paths,
    targets,
    times,
    velocity,
)
from reproflow.auditing.naming.levels import levels_of
from reproflow.auditing.naming.paths import PathName, Relation
from reproflow.auditing.reading import LossForm

T = quantiles()
COSINE = np.sin(0.5 * np.pi * T), np.cos(0.5 * np.pi * T)


def ids(measured: MeasuredLoss, *known: str) -> list[str]:
    levels = levels_of(measured)
    path, slope = paths.name_path(levels), times.state_slope(levels)
    time, target = times.name_time(levels, path), targets.name_target(levels, path, slope)
    own = coefficients.own_divisor(levels)
    named = coefficients.name_coefficient(levels, levels.c, target.name, target.prediction, None, own)
    found = (
        *level_findings.findings(levels, path, time, target, named, known),
        *velocity.findings(levels, path, time, target, slope),
    )
    return [each.id for each in found]


def straight(a: object, b: object, given: object = T, c: object = 1.0) -> MeasuredLoss:
    """A loss on the linear path."""
    return table(T, 1 - T, a, b, c, T, given)


FOUND = {
    "flow matching": (of_specs("linear"), []),
    "no time": (of_specs("linear", given=lambda t, lam: np.nan * t), []),
    "a level of noise for the time": (of_specs("linear", given=lambda t, lam: lam), []),
    "the noise": (straight(0.0, 1.0), []),
    "the wrong sign in v": (table(*COSINE, COSINE[1], COSINE[0], 1.0, T, T), ["target-degenerate", "target-unnamed"]),
    "the input": (straight(T, 1 - T), ["target-empty"]),
    "the input at one level": (straight(T + (T - T[80]) / 2, 1 - T), ["target-degenerate", "target-unnamed"]),
    "a constant time": (straight(0.0, 1.0, 0.5), ["time-constant"]),
    "near": (straight(1.0, -0.99), ["target-near"]),
    "unnamed": (straight(1.0, -0.5), ["target-unnamed"]),
    "an epsilon in a division": (straight((1 - T) / (1.01 - T), -(1 - T) / (1.01 - T)), ["target-scaled"]),
    "another path": (table(T, (1 - T) ** 2, 0.0, 1.0, 1.0, T, T), ["path-unnamed"]),
    "a weight below nought": (straight(0.0, 1.0, c=1 - 1.05 * T), ["negative-weight"]),
    "v's divisor on eps": (
        of_betas(linear_betas(), "eps", lambda snr: np.minimum(snr, 5) / (snr + 1)),
        ["weight-conversion"],
    ),
    "the larger of the SNR and 5 on eps": (
        of_betas(linear_betas(), "eps", lambda snr: np.maximum(snr, 5) / (snr + 1)),
        [],
    ),
    "time reversed": (straight(1.0, -1.0, 1 - T), ["time-reversed"]),
    "time scaled": (straight(1.0, -1.0, 999 * T), ["time-scaled"]),
    "time shifted": (straight(1.0, -1.0, T / (3 - 2 * T)), ["time-shift"]),
    "straight on a bent path": (table(*COSINE, 1.0, -1.0, 1.0, T, T), ["not-velocity"]),
}


@pytest.mark.parametrize("name", FOUND)
def test_findings(name: str) -> None:
    measured, expected = FOUND[name]
    assert ids(measured) == expected


def test_the_scale_of_a_noise_of_another_law_settles_no_path() -> None:
    assert ids(FOUND["another path"][0], "noise-law") == []
    assert ids(FOUND["the input"][0], "noise-mismatch") == []


def test_data_of_another_range_are_standardised() -> None:
    """Of x1 in [0, 1] the state t (2 x1 - 1) + (1 - t) eps is the linear path."""
    measured = table(2 * T, 1 - T, 2.0, -1.0, 1.0, T, T)
    levels, plain = levels_of(measured, (0.0, 1.0)), levels_of(measured)
    assert plain.lam - levels.lam == pytest.approx(np.full(160, 2 * np.log(2)))
    path = paths.name_path(levels)
    assert path.name == "linear"
    assert paths.name_path(plain).name is None
    assert targets.name_target(levels, path, None).name == "x1 - eps"


def test_noise_of_the_other_sign_is_as_good() -> None:
    """And a state of the other sign."""
    for sign, noise in ((1, -1), (-1, 1), (-1, -1)):
        measured = table(sign * T, sign * noise * (1 - T), 1.0, -float(noise), 1.0, T, T)
        levels = levels_of(measured)
        assert targets.name_target(levels, paths.name_path(levels), None).name == "x1 - eps"


def test_x1_less_eps_is_the_velocity_of_straight_paths_alone() -> None:
    bent = levels_of(table(*COSINE, 1.0, -1.0, 1.0, T, T))
    assert targets.name_target(bent, paths.name_path(bent), None).prediction is None
    level = levels_of(straight(1.0, -1.0))
    assert targets.name_target(level, paths.name_path(level), None).prediction == "velocity"


def test_a_given_time_that_is_near_a_function_has_no_name() -> None:
    levels = levels_of(straight(0.0, 1.0, T + 0.01 * np.sin(6 * T)))
    assert times.name_time(levels, paths.name_path(levels)).name is None


def test_levels_are_all_kept_and_steps_lie_in_the_middle_of_their_mass() -> None:
    assert len(levels_of(of_specs("linear"))) == 160
    steps = levels_of(of_betas(linear_betas()))
    assert steps.cumulative == pytest.approx((np.arange(1000) + 0.5) / 1000)
    measured = of_betas(linear_betas())
    every = {name: getattr(measured, name)[::3] for name in ("given", "A", "B", "offset", "a", "b", "target_offset")}
    every |= {name: getattr(measured, name)[::3] for name in ("c", "law", "steps")}
    part = levels_of(replace(measured, **every, complete=False))
    assert part.places[1] == 1000
    assert part.cumulative == pytest.approx((np.arange(1000)[::3] + 0.5) / 1000)


def test_a_coefficient_that_is_off_by_a_hundredth_has_no_name() -> None:
    levels = levels_of(straight(0.0, 1.0, c=1 + 0.01 * np.sin(6 * T)))
    assert coefficients.name_coefficient(levels, levels.c, "eps", "eps", None).form is None


def test_a_soft_minimum_is_read_off_where_the_levels_end() -> None:
    """At an SNR of 32, where the plateau of 4 is not reached by a ninth."""
    t = 0.001 + 0.849 * T
    snr = (t / (1 - t)) ** 2
    levels = levels_of(table(t, 1 - t, 1.0, 0.0, 4 * snr / (snr + 4), T, t))
    assert coefficients.name_coefficient(levels, levels.c, "x1", "x1", None).form == "SNR*4/(SNR + 4)"


def test_a_states_own_paths_come_first() -> None:
    """The straight ones of A + B = 1, those that preserve the variance of A² + B² = 1; of another relation none is."""
    own = {}
    for relation in (Relation.LINEAR, Relation.VP, Relation.NONE):
        found = list(carriers.of(PathName(relation, None, 0.0)))
        own[relation] = [each.name for each in found if each.own]
        assert [each.name for each in found][: len(own[relation])] == own[relation]
    assert own == {
        Relation.LINEAR: [*carriers.STRAIGHT],
        Relation.VP: [*carriers.PRESERVING],
        Relation.NONE: [],
    }


def law_of(measured: MeasuredLoss) -> laws.LawName:
    levels = levels_of(measured)
    return laws.name_law(levels, paths.name_path(levels))


def test_a_law_that_is_off_by_a_thousandth_is_not_uniform() -> None:
    found = law_of(of_specs("linear", "expr:u**1.003"))
    assert "uniform" not in str(found.name)
    assert all(each.time != "uniform" for each in found.on_paths)


def test_a_law_that_stops_short_of_an_end_is_not_the_whole_one() -> None:
    assert law_of(of_specs("linear", "expr:0.999*u")).on_paths[0].time == "expr:0 + 0.999*u"


def test_a_logit_normal_law_is_said_with_mean_and_deviation() -> None:
    found = law_of(of_specs("linear", "logit_normal:mean=0.5,std=2"))
    assert found.name == "logit tau ~ N(0.5, 2²)"
    assert found.on_paths[0].time == "logit_normal:mean=0.5,std=2"


def test_an_exact_laws_error_is_no_distance_of_draws() -> None:
    exact = law_of(of_specs("linear")).as_dict()
    drawn = law_of(of_specs("linear", times=Times.DRAWN, draws=500)).as_dict()
    assert (exact["ks"], exact["n"]) == (None, None)
    assert exact["error"] < 1e-5
    assert (drawn["error"], drawn["n"]) == (None, 500)
    assert drawn["ks"] < 1e-5


def test_steps_that_are_not_equally_likely_are_not_uniform() -> None:
    law = np.linspace(1, 2, 1000)
    measured = replace(of_betas(linear_betas()), law=law / law.sum())
    assert law_of(measured).name == "1000 values, not equally likely"


def test_draws_with_a_gap_are_neither_uniform_nor_normal() -> None:
    """A tenth of the times is left out, of 20 000 draws."""
    rank = (np.arange(20000) + 0.5)[31::62] / 20000
    t = 0.9 * rank + 0.1 * (rank > 0.5)
    found = law_of(table(t, 1 - t, 1.0, -1.0, 1.0, rank, t, times=Times.DRAWN, draws=20000))
    assert "~" not in str(found.name)


@pytest.mark.parametrize(
    ("value", "said"), [(0.992063492, "0.99206"), (1.2000001, "1.2"), (0.0999, "0.0999"), (-3.0, "-3"), (0.0, "0")]
)
def test_numbers_are_the_shortest_that_they_are(value: float, said: str) -> None:
    assert numbers.text(value) == said


def test_lists_for_json_have_both_ends_and_no_infinity() -> None:
    at = numbers.thinned(1000)
    assert (len(at), at[0], at[-1]) == (numbers.SHOWN, 0, 999)
    assert numbers.plain([1.0, np.inf, np.nan]) == [1.0, None, None]


NO_WEIGHT = {
    **{
        id: {"findings": (Finding(id, "found"),)}
        for id in (
            "weight-sees-data",
            "weight-by-sample",
            "weight-neighbours",
            "weight-normalised",
            "more-noise",
            "offset-noise",
            "noise-law",
            "noise-mismatch",
        )
    },
    "coupled": {"coupled": True},
    "no square": {"form": LossForm("huber", "number")},
}


@pytest.mark.parametrize("case", NO_WEIGHT)
def test_what_is_no_weighted_regression_has_no_canonical_weight(case: str) -> None:
    """Names it has all the same."""
    steps = case == "coupled"
    measured = of_betas(linear_betas()) if steps else of_specs("linear")
    found = naming.identify(reading(measured, **NO_WEIGHT[case]))
    assert found.canonical is None
    assert found.judged is None
    assert found.path["name"] == ("VP" if steps else "linear")
    assert found.time["discrete"] == steps
