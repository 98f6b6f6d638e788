"""Measures: what one declares is known everywhere by its name, and what it gives is its columns and nothing else's."""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from reproflow.analysis.margins import margin
from reproflow.evaluation import measures as evaluation
from reproflow.evaluation.collect import CELL_COLUMNS
from reproflow.evaluation.measures import Measured, compute
from reproflow.foundation import measures, registry
from reproflow.foundation.errors import UsageError
from reproflow.foundation.measures import Facts, Measure

FACTS = Facts(heading="Test", unit="", decimals=2, margin=0.1, of="network", data="points")


@pytest.fixture
def registered() -> Iterator[dict[str, Measure]]:
    """Measures of this test: one number, one that is refused, two that fail of one cause, one that nobody asked for."""
    made: dict[str, Measure] = {}

    def fails(_: Any) -> Measured:
        raise UsageError("no\nsamples.")

    functions: dict[str, Any] = {
        "plain": lambda _: Measured(2.0, 0.5, about={"extra": "word"}),
        "coarse": lambda _: Measured(None, reason="coarse refused: too coarse"),
        "first": fails,
        "second": fails,
        "silent": lambda _: None,
    }
    for name, function in functions.items():
        evaluation.measure(name, facts=FACTS, process="gaussian")(function)
        made[name] = Measure(name, FACTS, {"gaussian": f"{__name__}:{name}"})
    yield made
    for name in functions:
        del registry.BUILT_IN._entries["measure", "gaussian", name]


SUBJECT: Any = SimpleNamespace(experiment=SimpleNamespace(process="gaussian"))


def test_each_measure_fills_its_own_columns_and_what_is_missing_says_why(registered: dict[str, Measure]) -> None:
    found = compute(SUBJECT, registered.values())
    assert found.columns == {"plain": 2.0, "plain_se": 0.5, "extra": "word"}
    assert found.reason == "coarse refused: too coarse; first and second cannot be had: no samples."
    assert found.status == "ok"


@pytest.mark.parametrize("name", ["coarse", "first"])
def test_a_cell_without_a_required_measure_has_failed(registered: dict[str, Measure], name: str) -> None:
    required = Measure(name, Facts(**vars(FACTS) | {"required": True}), registered[name].where)
    assert compute(SUBJECT, [required, registered["plain"]]).status == "failed"
    assert compute(SUBJECT, [registered[name], registered["plain"]]).status == "ok"


def test_measures_that_fail_of_one_cause_are_said_by_family_and_once() -> None:
    assert evaluation.listed(["FID", "FID", "KID"]) == "FID and KID"
    assert evaluation.listed(["a", "b", "c"]) == "a, b and c"
    assert evaluation.listed(["FID", "FID"]) == "FID"


def test_usual_measures_are_the_columns_of_cells_in_their_order() -> None:
    """The contract of docs/results.md, written out: other columns and another order would break who reads the file."""
    metrics = ["fid_train", "fid_test", "kid", "nll_nats", "bound_bits_per_dim", "ode_bits_per_dim"]
    assert list(measures.usual()) == metrics
    first = CELL_COLUMNS.index("fid_train")
    assert CELL_COLUMNS[first : CELL_COLUMNS.index("solver")] == [
        "fid_train",
        "fid_train_se",
        "fid_test",
        "fid_test_se",
        "fid_n",
        "fid_features",
        "kid",
        "kid_se",
        "nll_nats",
        "nll_nats_se",
        "bound_bits_per_dim",
        "bound_bits_per_dim_se",
        "ode_bits_per_dim",
        "ode_bits_per_dim_se",
    ]
    assert list(measures.compared(metrics)) == [name for name in metrics if name != "kid"]
    assert list(measures.held()) == metrics
    assert measures.primary() == ("nll_nats", "bound_bits_per_dim")
    assert measures.family("FID") == ("fid_train", "fid_test")


def test_margins_are_those_of_the_documentation() -> None:
    """docs/regression.md: a twentieth of FID's mean, else a number in the metric's unit."""
    assert margin("fid_train", -40.0) == pytest.approx(2.0)
    absolute = {"kid": 1e-3, "nll_nats": 0.01, "bound_bits_per_dim": 0.002, "ode_bits_per_dim": 0.002}
    assert {name: margin(name, 1e9) for name in absolute} == absolute
    assert margin("kid", 3.0, {"kid": 7}) == 7.0


def test_what_is_compared_reads_less_as_better_and_one_facts_serves_every_process() -> None:
    for each in measures.known():
        assert each.facts.lower_is_better or not each.facts.compared, each.name
        assert math.isfinite(each.facts.margin)
        assert each.facts.margin > 0
    evaluation.load()
    for entry in registry.entries("measure"):
        assert entry.meta["facts"] == measures.facts(entry.name), entry.name


def test_a_cell_is_measured_by_what_its_process_and_data_have() -> None:
    chosen = {
        (process, images): [each.name for each in measures.chosen(process, images)]
        for process, images in (("gaussian", False), ("gaussian", True), ("masked", True))
    }
    assert chosen["gaussian", False] == ["nll_nats"]
    samples = ["fid_train", "fid_test", "kid"]
    assert chosen["gaussian", True] == [*samples, "bound_bits_per_dim", "ode_bits_per_dim"]
    assert chosen["masked", True] == [*samples, "bound_bits_per_dim"]
