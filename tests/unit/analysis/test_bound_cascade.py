"""When bounds on trained networks alarm the gate."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from reproflow.analysis.bound_cascade import contradicted


def test_true_bounds_do_not_alarm_the_gate_and_a_false_one_does() -> None:
    """Fifty networks whose KL equals its bound: rows are refuted by chance, the gate is alarmed one time in twenty."""
    rng = np.random.default_rng(3)
    alarms, refuted = 0, 0
    for _ in range(400):
        found = rng.standard_t(7, (50, 2))
        verdicts = np.where((found[:, 0] - found[:, 1]) / math.sqrt(2) > 1.96, "refuted", "inconclusive")
        frame = pd.DataFrame({
            "cell": [f"c{i}" for i in range(50)], "quantity": "data_model_kl", "at": "lam=-7", "value": found[:, 0],
            "se": 1.0, "reference": found[:, 1], "reference_se": 1.0, "verdict": verdicts,
        })  # fmt: skip
        refuted += int((verdicts == "refuted").sum())
        alarms += bool(contradicted(frame))
    assert refuted > 200
    assert alarms / 400 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)
    frame.loc[3, ["value", "reference", "verdict"]] = [12.0, 0.0, "refuted"]
    assert contradicted(frame) == ["c3 data_model_kl lam=-7"]
    frame.loc[3, ["quantity", "value", "reference"]] = ["weighted_sum", 100.0, 112.0]
    assert contradicted(frame) == [], "within its tolerance, give or take the errors"
