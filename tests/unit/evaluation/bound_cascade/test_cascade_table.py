"""Rows of the cascade's table: integration by parts, verdicts by intervals, controls, and which cells it is for."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import pytest
import torch
from repository import ROOT

from reproflow.evaluation.bound_cascade import table
from reproflow.evaluation.bound_cascade.chains import data_model_kl
from reproflow.evaluation.bound_cascade.profile import Profile, increments
from reproflow.evaluation.bound_cascade.rows import identity
from reproflow.numerics.statistics import Measured
from reproflow.theory.paths import get_path
from reproflow.theory.weightings import get_weighting


def test_increments_integrate_by_parts() -> None:
    s = torch.linspace(0, 1, 2001, dtype=torch.float64)
    none = Measured(0.0, 0.0)
    profile = Profile(s, (1 - s**2)[:, None], torch.tensor([2.0]).double(), torch.tensor([0.1]).double(), none)
    # w = s: the integral of 2 (1 - s²) ds = 4/3
    found = profile.weighted(s)
    assert found.value == pytest.approx(4 / 3, abs=1e-6)
    assert found.se == pytest.approx(0.1 * 2 / 3, abs=1e-6)
    assert float(increments(torch.ones_like(s)).sum()) == 1.0


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [
        (Measured(1.0, 0.01), Measured(1.02, 0.01), "supported"),
        (Measured(1.5, 0.01), Measured(1.0, 0.01), "refuted"),
        (Measured(1.08, 0.05), Measured(1.0, 0.01), "inconclusive"),
        (Measured(math.nan, 0.05), Measured(1.0, 0.01), "inconclusive"),
        # Eight replicates: 2.36 standard errors on either side, not 1.96.
        (Measured(1.06, 0.019), Measured(1.0, 0.0), "inconclusive"),
        (Measured(1.06, 0.0165), Measured(1.0, 0.0), "supported"),
    ],
)
def test_an_identity_is_decided_by_its_interval(a: Measured, b: Measured, verdict: str) -> None:
    assert identity(a, b) == verdict


@pytest.mark.parametrize(("late", "verdict"), [(1.5, "supported"), (1.05, "inconclusive"), (1.12, "inconclusive")])
def test_an_identity_needs_a_refuted_control(late: float, verdict: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Read:
        levels = torch.linspace(0, 1, 5, dtype=torch.float64)
        prior = Measured(0.0, 0.0)

        def weighted(self, w: torch.Tensor) -> Measured:
            return Measured(1.0, 0.01)

        def read_late(self, w: torch.Tensor) -> Measured:
            return Measured(late, 0.02)

    monkeypatch.setattr(table, "bound_verdict", lambda *_: ("certified", ""))
    sums = [1.0 + 0.01 * k for k in (-2, -1, 0, 0, 0, 0, 1, 2)]
    row = table._weighted_sum(get_path("linear", "masked"), get_weighting("elbo", "masked"), Read(), sums)
    assert row["verdict"] == verdict
    assert row["control_verdict"] == {1.5: "refuted", 1.05: "supported", 1.12: "inconclusive"}[late]


def test_points_that_no_sample_reaches_leave_it_open() -> None:
    occupied = torch.zeros(100, 2)
    occupied[:, 0] = 1
    row = data_model_kl("m=0", occupied, torch.zeros(100).long(), torch.zeros(2).long(), Measured(1.0, 0.1))
    assert row["verdict"] == "inconclusive"
    assert "1 of 2 points" in row["reason"]
    occupied[7] = torch.tensor([0.0, 1.0])
    row = data_model_kl("m=0", occupied, torch.zeros(100).long(), torch.zeros(2).long(), Measured(1.0, 0.1))
    assert math.isnan(row["value"])
    assert "1 of 2 points" in row["reason"], "one block alone has no jackknife error"
    occupied[8] = torch.tensor([0.0, 1.0])
    row = data_model_kl("m=0", occupied, torch.zeros(100).long(), torch.zeros(2).long(), Measured(1.0, 0.1))

    def plug_in(rare: int, n: int) -> float:
        return -0.5 * (math.log(2 * (1 - rare / n)) + math.log(2 * rare / n))

    # One of 20 blocks of five samples left out: for two of them a rare sample goes with it.
    left_out = (2 * plug_in(1, 95) + 18 * plug_in(2, 95)) / 20
    assert row["value"] == pytest.approx(20 * plug_in(2, 100) - 19 * left_out)
    assert row["se"] > 0


@pytest.mark.parametrize(("name", "verdict"), [("elbo", "certified"), ("min_snr", "not_representable")])
def test_verdicts_are_those_of_the_bound_property(name: str, verdict: str) -> None:
    assert table.bound_verdict(get_path("linear"), get_weighting(name, "gaussian"))[0] == verdict


def test_only_first_seeds_of_images_are_told() -> None:
    from reproflow.foundation import config

    text = ROOT / "configs" / "ci.yaml"
    run = SimpleNamespace(config=config.load(text))
    assert {cell.dataset for cell in table.cells(run)} == {"digits8"}  # type: ignore[arg-type]
    assert {cell.seed for cell in table.cells(run)} == {0}  # type: ignore[arg-type]
    assert json.dumps(run.config.cascade.model_dump())
