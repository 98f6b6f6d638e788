"""Made-up results in the shape of the demo: its cells with every metric, and bounds on its first image networks.

Names are as long and columns as many as on the demo's page, which is what decides whether its numbers can be seen.
Nothing in it was measured.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from repository import ROOT
from synthetic_results import CASCADE_COLUMNS, CELL_COLUMNS, CLAIM_COLUMNS, PROVENANCE, claims, write_csv

from reproflow.foundation import config as configuration
from reproflow.foundation import grid
from reproflow.foundation.config import Config
from reproflow.foundation.grid import Cell

DEMO = ROOT / "configs" / "demo.yaml"
SEEDS = list(range(8))
LEVELS = [f"{level:.6g}" for level in np.linspace(0, 1, 33)]
LONG = (
    "the interval of the difference reaches across the tolerance, and the control, the same integral, is inconclusive"
)


def write_wide_results(folder: Path) -> Path:
    """Writes the results folder, without figures, and returns it."""
    generator, config = np.random.default_rng(11), _seeded(configuration.load(DEMO))
    steps = {each.name: each.training.steps for each in config.experiments}
    found = sorted(grid.expand(config), key=lambda cell: cell.key)
    cells = [_cell(cell, steps[cell.experiment], generator) for cell in found]
    images = [row for row in cells if row["dataset"] == "digits8" and row["seed"] == 0]
    write_csv(folder / "cells.csv", CELL_COLUMNS, cells)
    write_csv(folder / "claims.csv", CLAIM_COLUMNS, claims())
    names = sorted({row["weighting"] for row in cells})
    bounds = [row for cell in images for row in _bounds(cell, names, generator)]
    write_csv(folder / "cascade.csv", CASCADE_COLUMNS, bounds)
    (folder / "provenance.json").write_text(json.dumps(PROVENANCE))
    (folder / "config.json").write_text(configuration.dump(config))
    return folder


def _seeded(config: Config) -> Config:
    """The configuration with so many seeds of the images that their differences have intervals."""
    own = [e.model_copy(update={"seeds": SEEDS} if e.dataset == "digits8" else {}) for e in config.experiments]
    return config.model_copy(update={"experiments": own})


def _cell(cell: Cell, steps: int, generator: np.random.Generator) -> dict[str, Any]:
    names = {key: str(getattr(cell, key)) for key in ("path", "time", "weighting", "coupling", "divergence")}
    toy = cell.dataset == "eight_gaussians"
    row = names | {
        "process": cell.process, "dataset": cell.dataset, "target": cell.target, "seed": cell.seed, "steps": steps,
        "cell": cell.key, "status": "ok", "solver": "heun", "nfe": 32, "ema": 0.99, "batch": 128, "split": "train",
        "device": "cpu", "fingerprint": "feedface",
    }  # fmt: skip
    noise = generator.standard_normal(4)
    if toy:
        return row | {"nll_nats": 1.9 + 0.1 * noise[0], "nll_nats_se": 0.02}
    numbers = {"fid_train": 3 + noise[0], "fid_test": 3.4 + noise[1], "bound_bits_per_dim": 2.1 + 0.01 * noise[2]}
    numbers |= {} if cell.process == "masked" else {"ode_bits_per_dim": 2.05 + 0.01 * noise[3]}
    errors = {f"{name}_se": 0.01 * abs(value) for name, value in numbers.items()}
    return row | numbers | errors | {"fid_n": 5000, "fid_features": "digits_cnn"}


def _bounds(cell: dict[str, Any], names: list[str], generator: np.random.Generator) -> list[dict[str, Any]]:
    about = {key: cell[key] for key in ("cell", "process", "dataset", "path", "weighting", "target", "seed")}
    level = "m" if cell["process"] == "masked" else "lam"
    places = [(quantity, f"{level}={at}") for quantity in ("path_kl", "elbo") for at in LEVELS]
    rows = [{"quantity": name, "at": at, "value": generator.gamma(9.0), "reference": 8.0} for name, at in places]
    rows += [
        {"quantity": "weighted_sum", "at": name, "value": 4.0, "reference": 4.1, "verdict": "inconclusive",
         "control_verdict": "inconclusive", "reason": LONG}
        for name in names
    ]  # fmt: skip
    return [about | {"se": 0.123456, "reference_se": 0.123456} | row for row in rows]
