"""Training loses nothing: shards, kills, bad states, divergence (faults 10-15, 17, 28)."""

from __future__ import annotations

import copy
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from reproflow.foundation import config, files, grid
from reproflow.foundation.errors import InterruptedRun
from reproflow.foundation.run import Run
from reproflow.learning import data
from reproflow.learning.training import checkpoint, shard

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
        cell.key: data.prepared.read_tensors(results.slot("train", cell).folder / shard.FINAL)[0]
        for cell in grid.expand(results.config)
    }


def same(a: dict, b: dict) -> bool:
    """Bitwise, history included (NaN equals NaN in bits)."""
    return a.keys() == b.keys() and all(
        torch.equal(a[cell][name].view(torch.int32), b[cell][name].view(torch.int32)) for cell in a for name in a[cell]
    )


@pytest.fixture
def undisturbed(tiny_config: dict, tmp_path: Path) -> dict:
    results = open_run(tiny_config, tmp_path / "undisturbed")
    train(results)
    return weights(results)


def wide(raw: dict, steps: int) -> dict:
    """Sixteen cells over three paths and laws, at the width the invariance is promised for."""
    raw = copy.deepcopy(raw)
    experiment = raw["experiments"][0]
    experiment |= {"paths": ["linear", "cosine", "vp"], "times": ["uniform", "logit_normal"], "seeds": [0]}
    experiment["weightings"] = ["uniform", "elbo", "min_snr"]
    experiment["only"] = ["*.linear.*", "*.cosine.*", "*.vp.uniform.*", "*.vp.logit_normal.elbo.*"]
    experiment["training"] |= {"steps": steps, "save_every": steps}
    return raw


def test_results_do_not_depend_on_sharding(tiny_config: dict, tmp_path: Path) -> None:
    """600 steps of 16 cells: shards of 1, 3, 5 and 16 give the same bits."""
    raw = wide(tiny_config, 600)
    assert len(grid.expand(config.check(raw))) == 16
    found = {}
    for size in (16, 1, 3, 5):
        results = open_run(raw, tmp_path / str(size))
        train(results, size)
        found[size] = weights(results)
    assert all(same(found[16], found[size]) for size in (1, 3, 5))


@pytest.mark.parametrize(("process", "target"), [("masked", "ce"), ("gaussian", "x1"), ("gaussian", "velocity")])
def test_image_cells_do_not_depend_on_sharding(process: str, target: str, tmp_path: Path) -> None:
    experiment = {
        "name": "digits",
        "process": process,
        "dataset": "digits8",
        "paths": ["cosine"],
        "weightings": ["elbo", "fm", "iddpm"],
        "seeds": [0],
        "model": {"width": 64, "depth": 2},
        "training": {"steps": 30, "batch": 32, "warmup": 5, "save_every": 10},
        "sampling": {"solver": "ancestral" if process == "masked" else "heun", "steps": 4},
    } | ({} if process == "masked" else {"targets": [target]})
    raw = {"name": "digits", "experiments": [experiment]}
    one, three = open_run(raw, tmp_path / "one"), open_run(raw, tmp_path / "three")
    train(one, 1)
    train(three, 3)
    assert same(weights(one), weights(three))


def test_seeds_and_weightings_differ(undisturbed: dict, tiny_config: dict, tmp_path: Path) -> None:
    """The control of every equality here: what should differ does."""
    tiny_config["experiments"][0]["seeds"] = [1]
    other = open_run(tiny_config, tmp_path / "other")
    train(other)
    first, *rest = [*undisturbed.values(), *weights(other).values()]
    assert all(not torch.equal(first["ema.weights.0"], each["ema.weights.0"]) for each in rest)


def test_a_second_run_trains_nothing(undisturbed: dict, tiny_config: dict, tmp_path: Path) -> None:
    results = open_run(tiny_config, tmp_path / "undisturbed")
    before = {path: path.stat().st_mtime_ns for path in results.folder.rglob("*.safetensors")}
    train(results)
    assert before == {path: path.stat().st_mtime_ns for path in results.folder.rglob("*.safetensors")}


@pytest.mark.parametrize("at", [1, 10, 17, 39])
def test_a_stop_is_resumed_to_the_same_bits(undisturbed: dict, tiny_config: dict, tmp_path: Path, at: int) -> None:
    results, calls = open_run(tiny_config, tmp_path / "stopped"), iter(range(10**6))
    with pytest.raises(InterruptedRun, match=f"stopped at step {at} of 40"):
        train(results, should_stop=lambda: next(calls) >= at - 1)
    assert InterruptedRun.exit_code == 75
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


