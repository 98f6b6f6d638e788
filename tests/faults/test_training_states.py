"""Training resumes from its states to the same bits, and passes over damaged, foreign and malicious ones (17)."""

from __future__ import annotations

import os
import pickle
import random
from pathlib import Path

import pytest
import torch
from training_runs import open_run, same, train, weights

from reproflow.foundation import grid
from reproflow.foundation.errors import InterruptedRun
from reproflow.learning.training import checkpoint


def test_a_second_run_trains_nothing(undisturbed: dict, tiny_config: dict, tmp_path: Path) -> None:
    results = open_run(tiny_config, tmp_path / "undisturbed")
    before = {path: path.stat().st_mtime_ns for path in results.folder.rglob("*.safetensors")}
    train(results)
    assert before == {path: path.stat().st_mtime_ns for path in results.folder.rglob("*.safetensors")}


@pytest.mark.parametrize("at", [1, 10, 17, 39])
@pytest.mark.default_cases(2)
def test_a_stop_is_resumed_to_the_same_bits(undisturbed: dict, tiny_config: dict, tmp_path: Path, at: int) -> None:
    results, calls = open_run(tiny_config, tmp_path / "stopped"), iter(range(10**6))
    with pytest.raises(InterruptedRun, match=f"stopped at step {at} of 40"):
        train(results, should_stop=lambda: next(calls) >= at - 1)
    assert InterruptedRun.exit_code == 75
    for cell in grid.expand(results.config):
        slot = results.slot("train", cell)
        state = checkpoint.load(slot.folder, slot.fingerprint.value)
        assert state is not None, "nothing of what was done is lost"
        assert state.step == at
    train(results)
    assert same(weights(results), undisturbed)


def test_cells_at_different_steps_meet(undisturbed: dict, tiny_config: dict, tmp_path: Path) -> None:
    """A kill between two checkpoints of one save leaves some cells behind; they catch up and go on together."""
    results, calls = open_run(tiny_config, tmp_path / "mixed"), iter(range(10**6))
    with pytest.raises(InterruptedRun):
        train(results, should_stop=lambda: next(calls) >= 24)
    first, second, _ = (results.slot("train", cell).folder for cell in grid.expand(results.config))
    os.replace(first / checkpoint.PREVIOUS, first / checkpoint.CURRENT)
    checkpoint.clear(second)
    train(results)
    assert same(weights(results), undisturbed)


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "random": lambda path: path.write_bytes(random.Random(0).randbytes(4096)),
    "one bit": lambda path: flip(path),
    "absent": lambda path: path.unlink(),
}


def flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-100] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.slow
def test_damaged_states_are_passed_over(
    undisturbed: dict, tiny_config: dict, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str, both: bool
) -> None:
    results, calls = open_run(tiny_config, tmp_path / "damaged"), iter(range(10**6))
    with pytest.raises(InterruptedRun):
        train(results, should_stop=lambda: next(calls) >= 24)
    folder = results.slot("train", grid.expand(results.config)[0]).folder
    for name in (checkpoint.CURRENT, checkpoint.PREVIOUS)[: 1 + both]:
        DAMAGES[damage](folder / name)
    train(results)
    assert same(weights(results), undisturbed)
    if damage != "absent":
        assert "falling back" in caplog.text
        assert ("starts afresh" in caplog.text) == both


class Malicious:
    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self):
        return (Path.touch, (self.witness,))


def test_a_pickle_is_never_executed(tiny_config: dict, tmp_path: Path) -> None:
    results, witness = open_run(tiny_config, tmp_path / "pickled"), tmp_path / "executed"
    folder = results.slot("train", grid.expand(results.config)[0]).folder
    folder.mkdir(parents=True)
    (folder / checkpoint.CURRENT).write_bytes(pickle.dumps(Malicious(witness)))
    torch.save({"x": Malicious(witness)}, folder / checkpoint.PREVIOUS)
    train(results)
    assert not witness.exists()
    pickle.loads(pickle.dumps(Malicious(witness)))
    assert witness.exists(), "the control: unpickled, it runs"


def test_a_state_of_another_fingerprint_or_format_is_ignored(tiny_config: dict, tmp_path: Path, monkeypatch) -> None:
    tensors = {"x": torch.ones(3)}
    checkpoint.save(tmp_path, "mine", checkpoint.Checkpoint(7, tensors))
    assert checkpoint.load(tmp_path, "mine").step == 7
    assert checkpoint.load(tmp_path, "another") is None
    monkeypatch.setattr(checkpoint, "FORMAT", 99)
    assert checkpoint.load(tmp_path, "mine") is None
