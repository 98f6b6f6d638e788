"""Is a table of levels the stated objective? Where it is, where it is not, and what explains the difference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from measured_tables import linear_betas, of_betas, of_specs

from reproflow.auditing.expected import Expected
from reproflow.auditing.measured_loss import MeasuredLoss
from reproflow.auditing.naming import density, expectation
from reproflow.auditing.naming.levels import levels_of

FLOW = Expected("uniform", path="linear")
NOISE = Expected("expr:1", on="eps", path="vp")


def compared(measured: MeasuredLoss, stated: Expected) -> tuple[dict[str, Any], list[str]]:
    levels = levels_of(measured)
    facts, found = expectation.compared(density.weight(levels), stated, levels)
    return facts, [each.id for each in found]


@pytest.mark.parametrize(
    ("measured", "stated"),
    [
        (of_specs("linear"), FLOW),
        (of_specs("linear", c=lambda t, lam: 7.0), FLOW),
        (of_specs("linear", "logit_normal"), replace(FLOW, time="logit_normal")),
        (of_betas(linear_betas()), NOISE),
    ],
    ids=["flow", "another factor", "another law", "steps"],
)
def test_the_stated_objective(measured: MeasuredLoss, stated: Expected) -> None:
    facts, found = compared(measured, stated)
    assert (facts["verdict"], found) == ("same", [])


def test_a_factor_is_told() -> None:
    one, seven = (compared(of_specs("linear", c=lambda t, lam: f), FLOW)[0] for f in (1.0, 7.0))  # noqa: B023
    assert seven["factor"] / one["factor"] == pytest.approx(7, rel=1e-4)


OTHERS = {
    "a weight twice as large at one end": (of_specs("linear", c=lambda t, lam: 1 + (t > 0.985)), FLOW),
    "a weight that is off by two per cent": (of_specs("linear", c=lambda t, lam: 1 + 0.02 * np.sin(6 * t)), FLOW),
    "another law": (of_specs("linear"), replace(FLOW, time="logit_normal")),
    "times that leave out a fifth": (of_specs("linear", "expr:0.2 + 0.8*u", c=lambda t, lam: 1.0), FLOW),
    "steps with another coefficient": (of_betas(linear_betas(), c=lambda snr: 1 + 0.2 * np.tanh(np.log(snr))), NOISE),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_objective_is_found(name: str) -> None:
    facts, found = compared(*OTHERS[name])
    assert (facts["verdict"], found) == ("different", ["not-as-stated"])


def test_steps_that_are_drawn_unevenly_are_another_objective() -> None:
    law = np.linspace(0.5, 1.5, 1000) / 1000
    facts, found = compared(replace(of_betas(linear_betas()), law=law), NOISE)
    assert (facts["verdict"], found) == ("different", ["not-as-stated"])


def test_the_ratio_is_told_from_the_noise_to_the_data() -> None:
    """c = 1/(t + 0.1) on the velocity: eleven at the noise end for one at the data end."""
    facts, _ = compared(of_specs("linear", c=lambda t, lam: 1 / (t + 0.1)), FLOW)
    ratio = facts["ratio"]
    assert ratio["noise"] / ratio["data"] == pytest.approx(11, rel=0.05)
    assert ratio["middle"] / ratio["data"] == pytest.approx(1.1 / 0.6, rel=0.05)
    assert facts["worst"]["ratio"] == pytest.approx(ratio["noise"], rel=1e-3)
    assert facts["worst"]["lam"] < -10


def test_data_of_another_scale_are_what_explains_it() -> None:
    """Data in [0, 1] of which nothing was said."""
    measured = of_specs("linear", "logit_normal")
    measured = replace(measured, A=0.5 * measured.A, a=0.5 * measured.a)
    facts, found = compared(measured, replace(FLOW, time="logit_normal"))
    assert found == ["not-as-stated"]
    assert "with data of 2 times that scale they agree: is --data right?" in facts["reason"]
    other, _ = compared(OTHERS["another law"][0], OTHERS["another law"][1])
    assert "--data" not in other["reason"]


def test_what_cannot_be_compared_is_said_and_not_held_against_it() -> None:
    for facts, found in (
        expectation.compared(None, FLOW),
        compared(of_specs("linear"), Expected("expr:1", on="eps", path="ve:low=0.5,high=2")),
    ):
        assert (facts["verdict"], list(found)) == ("cannot", [])
        assert facts["reason"]
