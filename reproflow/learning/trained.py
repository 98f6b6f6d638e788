"""The trained network of a cell, as its training left it in the store."""

from __future__ import annotations

import torch

from reproflow.foundation.config import Experiment
from reproflow.foundation.grid import Cell
from reproflow.foundation.store import Slot
from reproflow.learning.data import ImageData, ToyData, tensor_files
from reproflow.learning.networks.builders import stack
from reproflow.learning.networks.denoiser import DENOISERS, Denoiser
from reproflow.learning.networks.heads import head_for
from reproflow.learning.training.shard import FINAL
from reproflow.theory.paths import get_path


def load_denoiser(
    cell: Cell,
    experiment: Experiment,
    slot: Slot,
    data: ToyData | ImageData,
    device: torch.device,
    weights: str = "ema",
) -> Denoiser:
    """The trained network of a cell: its averaged weights, or the raw ones with `weights="weights"`."""
    tensors, _ = tensor_files.read_tensors(slot.folder / FINAL)
    state = {
        name.removeprefix(f"{weights}."): tensor for name, tensor in tensors.items() if name.startswith(f"{weights}.")
    }
    head = head_for(data, cell.process, cell.target, experiment.model)
    network = stack(head.architecture, [state]).to(device).eval().requires_grad_(False)
    path = get_path(cell.path, cell.process)
    return DENOISERS[cell.process](network, head, path, experiment.target_spec(cell.target))
