"""A small store that an earlier version made: the present code makes the same numbers, bit for bit.

`data/small/` holds the records of three tiny cells (Gaussian on the plane, masked and Gaussian on digits) through all
stages, with samples, likelihoods of every point and the weights of the first cell; the weights of the others, 160 KB
each, are held to the SHA-256 in their records. Bits depend on the processor and on libraries (`made_by.json`). On
others they cannot be compared: then numbers agree to 1e-5 and tensors to 2e-4 of their largest entry, where kernels for
other processors (ATEN_CPU_CAPABILITY) were seen to differ by 2e-6 and 5e-5, and 99 of 100 of the grey levels.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from reproflow.evaluation import cells as evaluation
from reproflow.evaluation.features.extractors import SHIPPED
from reproflow.foundation import config, explain, fingerprint, grid, store
from reproflow.foundation.run import Run
from reproflow.learning import data
from reproflow.learning.sampling import samples
from reproflow.learning.training import shard

KEPT = Path(__file__).with_name("data") / "small"
CPU = torch.device("cpu")
LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "torch-fidelity")
# What is another at each run, or at each version of the sources.
OWN = {"fingerprint", "parts", "seconds", "digest", "files"}
NUMBERS = 1e-5
TENSORS = 2e-4
LEVELS = 0.99


def made_by() -> dict[str, str]:
    """What bits depend on."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    found = {"cpu": model[1] if model else "unknown", "cpu_capability": torch.backends.cpu.get_cpu_capability()}
    return found | {name: importlib.metadata.version(name) for name in LIBRARIES}


EXACT = made_by().items() <= json.loads((KEPT / "made_by.json").read_text()).items()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same configuration through all stages, with the present code."""
    run = Run(config.load(KEPT / "small.yaml"), tmp_path_factory.mktemp("small"))
    for cells in grid.shards(run.config).values():
        experiment = grid.experiment_of(run.config, cells[0].experiment)
        loaded = data.get_dataset(experiment.dataset, experiment.process)
        slots = [(cell, *(run.slot(stage, cell) for stage in fingerprint.STAGES)) for cell in cells]
        shard.train(experiment, [(cell, trained) for cell, trained, *_ in slots], loaded, CPU)
        samples.sample(experiment, [(cell, trained, sampled) for cell, trained, sampled, _ in slots], loaded, CPU)
        features = SHIPPED if isinstance(loaded, data.ImageData) else None
        evaluation.evaluate(experiment, slots, loaded, CPU, features)
    return run


def differences(before: Any, now: Any, exact: bool, name: str = "") -> list[str]:
    """The names of numbers, texts and tensors that are not the same."""
    if isinstance(before, dict):
        assert before.keys() == now.keys(), name
        return [line for key in before for line in differences(before[key], now[key], exact, f"{name} {key}")]
    if isinstance(before, Tensor):
        same = torch.equal if exact else _close
        return [] if before.dtype == now.dtype and same(before.nan_to_num(-1), now.nan_to_num(-1)) else [name]
    if isinstance(before, float) and not exact:
        return [] if math.isclose(before, now, rel_tol=NUMBERS) else [name]
    return [] if before == now and type(before) is type(now) else [name]


def _close(before: Tensor, now: Tensor) -> bool:
    if not before.is_floating_point():
        return float((before == now).double().mean()) >= LEVELS
    return float((before - now).abs().max()) <= TENSORS * float(before.abs().max())


def cells() -> list[grid.Cell]:
    return grid.expand(config.load(KEPT / "small.yaml"))


@pytest.mark.parametrize("stage", fingerprint.STAGES)
@pytest.mark.parametrize("cell", cells(), ids=str)
def test_numbers_are_those_of_the_earlier_version(run: Run, cell: grid.Cell, stage: str) -> None:
    before, slot = store.newest_record(KEPT, stage, cell.key), run.slot(stage, cell)
    now = slot.record(read=True)
    assert before is not None
    assert now is not None
    assert differences({k: before[k] for k in before.keys() - OWN}, {k: now[k] for k in now.keys() - OWN}, EXACT) == []
    assert before["files"].keys() == now["files"].keys()
    if EXACT:
        assert before["files"] == now["files"]
    for name in before["files"]:
        for kept in (KEPT / "store" / stage / cell.key).glob(f"*/{name}"):
            assert differences(load_file(kept), load_file(slot.folder / name), EXACT) == []


def test_a_number_that_is_another_is_noticed() -> None:
    """The controls: the last bit of one weight, and where bits cannot be compared a change of one in a thousand."""
    file = next((KEPT / "store" / "train").glob("*/*/final.safetensors"))
    before, bit, more = load_file(file), load_file(file), load_file(file)
    first = before["weights.weights.0"].flatten()[0]
    bit["weights.weights.0"].view(-1)[0] = torch.nextafter(first, first + 1)
    more["weights.weights.0"] *= 1.001
    assert differences(before, before, exact=True) == []
    assert differences(before, bit, exact=True) == [" weights.weights.0"]
    assert differences(before, bit, exact=False) == []
    assert differences(before, more, exact=False) == [" weights.weights.0"]
    assert differences({"nll": 1.0, "n": 3}, {"nll": 1.0 + 1e-15, "n": 3}, exact=True) == [" nll"]
    assert differences({"nll": 1.0, "n": 3}, {"nll": 1.001, "n": 3}, exact=False) == [" nll"]


def test_a_record_of_the_earlier_version_is_explained_in_few_lines(run: Run) -> None:
    """Its sources are files, the present ones definitions: what cannot be compared is said once."""
    for cell in cells():
        for stage in fingerprint.STAGES:
            before = store.newest_record(KEPT, stage, cell.key)
            assert before is not None
            lines = explain.changed(before["parts"], run.slot(stage, cell).fingerprint.parts)
            assert lines[-1] == "sources: recorded by an earlier version of reproflow, file by file"
            assert len(lines) < 15, "every noun's digest, and the stage before"
            assert not any(line.startswith("source ") for line in lines)
