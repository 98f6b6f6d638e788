"""A stored cell is read back as the network that samples and measures are made of."""

from __future__ import annotations

from pathlib import Path

import torch

from reproflow.foundation import config, grid
from reproflow.foundation.run import Run
from reproflow.learning import data, trained
from reproflow.learning.training import shard

CPU = torch.device("cpu")


def test_the_averaged_weights_are_meant_unless_others_are_asked_for(tiny_config: dict, tmp_path: Path) -> None:
    run = Run(config.check(tiny_config), tmp_path)
    experiment, cells, points = run.config.experiments[0], grid.expand(run.config), data.get_dataset("eight_gaussians")
    shard.train(experiment, [(cell, run.slot("train", cell)) for cell in cells], points, CPU)
    for cell in cells:
        slot = run.slot("train", cell)
        stored, _ = data.tensor_files.read_tensors(slot.folder / shard.FINAL)
        for part, asked in (("ema", {}), ("weights", {"weights": "weights"})):
            denoiser = trained.load_denoiser(cell, experiment, slot, points, CPU, **asked)
            for name, tensor in denoiser.network.state_dict().items():
                assert torch.equal(tensor[0], stored[f"{part}.{name}"])
            assert not any(parameter.requires_grad for parameter in denoiser.parameters())
        assert not torch.equal(stored["ema.weights.0"], stored["weights.weights.0"])
        assert (denoiser.path.name, denoiser.target.name) == (cell.path.name, cell.target)
