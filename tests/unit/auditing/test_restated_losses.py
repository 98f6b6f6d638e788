"""Losses of real data restated in plain torch, audited with nothing told: what comes out is what is written in them.

A few of each kind run by default, all of them with `-m slow`.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

import numpy as np
import pytest
import torch
from losses.stated import BATCH, CATALOGUE, SHAPE, Stated

from reproflow.auditing.audit import Audit, audit
from reproflow.auditing.continuous import instrument
from reproflow.auditing.measured_loss import MeasuredLoss
from reproflow.auditing.naming import density
from reproflow.auditing.naming.comparison import Comparison, compare
from reproflow.auditing.naming.levels import levels_of
from reproflow.auditing.reading import Subject
from reproflow.foundation.tables import Table
from reproflow.judge.levels import judgement as chains
from reproflow.judge.levels import schedule
from reproflow.judge.objectives.judgement import objective
from reproflow.theory.log_snr import invert_lam
from reproflow.theory.objective import Objective
from reproflow.theory.paths import get_path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

for module in ("flows", "diffusion", "karras", "chains"):
    importlib.import_module(f"losses.restated_{module}")
REAL = {key: each for key, each in CATALOGUE.items() if each.state is not None}
DAILY = (
    "optimal_transport_path",
    "sit_vp",
    "variational_bound",
    "v_prediction",
    "edm_inner",
    "zero_terminal_snr",
)
"""A path, a target, a table of steps, a preconditioning of each kind; the rest are slow."""
CLOSED = [key for key, each in REAL.items() if each.path != "table"]
VERDICTS = ("bound", "admissible", "identified")
RELATIONS = {
    "linear": lambda A, B: A + B - 1,
    "VP": lambda A, B: A**2 + B**2 - 1,
    "sub-VP": lambda A, B: A**2 + B - 1,
    "VE (A = 1)": lambda A, B: A - 1,
    "linear with sigma_min 0.01": lambda A, B: B - 1 + 0.99 * A,
    "VE, scaled by 1/sqrt(sigma² + 0.5²)": lambda A, B: A * np.sqrt((B / A) ** 2 + 0.25) - 1,
}
TARGETS = {
    "velocity": ("x1 - eps", "eps - x1", "dx/dt", "dx/dtau", "-dx/dtau"),
    "x1": ("x1",),
    "eps": ("eps",),
    "v": ("v = A eps - B x1",),
    "score": ("score = -eps/B", "score = -eps/sigma"),
    "edm_f": ("EDM's F, sigma_data 0.5",),
}


def some(keys: list[str]) -> pytest.MarkDecorator:
    """Parametrised over losses, those that are not `DAILY` as slow ones."""
    marks = {key: () if key in DAILY else pytest.mark.slow for key in keys}
    return pytest.mark.parametrize("key", [pytest.param(key, marks=marks[key]) for key in keys])


@functools.cache
def audited(key: str) -> Audit:
    """The audit in float32."""
    return audit(REAL[key].loss, SHAPE, batch=BATCH, data=REAL[key].data, name=key)


@functools.cache
def stated_objective(key: str) -> Objective:
    """The objective that the loss is written as."""
    stated = REAL[key]
    return of_parts(stated.path, stated.time, stated.weighting, stated.on)


def of_parts(path: str, time: str, weighting: str, on: str) -> Objective:
    """The objective of these specs."""
    return Objective(get_path(path), get_time_law(time, fine=True), get_weighting(weighting, "gaussian", on))


@functools.cache
def reference(path: str, time: str, weighting: str, on: str) -> dict[str, Any]:
    """Its judgement; losses that are one objective share it."""
    return objective(of_parts(path, time, weighting, on)).as_dict()


def against(key: str, measured: MeasuredLoss) -> Comparison:
    """The measured weight against the stated one."""
    weight = density.weight(levels_of(measured, REAL[key].data))
    found = compare(weight, stated_objective(key).signature(torch.from_numpy(weight.lam)).numpy())
    assert found is not None
    return found


def off(stated: Stated, measured: MeasuredLoss) -> tuple[float, float]:
    """The largest distances of state and target from the stated ones, relative to their sizes."""
    distances = []
    for pair, mine in ((stated.state, (measured.A, measured.B)), (stated.aim, (measured.a, measured.b))):
        theirs = np.broadcast_arrays(*pair(measured.given))
        distances.append(float((np.hypot(*np.subtract(mine, theirs)) / np.hypot(*theirs)).max()))
    return distances[0], distances[1]


@some(list(REAL))
@pytest.mark.default_cases(2)
def test_state_and_target_are_read_in_single_precision(key: str) -> None:
    """To 1e-6, EDM's F to 5e-5; of steps the table's own rounding comes on top."""
    state, target = off(REAL[key], audited(key).reading.measured)
    assert state < max(1e-6, 2e-6 * bool(REAL[key].steps))
    assert target < REAL[key].exact


@some(list(REAL))
@pytest.mark.default_cases(2)
def test_state_target_and_weight_are_read_in_double_precision(key: str) -> None:
    """State and target to 1e-12; the weight to 1e-3 up to the ends, but for the two levels beside a kink."""
    reading = instrument.read(Subject(REAL[key].loss, SHAPE, BATCH, True, REAL[key].data))
    assert max(off(REAL[key], reading.measured)) < 1e-12
    if not REAL[key].steps:
        ratio = against(key, reading.measured).ratio
        assert (np.abs(ratio - 1) > 1e-3).sum() <= 2


@some([key for key in CLOSED if not REAL[key].steps])
def test_the_weight_is_the_stated_one(key: str) -> None:
    """Between which 96 % of the draws lie, to 1e-3; farther out to what the reading says that it knows."""
    found = against(key, audited(key).reading.measured)
    assert found.error_bulk < REAL[key].near
    assert found.excess < 1e-4


@some([key for key in CLOSED if REAL[key].steps])
def test_the_weight_of_steps_is_near_that_of_continuous_time(key: str) -> None:
    """To 5e-3 for linear betas, to 3e-2 for cosine ones, whose last steps are clipped."""
    assert against(key, audited(key).reading.measured).error_bulk < REAL[key].near


def table(stated: Stated) -> tuple[np.ndarray, np.ndarray]:
    """The SNR of each step from the data to the noise, and the coefficient on the error of x1, both (T,)."""
    A, B = stated.state(np.arange(stated.steps))
    snr = (A / B) ** 2
    at = get_path("linear").at(torch.sigmoid(0.5 * torch.log(torch.from_numpy(snr))))
    c = get_weighting(stated.weighting, "gaussian", stated.on).at(at).numpy()
    return snr, c * {"x1": 1.0, "eps": snr, "v": snr + 1}[stated.on]


def of_steps(key: str) -> tuple[np.ndarray, np.ndarray]:
    """The weight of each step as read in double precision, and as the table has it, both (T - 1,)."""
    stated = REAL[key]
    snr, c_x = table(stated)
    reading = instrument.read(Subject(stated.loss, SHAPE, BATCH, True, stated.data))
    return density.chain(levels_of(reading.measured)).w[:-1], (2 / stated.steps * c_x[1:] / -np.diff(snr))[::-1]


def table_verdicts(key: str) -> list[str]:
    """The chain's, as `check weighting --levels` has them for the table in double precision."""
    snr, c_x = table(REAL[key])
    with np.errstate(divide="ignore"):
        levels = schedule.from_table(Table("levels", np.log(snr)), "log_snr", "gaussian")
    expected = chains.judge(chains.Asked(Table("weights", c_x), "x1"), levels)
    return [getattr(expected, each)["verdict"] for each in VERDICTS]


