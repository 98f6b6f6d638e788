"""Clones of this repository on the tests' cluster: the long training that is stopped, and what is seen of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster import Cluster
from repository import ROOT
from workflow_clone import listed_files

TRAINING = """
name: long
experiments:
  - name: toy
    process: gaussian
    dataset: eight_gaussians
    paths: [linear]
    weightings: [uniform, elbo]
    seeds: [0]
    model: {width: 32, depth: 2}
    training: {steps: STEPS, batch: 64, lr: 2e-3, warmup: 10, ema: 0.9, save_every: 500}
"""
STEPS = 48000
PATIENCE = 5
SHARD = "results/long/shards/toy-000.train"


@dataclass(frozen=True)
class Clone:
    """A clone's files in a folder, and commands run there on the cluster."""

    folder: Path
    cluster: Cluster

    def start(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        """Starts a command; what it says goes to `said.txt`, where a test's failure can show it."""
        path = os.pathsep.join([str(Path(sys.executable).parent), self.cluster.environment["PATH"]])
        env = self.cluster.environment | {"PATH": path, "PYTHONPATH": str(self.folder)} | environment
        with open(self.folder / "said.txt", "a") as out:
            # A shell's background jobs, which these tests may be, ignore Control-C; the command must not.
            heeding = ("env", "--default-signal=INT", *command)
            return subprocess.Popen(heeding, cwd=self.folder, env=env, stdout=out, stderr=out, text=True)

    def snakemake(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        quick = ["--slurm-init-seconds-before-status-checks", "2"]
        return self.start("snakemake", "--cores", "all", "--profile", "slurm", *quick, *arguments, **environment)

    def train(self, **environment: str) -> subprocess.Popen[str]:
        """The workflow from the data, which are there, to the one trained shard of `long.yaml`."""
        if not (self.folder / "results/long/data/eight_gaussians.safetensors").exists():
            by_hand(self, "prepare", "eight_gaussians")
        return self.snakemake("--configfile", "long.yaml", "--", SHARD, **environment)

    @property
    def said(self) -> str:
        return (self.folder / "said.txt").read_text()

    @property
    def log(self) -> str:
        """The training's own log, as it stands."""
        path = self.folder / "results/long/logs/train/toy-000.log"
        return path.read_text() if path.exists() else ""

    def job(self) -> str:
        """The id of this clone's running training job, or the empty string."""
        rows = self.cluster.jobs("%i|%T|%k|%Z")
        mine = [row[0] for row in rows if row[1] == "RUNNING" and "train" in row[2] and row[3] == str(self.folder)]
        return mine[0] if mine else ""

    def trainer(self) -> int:
        """The process that trains, as its lock names it."""
        lock = next((self.folder / "results/long/store/train").glob("*/*/lock"))
        return int(lock.read_text().split()[1])  # pid N on host H

    def weights(self) -> dict[str, bytes]:
        """The finished networks, by cell and file."""
        files = sorted((self.folder / "results/long/store/train").glob("*/*/final.safetensors"))
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in files}


def make_clone(folder: Path, cluster: Cluster) -> Clone:
    """A clone with what is not committed yet, the link `slurm` as the link that it is, and the long training."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    for name in listed_files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).unlink(missing_ok=True)
        if os.path.lexists(ROOT / name):
            shutil.copy(ROOT / name, folder / name, follow_symlinks=False)
    (folder / "long.yaml").write_text(TRAINING.replace("STEPS", str(STEPS)))
    return Clone(folder, cluster)


def by_hand(clone: Clone, *verb: str) -> None:
    done = clone.start(sys.executable, "-m", "reproflow", *verb, "--config", "long.yaml")
    assert done.wait(1200) == 0, clone.said


def until(done: Callable[[], Any], seconds: float, clone: Clone) -> Any:
    """What `done` gives once it is true. The seconds do for an idle machine; a busy one has `PATIENCE` times that."""
    seconds *= PATIENCE
    end = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < end, f"waited {seconds:g} s in vain\n{clone.log}\n{clone.said[-4000:]}"
        time.sleep(0.2)
    return found


def training(clone: Clone) -> str:
    """Waits until the training has saved a state; the id of its job."""
    saved = clone.folder / "results/long/store/train"
    until(lambda: list(saved.glob("*/*/state.safetensors")) and clone.job(), 400, clone)
    return clone.job()


def stop(clone: Clone) -> tuple[int, str]:
    """Waits until the training has stopped: at which step, and its log then, which the next turn begins anew."""
    log = until(lambda: clone.log if "stopped at step" in clone.log else "", 120, clone)
    return int(re.findall(r"stopped at step (\d+)", log)[-1]), log


def resumed(clone: Clone) -> set[int]:
    """The steps at which the cells of the last turn went on."""
    return {int(step) for step in re.findall(r"resumes at step (\d+)", clone.log)}


def finished(run: subprocess.Popen[str], clone: Clone, seconds: float = 240 * PATIENCE) -> None:
    try:
        code = run.wait(seconds)
    except subprocess.TimeoutExpired:
        run.kill()
        raise AssertionError(f"no end after {seconds:g} s\n{clone.log}\n{clone.said[-4000:]}") from None
    assert code == 0, f"{clone.log}\n{clone.said[-6000:]}"
