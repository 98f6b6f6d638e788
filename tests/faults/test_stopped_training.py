"""Training that is signalled, killed, or run by two processes loses nothing (28)."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from training_runs import open_run, same, train, weights, wide

from reproflow.foundation import config, files, grid
from reproflow.foundation.errors import InterruptedRun
from reproflow.learning import data


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


@pytest.mark.slow
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
