"""Folders of one made-up block with control arms, and what came of those."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from synthetic_results import CELL_COLUMNS, write_csv

from reproflow.analysis.control_arms import outcomes
from reproflow.analysis.results import load_results

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
