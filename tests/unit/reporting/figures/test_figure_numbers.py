"""The numbers behind figures, by definition, without drawing one."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from reproflow.reporting.figures import bil_gradients, gallery, losses, pairs, samples_images, style, tut_times

NOUNS = {
    "dataset": "d", "process": "gaussian", "path": "linear", "time": "uniform", "target": "velocity",
    "coupling": "independent", "divergence": "squared", "setup": "", "weighting": "fm",
}  # fmt: skip


def test_a_curve_is_the_mean_over_seeds_between_the_lowest_and_the_highest() -> None:
    """Seed 0 has two points in the last bin, seed 1 has one; a loss that is infinite is left out."""
    cells = pd.DataFrame([NOUNS | {"seed": seed, "cell": f"c{seed}"} for seed in (0, 1)])
    points = [("c0", 0, 4.0), ("c0", 598, 1.0), ("c0", 599, 3.0), ("c1", 0, math.inf), ("c1", 599, 8.0)]
    curves = pd.DataFrame([{"cell": c, "step": s, "loss": v, "floor": 0.5, "floor_se": 0.1} for c, s, v in points])
    read: Any = SimpleNamespace(curves=curves, cells=cells)
    first, last = losses.averaged(read).to_dict("records")
    assert (first["loss"], first["low"], first["high"], first["seeds"]) == (4, 4, 4, 1)
    assert (last["loss"], last["low"], last["high"], last["seeds"]) == (5, 2, 8, 2)
    assert (last["step"], last["floor"]) == ((598.5 + 599) / 2, 0.5)


def test_points_are_means_and_standard_deviations() -> None:
    cells = pd.DataFrame(
        [dict.fromkeys(pairs.POINT, "x") | {"seed": s, "status": "ok", "a": a, "b": 1.0} for s, a in ((0, 1), (1, 4))]
        + [dict.fromkeys(pairs.POINT, "x") | {"seed": 2, "status": "diverged", "a": 99.0, "b": 1.0}]
    )
    [point] = pairs.means(cells, "a", "b").to_dict("records")
    assert (point["seeds"], point["a"], point["b_sd"]) == (2, 2.5, 0)
    assert point["a_sd"] == pytest.approx(math.sqrt(4.5))


def test_a_sheet_has_the_first_images_of_each_class_in_rows() -> None:
    labels = np.array([1, 0] * 10)
    picked = samples_images.by_class(labels)
    assert picked == [list(range(1, 17, 2)), list(range(0, 16, 2))]
    images = np.arange(20.0)[:, None, None] * np.ones((20, 2, 3))
    sheet = samples_images.tile(images, picked)
    assert sheet.shape == (2 * 2 + 1, 8 * 3 + 7)
    assert np.isnan(sheet[2]).all()
    assert np.isnan(sheet[:, 3]).all()
    assert sheet[0, ::4].tolist() == list(range(1, 17, 2))
    assert sheet[4, ::4].tolist() == list(range(0, 16, 2))


def test_the_reference_and_the_usual_nouns_come_first() -> None:
    rows = [
        NOUNS | {"weighting": weighting, "path": path, "steps": 1}
        for path in ("cosine", "linear")
        for weighting in ("aa", "elbo", "fm")
    ]
    ordered = [(row["path"], row["weighting"]) for row in sorted(rows, key=style.order)]
    assert ordered == [(path, weighting) for path in ("linear", "cosine") for weighting in ("elbo", "aa", "fm")]


def test_rises_in_words_tell_how_many_more_there_are() -> None:
    def panel(*rises: tuple[float, float]) -> Any:
        return SimpleNamespace(monotone=not rises, bound=SimpleNamespace(rises=[SimpleNamespace(lam=r) for r in rises]))

    assert gallery.verdict(panel()) == "monotone"
    assert gallery.verdict(panel((-3.21, 0.0))) == "not monotone, rises −3.2 to 0"
    assert gallery.verdict(panel((0, 1), (2, 3), (4, 5), (6, 7))).endswith("rises 0 to 1, 2 to 3 and 2 more")


ROW = {
    "id": "LOSS-1", "tier": "exact", "kind": "exact", "case": "", "statistic": 1e-15, "tolerance": 1e-10,
    "expected": "supported", "verdict": "supported", "control": "wrong;none", "control_statistic": "0.5;1e-16",
}  # fmt: skip


class TestGaps:
    def test_a_control_must_come_out_otherwise(self) -> None:
        found = bil_gradients.gaps(pd.DataFrame([ROW])).to_dict("records")
        assert [(row["variant"], row["expected"], row["verdict"]) for row in found] == [
            ("statement", "supported", "supported"), ("wrong", "refuted", "refuted"), ("none", "refuted", "supported")
        ]  # fmt: skip
        printed = bil_gradients.gaps(pd.DataFrame([ROW | {"expected": "refuted"}]))
        assert set(printed.loc[printed["role"] == "control", "expected"]) == {"supported"}

    def test_only_gaps_of_gradients_of_the_claim_on_divergences(self) -> None:
        cases = ("squared: equal gradients", "kl_rates: equal gradients", "squared: minimisers")
        rows = [ROW | {"id": "BIL-4", "case": case, "control": "", "control_statistic": ""} for case in cases]
        found = bil_gradients.gaps(pd.DataFrame(rows))
        assert dict(zip(found["case"], found["process"], strict=True)) == {cases[0]: "flow", cases[1]: "jump"}


@pytest.mark.parametrize("scheme", ["iid", "stratified", "antithetic", "low_discrepancy"])
def test_the_variance_of_a_batch_mean_is_what_batches_show(scheme: str) -> None:
    means = tut_times.loss(tut_times.batches("u_squared", scheme)).mean(0)
    exact = tut_times.variance("u_squared", scheme)
    spread = 5 * math.sqrt(2 / tut_times.BATCHES)
    assert float(torch.var(means)) == pytest.approx(exact, rel=spread)
