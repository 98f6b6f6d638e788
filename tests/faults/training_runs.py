"""Small runs, trained in this process, and comparisons of their weights."""

from __future__ import annotations

import copy
from pathlib import Path

import torch

from reproflow.foundation import config, grid
from reproflow.foundation.run import Run
from reproflow.learning import data
from reproflow.learning.training import shard

CPU = torch.device("cpu")


def open_run(raw: dict, folder: Path) -> Run:
    return Run(config.check(raw), folder)


def train(results: Run, shard_size: int = 64, should_stop=lambda: False) -> None:
    experiment = results.config.experiments[0]
    cells = grid.expand(results.config)
    points = data.get_dataset(experiment.dataset, experiment.process)
    for start in range(0, len(cells), shard_size):
        work = [(cell, results.slot("train", cell)) for cell in cells[start : start + shard_size]]
        shard.train(experiment, work, points, CPU, should_stop)


def weights(results: Run) -> dict[str, dict[str, torch.Tensor]]:
    return {
        cell.key: data.tensor_files.read_tensors(results.slot("train", cell).folder / shard.FINAL)[0]
        for cell in grid.expand(results.config)
    }


def same(a: dict, b: dict) -> bool:
    """Bitwise, history included (NaN equals NaN in bits)."""
    return a.keys() == b.keys() and all(
        torch.equal(a[cell][name].view(torch.int32), b[cell][name].view(torch.int32)) for cell in a for name in a[cell]
    )


def wide(raw: dict, steps: int) -> dict:
    """Sixteen cells over three paths and laws, at the width the invariance is promised for."""
    raw = copy.deepcopy(raw)
    experiment = raw["experiments"][0]
    experiment |= {"paths": ["linear", "cosine", "vp"], "times": ["uniform", "logit_normal"], "seeds": [0]}
    experiment["weightings"] = ["uniform", "elbo", "min_snr"]
    experiment["only"] = ["*.linear.*", "*.cosine.*", "*.vp.uniform.*", "*.vp.logit_normal.elbo.*"]
    experiment["training"] |= {"steps": steps, "save_every": steps}
    return raw
