"""A loss's exact minimiser in right samplers and in wrong ones: known data come out of the right ones alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from plain_samplers import COSINE, LINEAR, T, ancestral, ddim, edm, euler, preconditioned
from scipy.stats import norm
from synthetic_audits import SHAPE, U, flow, measured, reading, subject

from reproflow.auditing.measured_loss import MeasuredLoss
from reproflow.auditing.samplers import run
from reproflow.foundation.errors import UsageError

SIGMA = np.exp(-1.2 + 1.2 * norm.ppf(U))
C_IN = 1 / np.sqrt(SIGMA**2 + 0.25)


def steps(bars: np.ndarray, a: object, b: object, **more: object) -> MeasuredLoss:
    """A chain of levels, given by their index."""
    return measured(np.arange(float(T)), np.sqrt(bars), np.sqrt(1 - bars), a, b, law=np.full(T, 1 / T), **more)


def shifted(t: float) -> float:
    return t / (3 - 2 * t)


FLOW = flow()
EPS = steps(LINEAR, 0.0, 1.0)
V = steps(COSINE, -np.sqrt(1 - COSINE), np.sqrt(COSINE))
DENOISER = measured(SIGMA, 1.0, SIGMA, 1.0, 0.0)
PRECONDITIONED = measured(np.log(SIGMA) / 4, C_IN, SIGMA * C_IN, 2 * SIGMA * C_IN, -C_IN / 2)
SHIFTED = measured(U, shifted(U), 1 - shifted(U), 1.0, -1.0)
IMAGES = measured(
    np.arange(float(T)), 2 * np.sqrt(LINEAR), np.sqrt(1 - LINEAR), 0.0, 1.0, np.sqrt(LINEAR) * -1, law=np.full(T, 1 / T)
)
RIGHT = {
    "flow": (FLOW, euler()),
    "flow without steps": (FLOW, lambda model, n: euler()(model, n)),
    "flow, few steps": (FLOW, lambda model, n, steps=10: euler()(model, n, steps)),
    "time turned in both": (flow(lambda t: 1 - t), euler(lambda t: 1 - t)),
    "time times 999 in both": (flow(lambda t: 999 * t), euler(lambda t: 999 * t)),
    "levels shifted, the time not": (SHIFTED, euler(level=shifted)),
    "ddpm": (EPS, ancestral),
    "ddim": (EPS, ddim()),
    "v on cosine steps": (V, ddim(COSINE, "v")),
    "edm at D": (DENOISER, edm()),
    "edm at F": (PRECONDITIONED, edm(preconditioned(0.5))),
    "images in [0, 1]": (IMAGES, ddim(finish=lambda x: (x + 1) / 2)),
}
WRONG = {
    "time turned in the sampler": (FLOW, euler(lambda t: 1 - t), "given the time the other way round"),
    "without steps": (FLOW, lambda model, n: euler(lambda t: 1 - t)(model, n), "the other way round"),
    "sign": (FLOW, euler(sign=-1), "has the other sign"),
    "time not scaled": (flow(lambda t: 999 * t), euler(), ""),
    "given the shifted time": (SHIFTED, euler(shifted, level=shifted), ""),
    "not shifted": (SHIFTED, euler(), ""),
    "v sampled as eps": (V, ddim(COSINE, "eps"), "predicts eps"),
    "v sampled as data": (V, ddim(COSINE, "x0"), "predicts x1"),
    "cosine sampled on linear steps": (V, ddim(LINEAR, "v"), ""),
    "another sigma_data": (PRECONDITIONED, edm(preconditioned(1.0)), ""),
    "images not put back to [0, 1]": (IMAGES, ddim(), ""),
}


SLOW = {
    "flow without steps",
    "time times 999 in both",
    "ddpm",
    "v on cosine steps",
    "without steps",
    "time not scaled",
    "given the shifted time",
    "v sampled as data",
    "cosine sampled on linear steps",
    "another sigma_data",
}
"""Cases that have a like one by default."""


def cases(catalogue: dict[str, tuple]) -> list:
    return [pytest.param(case, marks=pytest.mark.slow if case in SLOW else ()) for case in catalogue]


@pytest.mark.parametrize("case", cases(RIGHT))
@pytest.mark.default_cases(3)
def test_known_data_come_out_of_a_right_sampler(case: str) -> None:
    of, sample = RIGHT[case]
    found = run.check(subject(), reading(of), sample)
    assert found["verdict"] == "right", found["reason"]
    assert set(found["settled"]) == {"time-reversed", "time-shift", "not-velocity"}
    assert found["findings"] == []
    assert [len(row["statistics"]) for row in found["laws"]] == [2, 2, 2]


@pytest.mark.parametrize("case", cases(WRONG))
@pytest.mark.default_cases(2)
def test_they_do_not_out_of_a_wrong_one_and_what_would_mend_it_is_said(case: str) -> None:
    of, sample, mended = WRONG[case]
    found = run.check(subject(), reading(of), sample)
    assert found["verdict"] == "wrong"
    assert found["settled"] == []
    (finding,) = found["findings"]
    assert finding["id"] == "sampler-mismatch"
    assert mended in finding["evidence"]
    assert mended or "it would be right" not in finding["evidence"]


def test_steps_too_few_to_tell_settle_nothing() -> None:
    found = run.check(subject(), reading(FLOW), lambda model, n: euler()(model, n, 5))
    assert found["verdict"] == "undecided"
    assert found["settled"] == found["findings"] == []


def test_what_cannot_be_run_is_said() -> None:
    turning = measured(np.abs(U - 0.5), U, 1 - U, 1.0, -1.0)
    untimed = measured(np.full_like(U, np.nan), U, 1 - U, 1.0, -1.0)
    for of, more, why in (
        (None, {}, "levels were not read"),
        (FLOW, {"coupled": True}, "couples"),
        (turning, {}, "does not say the level"),
        (untimed, {}, "not given a time"),
    ):
        found = run.check(subject(), reading(of, **more), euler())
        assert found["verdict"] == "not run"
        assert why in found["reason"]


def raising(model, n):
    raise ValueError("no labels")


@pytest.mark.parametrize(
    ("sample", "says"),
    [
        (raising, r"raised ValueError \(.*test_samplers.py:\d+\): no labels"),
        (lambda model, n: torch.randn(n, *SHAPE), "never calls the network"),
        (lambda model, n: model(torch.randn(n, *SHAPE), torch.ones(n)).mean(), r"samples of shape \(64, 3, 8, 8\)"),
        (lambda model, n: model(torch.randn(n, 3, 9, 9), torch.ones(n)), "without a state of shape"),
        (lambda model, n: model(torch.randn(n, *SHAPE)), "without a time"),
        (lambda model, n: model.unet(torch.randn(n, *SHAPE)), "unet.*set what it asks of the network"),
    ],
)
def test_a_sampler_that_cannot_be_used_is_refused_in_a_line(sample, says: str) -> None:
    with pytest.raises(UsageError, match=says) as error:
        run.check(subject(), reading(FLOW), sample)
    assert len(str(error.value).splitlines()) == 1


def test_samplers_return_what_they_like_and_call_by_any_name() -> None:
    def trajectory(model, n, steps=20):
        class Wrapped:
            def __call__(self, x, t):
                return model(hidden_states=x, timestep=float(t[0]))

        return {"images": [euler()(Wrapped(), n, steps).numpy()]}

    assert run.check(subject(), reading(FLOW), trajectory)["verdict"] == "right"
