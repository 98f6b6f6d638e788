"""Readings and audits of losses whose levels are known in closed form, made without running a loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from reproflow.auditing.audit import Audit
from reproflow.auditing.findings import Finding
from reproflow.auditing.identification import Identification
from reproflow.auditing.measured_loss import MeasuredLoss, Times
from reproflow.auditing.reading import Argument, DrawFacts, LossForm, Reading, Subject

Coefficients = Callable[[np.ndarray], tuple[np.ndarray, ...]]
U = 1 / (1 + np.exp(-np.linspace(-6.5, 6.5, 160)))
"""The quantiles at which a continuous law of times is read."""
SHAPE = (3, 8, 8)
SAMPLED: dict[str, Any] = {
    "verdict": "right",
    "reason": "the data come out of the sampler",
    "steps": [50, 100],
    "laws": [],
    "settled": ["time-reversed"],
    "findings": [],
}
"""What is said of a sampler out of which the data come."""


def measured(given: np.ndarray, A: Any, B: Any, a: Any, b: Any, offset: Any = 0.0, **more: Any) -> MeasuredLoss:
    """The levels sorted from noise to data, with constants spread over them."""
    columns = {"given": given, "A": A, "B": B, "a": a, "b": b, "offset": offset}
    columns |= {"target_offset": more.pop("target_offset", 0.0), "c": more.pop("c", 1.0), "law": U}
    columns |= more
    arrays = {key: np.broadcast_to(value, given.shape).astype(float) for key, value in columns.items()}
    order = np.argsort(2 * np.log(np.abs(arrays["A"] / arrays["B"])), kind="stable")
    arrays = {key: values[order] for key, values in arrays.items()}
    arrays["law"] = np.sort(arrays["law"])
    errors = {"state_error": 4e-8, "target_error": 1e-8, "coefficient_error": 1e-8}
    return MeasuredLoss(**arrays, times=Times.CONTINUOUS, **errors)


def flow(given: Callable[[np.ndarray], np.ndarray] = lambda t: t) -> MeasuredLoss:
    """Flow matching, x_t = t x1 + (1 - t) eps, target x1 - eps; the network is given `given(t)`."""
    return measured(given(U), U, 1 - U, 1.0, -1.0)


def reading(of: MeasuredLoss | None, shape: tuple[int, ...] = SHAPE, **more: Any) -> Reading:
    """A reading of a loss that calls model(x, t) once, its times and noise drawn in train.py."""
    draws = (
        DrawFacts("aten::rand", "uniform", (32,), "train.py", 12, "time"),
        DrawFacts("aten::randn_like", "normal", (32, *shape), "train.py", 13, "noise"),
    )
    arguments = (Argument("x", "state", (32, *shape)), Argument("t", "time", (32,)))
    known: dict[str, Any] = {"calls": 1, "graded": 0, "arguments": arguments, "draws": draws}
    known |= {"form": LossForm("squared", "mean"), "offset": 0.0, "evaluations": 105, "measured": of}
    return Reading(**known | more)


def subject(shape: tuple[int, ...] = SHAPE, **more: Any) -> Subject:
    """A subject whose loss is not called."""
    return Subject(lambda model, x1: None, shape, **more)


def identification(of: MeasuredLoss) -> Identification:
    """The names that flow matching has."""
    w = np.exp(-of.lam / 2)
    bound = {"verdict": "certified", "reason": "w is finite, not negative and nowhere rises with lam"}
    answers = {key: {"verdict": "supported", "reason": "w > 0"} for key in ("admissible", "identified")}
    return Identification(
        path={"name": "linear", "error": 4e-8, "table": {"lam": of.lam, "A": of.A, "B": of.B}},
        time={"given_as": "t", "name": "t", "error": 0.0, "discrete": False, "per_batch": ""}
        | {"law": {"name": "uniform(0, 1)", "error": 1e-7, "ks": None, "n": 0}},
        target={"name": "velocity", "error": 1e-8, "a": of.a, "b": of.b},
        coefficient={"form": "1", "on": "velocity", "error": 0.0, "table": {"lam": of.lam, "c": of.c}},
        canonical={"lam": of.lam, "w": w, "precision": 3e-6},
        same_as=({"name": "fm", "error_bulk": 3e-6, "error_range": 3e-6},),
        judged={**answers, "bound": bound, "exit_code": 0, "by": "parts"},
    )


def audited(*findings: str, **more: Any) -> Audit:
    """An audit of flow matching against which these ids were found."""
    found = reading(flow(), findings=tuple(Finding(id, f"about {id}", "train.py:13") for id in findings))
    known: dict[str, Any] = {"name": "train.py:loss", "process": "gaussian", "reading": found}
    known |= {"identification": identification(flow()), "sampler": None, "accepted": (), "strict": False}
    return Audit(**known | {"seconds": 0.8} | more)


def unread(*findings: str, **more: Any) -> Audit:
    """An audit of a loss whose levels could not be read."""
    found = audited(*findings, **more)
    return replace(found, reading=replace(found.reading, measured=None), identification=Identification())