@some([key for key in REAL if REAL[key].steps])
def test_the_weight_of_steps_is_that_of_their_own_levels(key: str) -> None:
    """w_i = 2 pi c_x / (SNR_(i-1) - SNR_i), with c_x and SNR of the table in double precision."""
    measured, expected = of_steps(key)
    assert len(measured) == len(expected)
    ratio = measured / expected
    assert np.abs(ratio / np.median(ratio) - 1).max() < 1e-5


@some([key for key in REAL if REAL[key].steps])
def test_the_verdict_of_steps_is_that_of_the_stated_table(key: str) -> None:
    """As `check weighting --levels` has it for the table in double precision."""
    chain = audited(key).identification.judged["chain"]
    found = [chain[each] for each in ("verdict", "admissible", "identified")]
    assert found == table_verdicts(key)


@some(list(REAL))
def test_parts_have_their_names(key: str) -> None:
    """The path by the relation that the stated pair obeys, the target, the given time, and the law of the times."""
    stated, found = REAL[key], audited(key)
    parts, measured = found.identification, found.reading.measured
    A, B = (each * np.ones_like(measured.given) for each in stated.state(measured.given))
    relation = next(name for name, rest in RELATIONS.items() if np.abs(rest(A, B)).max() < 1e-9)
    assert parts.path["name"].startswith(relation)
    assert parts.target["name"] in TARGETS[stated.target]
    assert parts.time["name"] is not None
    assert parts.time["law"]["name"] is not None
    assert parts.time["discrete"] == bool(stated.steps)
    if stated.steps:
        assert parts.time["law"]["name"] == f"uniform on {stated.steps} values"


@some([key for key in CLOSED if not REAL[key].steps])
def test_the_law_of_the_times_is_the_stated_one(key: str) -> None:
    """The mass of the levels up to each is that of the stated law on the stated path, to 1e-5."""
    measured = audited(key).reading.measured
    t = invert_lam(get_path(REAL[key].path), torch.from_numpy(measured.lam))
    expected = get_time_law(REAL[key].time, fine=True).cdf(t).numpy()
    assert np.abs(expected - measured.law).max() < 1e-5


@some(list(REAL))
def test_nothing_is_held_against_them(key: str) -> None:
    """No defect and no question."""
    found = audited(key)
    assert found.exit_code == 0, [each.as_dict() for each in found.findings]


@some(CLOSED)
@pytest.mark.default_cases(2)
def test_the_verdict_is_that_of_the_stated_objective(key: str) -> None:
    """As `check` has it, and the bound as derived by hand."""
    stated = REAL[key]
    expected = reference(stated.path, stated.time, stated.weighting, stated.on)
    judged = audited(key).identification.judged
    assert [judged[each]["verdict"] for each in VERDICTS] == [expected[each]["verdict"] for each in VERDICTS]
    assert judged["bound"]["verdict"] == REAL[key].verdict
