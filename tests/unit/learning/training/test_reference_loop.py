"""Training is what a plain loop does, and no part of it can be left out unnoticed (`reference_training`).

To rounding, not to the bit: the reference multiplies matrices of one network and adds squared gradients in another
order, in float32. After 28 steps that is 1e-6 of a tensor's largest entry; the tolerance is 2e-5, and what a missing
part does is fifty times as large at least.
"""

from __future__ import annotations

import functools

import pytest
import reference_training as plain
import torch
from torch import Tensor

from reproflow.foundation import config, grid
from reproflow.foundation.run import Run
from reproflow.learning import data
from reproflow.learning.training import batches, shard

ROUNDING = 2e-5
SEEDS = (0, 1)


def settings(kind: str) -> dict:
    process = "masked" if kind == "masked" else "gaussian"
    return {
        "name": kind,
        "process": process,
        "dataset": "digits8",
        "paths": ["cosine"],
        "times": ["logit_normal"],
        "weightings": ["elbo" if kind == "masked" else "sigmoid"],
        "seeds": list(SEEDS),
        "model": {"width": plain.WIDTH, "depth": 2},
        "training": {
            "steps": plain.STEPS,
            "batch": plain.BATCH,
            "lr": plain.LR,
            "warmup": plain.WARMUP,
            "clip": plain.CLIP[kind],
            "weight_decay": plain.DECAY,
            "ema": plain.EMA,
            "t_range": [plain.LOW, plain.HIGH],
            "log_every": 1,
        },
        "sampling": {"solver": "ancestral" if process == "masked" else "heun", "n": 200},
    } | ({"targets": [plain.KINDS[kind]]} if process == "gaussian" else {})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Tensor]]]:
    """What a shard of both seeds stores, by kind; with chunks so short that a run has three."""
    found = {}
    patch = pytest.MonkeyPatch()
    patch.setattr(batches, "CHUNK", plain.CHUNK)
    for kind in plain.KINDS:
        run = Run(config.check({"name": kind, "experiments": [settings(kind)]}), tmp_path_factory.mktemp(kind))
        work = [(cell, run.slot("train", cell)) for cell in grid.expand(run.config)]
        shard.train(run.config.experiments[0], work, data.get_dataset("digits8"), torch.device("cpu"))
        found[kind] = [data.tensor_files.read_tensors(slot.folder / shard.FINAL)[0] for _, slot in work]
    patch.undo()
    return found


@functools.cache
def digits() -> tuple[Tensor, Tensor]:
    return plain.digits(data.get_dataset("digits8").test)


def distance(stored: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """The largest difference of any tensor, in units of its largest entry."""
    assert stored.keys() == other.keys()
    return max(float((stored[name] - other[name]).abs().max() / stored[name].abs().max()) for name in stored)


@pytest.mark.parametrize("kind", plain.KINDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_cell_of_a_stack_is_trained_as_one_network_is(kind: str, seed: int, trained: dict) -> None:
    found = trained[kind][seed]
    assert distance(found, plain.Reference(kind, seed, digits()).train()) < ROUNDING
    norms = found["history"][:, 1]
    # Some gradients are clipped and others are not: neither rule alone would do.
    assert 3 < int((norms > plain.CLIP[kind]).sum()) < plain.STEPS - 3


@pytest.mark.parametrize(("kind", "part"), plain.PARTS)
def test_no_part_can_be_left_out(kind: str, part: str, trained: dict) -> None:
    assert distance(trained[kind][1], plain.Reference(kind, 1, digits(), without=part).train()) > 50 * ROUNDING
