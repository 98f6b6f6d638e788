"""On a GPU: the same draws, and numbers that agree with the CPU's within rounding."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from reproflow.foundation import config, grid
from reproflow.foundation.run import Run
from reproflow.learning import data
from reproflow.learning.training import shard

pytestmark = pytest.mark.gpu


def test_training_agrees_with_the_cpu(tiny_config: dict, tmp_path: Path) -> None:
    found = {}
    for device in ("cpu", "cuda"):
        results = Run(config.check(tiny_config), tmp_path / device)
        cells, experiment = grid.expand(results.config), results.config.experiments[0]
        work = [(cell, results.slot("train", cell)) for cell in cells]
        shard.train(experiment, work, data.get_dataset("eight_gaussians"), torch.device(device))
        found[device] = [data.tensor_files.read_tensors(slot.folder / shard.FINAL)[0]["history"] for _, slot in work]
    for cpu, cuda in zip(found["cpu"], found["cuda"], strict=True):
        torch.testing.assert_close(cpu, cuda, rtol=1e-3, atol=1e-4)
