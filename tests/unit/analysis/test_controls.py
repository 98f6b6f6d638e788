"""Control arms of a trained block: what they must show, what the gate makes of them, what a configuration refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from synthetic_results import CELL_COLUMNS, write_csv

from reproflow.analysis.claim_rows import claims_table
from reproflow.analysis.control_arms import outcomes
from reproflow.analysis.results import load_results
from reproflow.analysis.summary import gate_state
from reproflow.foundation import config as configuration
from reproflow.foundation.errors import ConfigError

ARMS = ["elbo", "uniform", "fm", {"name": "blind", "spec": "expr:where(t < 0.5, 0, 1)", "on": "velocity"}]
CONTROLS = {"separated": ["blind"], "same": [["uniform", "fm"]]}


def experiment(seeds: int, controls: dict | None = None, **more: object) -> dict:
    return {
        "name": "toy", "process": "gaussian", "dataset": "eight_gaussians", "paths": ["linear"], "weightings": ARMS,
        "seeds": list(range(seeds)), "controls": CONTROLS if controls is None else controls,
    } | more  # fmt: skip


def results(folder: Path, shifts: dict[str, float], seeds: int = 9, failed: str = "") -> Path:
    """A folder of one block whose arms have these means, with seeds' noise of 0.01."""
    generator = np.random.default_rng(0)
    rows = []
    for name, shift in shifts.items():
        noises = generator.normal(0, 0.01, seeds)
        for seed, noise in enumerate(noises - noises.mean()):
            key = f"eight_gaussians.gaussian.linear.uniform.{name}.velocity.s{seed}"
            row = {
                "process": "gaussian", "dataset": "eight_gaussians", "path": "linear", "time": "uniform",
                "weighting": name, "target": "velocity", "seed": seed, "steps": 1000, "cell": key, "status": "ok",
                "nll_nats": 1.7 + shift + noise, "coupling": "independent", "divergence": "squared",
            }  # fmt: skip
            rows.append(row | ({"status": "failed", "reason": "x", "nll_nats": ""} if name == failed else {}))
    write_csv(folder / "cells.csv", CELL_COLUMNS, rows)
    (folder / "config.json").write_text(json.dumps({"name": "demo", "experiments": [experiment(seeds)]}))
    return folder


def verdicts(folder: Path) -> dict[str, bool | None]:
    return {each.what.split()[0]: each.ok for each in outcomes(load_results(folder))}


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
