"""What the gate raises: a regression, a control arm, a control without effect, and what is left undecided."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from control_results import results
from synthetic_results import CLAIM_COLUMNS, claims, write_csv

from reproflow.analysis import gate, summary
from reproflow.analysis.bound_cascade import contradicted
from reproflow.analysis.claim_rows import claims_table
from reproflow.analysis.results import load_results
from reproflow.foundation.errors import RegressionError, ReproflowError, UndecidedError, VerdictError

GOOD = {"elbo": 0.05, "uniform": 0.0, "fm": 0.0, "blind": 0.3}
RIGHT = [row for row in claims() if row["verdict"] == row["expected"]]


def passing(folder: Path, means: dict[str, float] | None = None, rows: list[dict] | None = None, **more: int) -> Path:
    """A folder that passes, but for what is asked for."""
    made = results(folder, GOOD if means is None else means, **more)
    write_csv(made / "claims.csv", CLAIM_COLUMNS, RIGHT if rows is None else rows)
    return made


def test_what_is_as_it_must_be_passes(tmp_path: Path) -> None:
    gate.judge(passing(tmp_path))


def test_a_control_arm_that_is_not_as_it_must_be_fails(tmp_path: Path) -> None:
    with pytest.raises(VerdictError, match="control of a trained block: toy, nll_nats: blind must be worse"):
        gate.judge(passing(tmp_path, GOOD | {"blind": 0.0}))


def test_a_control_arm_without_seeds_enough_is_undecided(tmp_path: Path) -> None:
    with pytest.raises(UndecidedError, match="control of a trained block undecided: toy"):
        gate.judge(passing(tmp_path, seeds=3))


def test_a_claim_that_is_not_decided_is_undecided(tmp_path: Path) -> None:
    open_ = RIGHT[0] | {"verdict": "inconclusive", "control_verdict": ""}
    with pytest.raises(UndecidedError, match="1 claim undecided: LOSS-1"):
        gate.judge(passing(tmp_path, rows=[*RIGHT[1:], open_]))


@pytest.mark.parametrize("verdict", ["inconclusive", "supported"])
def test_a_control_without_effect_is_no_open_question(tmp_path: Path, verdict: str) -> None:
    """The row's own verdict may be open; that its control was supported is not."""
    rows = [RIGHT[0] | {"verdict": verdict, "control_verdict": "supported"}]
    write_csv(tmp_path / "claims.csv", CLAIM_COLUMNS, rows)
    table = claims_table(load_results(tmp_path).claims)
    assert [len(each) for each in summary.not_ok(table)] == [1, 0]


def test_a_failed_cell_fails_with_no_verdict(tmp_path: Path) -> None:
    folder = passing(tmp_path)
    frame = pd.read_csv(folder / "cells.csv", dtype=str, keep_default_na=False)
    frame.loc[0, ["status", "nll_nats"]] = ["diverged", ""]
    frame.to_csv(folder / "cells.csv", index=False)
    with pytest.raises(ReproflowError, match="1 cell diverged") as found:
        gate.judge(folder)
    assert found.value.exit_code == 1


REGRESSION = {
    "exit_code": 4,
    "rows": [
        {"what": "moons elbo", "metric": "nll_nats", "verdict": "worse"},
        {"what": "moons fm", "metric": "nll_nats", "verdict": "equal"},
    ],
    "broken": ["moons sigmoid, seed 3: diverged"],
}


def test_a_regression_fails_with_its_own_exit_code(tmp_path: Path) -> None:
    folder = passing(tmp_path)
    (folder / "regression.json").write_text(json.dumps(REGRESSION))
    words = "worse than its baseline: moons elbo, nll_nats; moons sigmoid, seed 3: diverged$"
    with pytest.raises(RegressionError, match=words):
        gate.judge(folder)
    (folder / "regression.json").write_text(json.dumps(REGRESSION | {"exit_code": 5}))
    gate.judge(folder)


def test_a_wrong_verdict_comes_before_a_regression(tmp_path: Path) -> None:
    folder = passing(tmp_path, GOOD | {"blind": 0.0})
    (folder / "regression.json").write_text(json.dumps(REGRESSION))
    with pytest.raises(VerdictError):
        gate.judge(folder)


def test_a_bound_that_is_undecided_contradicts_nothing() -> None:
    row = {"cell": "c", "quantity": "data_model_kl", "at": "lam=-7", "value": 9.0, "se": 0.1, "reference": 1.0}
    frame = pd.DataFrame([row | {"reference_se": 0.1, "verdict": "inconclusive"}])
    assert contradicted(frame) == []
    assert contradicted(frame.assign(verdict="refuted")) == ["c data_model_kl lam=-7"]
