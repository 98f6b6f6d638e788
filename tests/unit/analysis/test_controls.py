"""Control arms of a trained block: what they must show, what the gate makes of them, what a configuration refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from control_results import experiment, results, verdicts

from reproflow.analysis.claim_rows import claims_table
from reproflow.analysis.results import load_results
from reproflow.analysis.summary import gate_state
from reproflow.foundation import config as configuration
from reproflow.foundation.errors import ConfigError


def test_controls_as_they_must_be(tmp_path: Path) -> None:
    folder = results(tmp_path, {"elbo": 0.05, "uniform": 0.0, "fm": 0.0, "blind": 0.3})
    assert verdicts(folder) == {"blind": True, "uniform": True}
    assert not [reason for reason in gate_reasons(folder) if "control" in reason]


@pytest.mark.parametrize(
    ("shifts", "wrong"),
    [
        ({"elbo": 0.0, "uniform": 0.0, "fm": 0.0, "blind": 0.0}, "blind"),
        ({"elbo": 0.1, "uniform": 0.1, "fm": 0.1, "blind": 0.0}, "blind"),
        ({"elbo": 0.05, "uniform": 0.0, "fm": 0.2, "blind": 0.3}, "uniform"),
    ],
)
def test_a_control_that_is_not_as_it_must_be_fails_the_gate(
    tmp_path: Path, shifts: dict[str, float], wrong: str
) -> None:
    folder = results(tmp_path, shifts)
    assert [name for name, ok in verdicts(folder).items() if ok is False] == [wrong]
    assert any(f"control of a trained block: toy, nll_nats: {wrong}" in reason for reason in gate_reasons(folder))


def test_too_few_seeds_leave_them_undecided(tmp_path: Path) -> None:
    folder = results(tmp_path, {"elbo": 0.05, "uniform": 0.0, "fm": 0.0, "blind": 0.3}, seeds=3)
    assert verdicts(folder) == {"blind": None, "uniform": None}
    assert any("undecided: toy" in reason for reason in gate_reasons(folder))


def test_an_arm_without_any_number_is_apart_enough_and_a_name_without_one_is_open(tmp_path: Path) -> None:
    means = {"elbo": 0.05, "uniform": 0.0, "fm": 0.0, "blind": 0.3}
    assert verdicts(results(tmp_path / "a", means, failed="blind")) == {"blind": True, "uniform": True}
    assert verdicts(results(tmp_path / "b", means, failed="fm")) == {"blind": True, "uniform": None}


def gate_reasons(folder: Path) -> list[str]:
    read = load_results(folder)
    return gate_state(read, claims_table(read.claims))[1]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"controls": {"separated": ["blend"]}}, "did you mean 'blind'"),
        ({"controls": {"same": [["uniform", "elbow"]]}}, "'elbow', which is no weighting here"),
        ({"controls": {"same": [["uniform", "fm"]]}, "dedupe": True}, "set dedupe: false"),
        ({"controls": {"apart": []}}, "unknown key"),
    ],
)
def test_controls_that_cannot_be(more: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        configuration.check({"name": "demo", "experiments": [experiment(8) | more]})