def test_a_diverging_cell_leaves_the_others_unharmed(
    undisturbed: dict, tiny_config: dict, tmp_path: Path, monkeypatch
) -> None:
    """From step 12 on, the second cell's loss is NaN."""
    from reproflow.learning.training import stack

    honest = stack.loss

    def poisoned(head, network, batch, *rest):
        losses = honest(head, network, batch, *rest)
        return losses * torch.tensor([1.0, torch.nan, 1.0]) if len(losses) == 3 and poisoned.step >= 12 else losses

    poisoned.step = 0
    advance = stack.Stack.advance

    def counted(self, batch):
        poisoned.step = self.step
        return advance(self, batch)

    monkeypatch.setattr(stack, "loss", poisoned)
    monkeypatch.setattr(stack.Stack, "advance", counted)
    results = open_run(tiny_config, tmp_path / "diverged")
    train(results)
    first, second, third = grid.expand(results.config)
    record = results.slot("train", second).record()
    assert (record["status"], record["step"]) == ("diverged", 12)
    kept = weights(results)
    assert all(kept[second.key][name].isfinite().all() for name in kept[second.key] if name != "history")
    for cell in (first, third):
        assert results.slot("train", cell).record()["status"] == "ok"
        assert same({cell.key: kept[cell.key]}, {cell.key: undisturbed[cell.key]})


def test_two_processes_on_one_cell(tiny_config: dict, tmp_path: Path) -> None:
    results = open_run(tiny_config, tmp_path / "locked")
    slot = results.slot("train", grid.expand(results.config)[0])
    code = "import sys, time; from pathlib import Path; from reproflow.foundation.store import Slot\n"
    code += "with Slot(Path(sys.argv[1]), None).locked(): print('held', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", code, str(slot.folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InterruptedRun, match=f"locked by pid {holder.pid} on host"):
            train(results)
    finally:
        holder.kill()
        holder.wait()
    train(results)
    assert slot.record()["status"] == "ok"


def command(folder: Path, raw: dict, tmp_path: Path) -> list[str]:
    file = tmp_path / "config.json"
    file.write_text(config.dump(config.check(raw)))
    data.prepare("eight_gaussians", folder / "data" / "eight_gaussians.safetensors")
    return [
        sys.executable,
        "-m",
        "reproflow",
        "train",
        "--config",
        str(file),
        "--results",
        str(folder),
        "--shard",
        "toy-000",
    ]


def steps_saved(folder: Path) -> int:
    return len(list(folder.glob("store/train/*/*/state.safetensors")))


def kill_after(arguments: list[str], folder: Path, seconds: float, number: int) -> int:
    """Starts a run, waits until it has begun to train and then some, sends the signal; the exit code."""
    for lock in folder.glob("store/train/*/*/lock"):
        lock.unlink()
    process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
    began = time.monotonic()
    while process.poll() is None and not list(folder.glob("store/train/*/*/lock")) and time.monotonic() - began < 60:
        time.sleep(0.01)
    time.sleep(seconds)
    process.send_signal(number)
    return process.wait(timeout=60)


def test_sigterm_saves_and_exits_75(tiny_config: dict, tmp_path: Path) -> None:
    raw = wide(tiny_config, 600)
    raw["experiments"][0]["training"]["save_every"] = 50
    straight = open_run(raw, tmp_path / "straight")
    train(straight)
    folder = tmp_path / "signalled"
    arguments = command(folder, raw, tmp_path)
    for number in (signal.SIGTERM, signal.SIGUSR1):
        assert kill_after(arguments, folder, 0.2, number) == 75
        assert steps_saved(folder) == 16
    assert subprocess.run(arguments, stderr=subprocess.DEVNULL, check=False).returncode == 0
    assert same(weights(open_run(raw, folder)), weights(straight))


@pytest.mark.slow
def test_sigkill_at_random_moments_ends_in_the_same_weights(tiny_config: dict, tmp_path: Path) -> None:
    """Ten kills at random moments of one run, each resumed; saving at every third step, so that kills hit saves."""
    raw = wide(tiny_config, 6000)
    straight = open_run(raw, tmp_path / "straight")
    train(straight)
    raw["experiments"][0]["training"]["save_every"] = 3
    folder, dice = tmp_path / "killed", random.Random(1)
    arguments = command(folder, raw, tmp_path)
    kills = sum(
        kill_after(arguments, folder, dice.uniform(0.1, 1.5), signal.SIGKILL) == -signal.SIGKILL for _ in range(10)
    )
    assert kills == 10
    assert subprocess.run(arguments, stderr=subprocess.DEVNULL, check=False).returncode == 0
    assert same(weights(open_run(raw, folder)), weights(straight))
    assert not list(folder.rglob(f"{files.TEMPORARY}*"))
