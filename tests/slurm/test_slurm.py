"""The workflow on a real Slurm: the same files as without it, and nothing lost when jobs are stopped.

One cluster (`cluster.py`) serves all tests. Each works in a clone of its own, through `snakemake --profile slurm` as a
user would; only the pause between questions to squeue is shorter. "Undisturbed" is the same training by hand.
"""

from __future__ import annotations

import contextlib
import filecmp
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from clones import Clone, by_hand, finished, make_clone, resumed, stop, training, until
from cluster import GRACE, NODES, Cluster
from repository import ROOT

HERE = Path(__file__).parent
pytestmark = pytest.mark.slurm


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> dict[str, bytes]:
    """The weights of the long training, done by hand without Slurm."""
    alone = make_clone(tmp_path_factory.mktemp("alone") / "clone", cluster)
    by_hand(alone, "prepare", "eight_gaussians")
    by_hand(alone, "train", "--shard", "toy-000")
    return alone.weights()


def warned(process: int) -> bool:
    """Whether a halted process has a SIGTERM to notice when it goes on, or Slurm has let it go on with it already."""
    try:
        status = Path("/proc", str(process), "status").read_text()
    except FileNotFoundError:
        return True
    sent = [int(mask, 16) for mask in re.findall(r"^(?:Sig|Shd)Pnd:\s*(\w+)", status, re.MULTILINE)]
    return "(stopped)" not in status or any(mask >> (signal.SIGTERM - 1) & 1 for mask in sent)


def test_nothing_is_left_running_when_the_tests_are_killed() -> None:
    killed = """
import os, signal, sys
from cluster import Cluster

with Cluster() as cluster:
    print(cluster.folder, *(daemon.pid for daemon in cluster.daemons), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", killed], cwd=HERE, capture_output=True, text=True, check=False)
    folder, *daemons = done.stdout.split()
    assert len(daemons) == 2 + len(NODES)
    end = time.monotonic() + 30
    while left := [pid for pid in daemons if runs(pid)]:
        assert time.monotonic() < end, left
        time.sleep(0.2)
    shutil.rmtree(folder)


def runs(pid: str) -> bool:
    """Whether there is such a process, and not only its entry that nobody has asked for yet (which has no command)."""
    try:
        return bool(Path("/proc", pid, "cmdline").read_bytes())
    except FileNotFoundError:
        return False


def test_the_same_files_as_without_slurm(clone: Clone) -> None:
    ci = ["--configfile", "configs/ci.yaml"]
    # Without Slurm they are made in this very clone; after `make smoke` there is nothing to do.
    plain = ["snakemake", "--cores", "all", "--profile", "workflow/profiles/ci", *ci]
    done = subprocess.run(plain, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    there = clone.snakemake(*ci, REPROFLOW_GPU_PARTITION="gpu")
    seen: dict[str, list[str]] = {}
    asked: dict[str, str] = {}
    while there.poll() is None:
        new = {row[4]: row for row in clone.cluster.jobs() if row[5] == str(clone.folder) and row[4] not in seen}
        asked |= {comment: clone.cluster.run("scontrol", "show", "job", row[0]) for comment, row in new.items()}
        seen |= new
        time.sleep(1)
    finished(there, clone, 900)

    trained = [row for comment, row in seen.items() if "train" in comment]
    assert len(trained) == 3
    assert {row[2] for row in trained} == {"gpu"}
    with_gpu = {comment for comment, about in asked.items() if "TresPerJob=gres:gpu" in about}
    assert with_gpu >= {row[4] for row in trained}
    assert not [each for each in with_gpu if any(part in each for part in ("data_", "claims", "cascade", "report"))]
    # Short jobs share a submission: two data sets and a feature network, all samples with all measures, the report.
    assert len(seen) == 3 + len(["data", "measure", "claims", "cascade", "report"]), seen

    mine, theirs = clone.folder / "results/ci", ROOT / "results/ci"
    differ_by_nature = {"timings.csv", "provenance.json"}
    # A clone that has been worked in may hold files of an older state beside those of this one.
    names = {str(path.relative_to(mine)) for path in mine.glob("*.*")}
    names |= {
        str(path.relative_to(mine)) for part in ("tables", "figures", "samples") for path in mine.glob(f"{part}/*")
    }
    assert {"cells.csv", "claims.csv", "report.html", "tables/cells.csv"} <= names
    differ = [name for name in names - differ_by_nature if not filecmp.cmp(mine / name, theirs / name, shallow=False)]
    assert differ == []
    weights = {path.relative_to(mine) for path in mine.glob("store/train/*/*/final.safetensors")}
    assert len(weights) == 9
    assert all(filecmp.cmp(mine / name, theirs / name, shallow=False) for name in weights)

    again = clone.snakemake(*ci)
    finished(again, clone)
    assert "Nothing to be done (all requested files are present and up to date)." in clone.said


def test_a_preempted_job_is_put_back_and_loses_nothing(clone: Clone, undisturbed: dict[str, bytes]) -> None:
    run = clone.train(REPROFLOW_GPU_PARTITION="preempt")
    job = training(clone)
    clone.cluster.run("sbatch", "--exclusive", f"--nodes={len(NODES)}", "--output=/dev/null", "--wrap=sleep 2")
    began = time.monotonic()
    step, log = stop(clone)
    assert time.monotonic() - began < GRACE, "it did not wait to be killed"
    finished(run, clone)
    assert f"Slurm job {job} is put back" in log
    assert "Restarts=1" in clone.cluster.run("scontrol", "show", "job", job)
    assert "Trying to restart job" not in clone.said, "Snakemake's own retries were not needed"
    assert resumed(clone) == {step}
    assert clone.weights() == undisturbed


def test_a_job_out_of_time_goes_on_in_its_next_turn(clone: Clone, undisturbed: dict[str, bytes]) -> None:
    # Slurm warns up to a minute early, and looks every half: between 20 and 50 s from the start.
    # Warned before it trains, on a slow machine, the job fails and is submitted again: with no more time than before.
    run = clone.train(REPROFLOW_RUNTIME="2", REPROFLOW_MAX_RUNTIME="2", REPROFLOW_WARNING="40")
    job = training(clone)
    # The training is halted until it has been warned, so that it is in the middle however fast the machine is.
    process = clone.trainer()
    os.kill(process, signal.SIGSTOP)
    until(lambda: warned(process), 90, clone)
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGCONT)
    step, log = stop(clone)
    finished(run, clone, 420)
    assert f"Slurm job {job} is put back" in log
    assert min(resumed(clone)) >= step
    assert clone.weights() == undisturbed


def test_a_cancelled_job_is_submitted_again_and_goes_on(clone: Clone, undisturbed: dict[str, bytes]) -> None:
    run = clone.train()
    clone.cluster.run("scancel", job := training(clone))
    step, log = stop(clone)
    finished(run, clone)
    assert "is put back" not in log, "who cancels a job does not want it back"
    assert "Trying to restart job" in clone.said
    assert "CANCELLED" in clone.cluster.run("squeue", "--states=all", "--noheader", "--format=%T", f"--jobs={job}")
    assert resumed(clone) == {step}
    assert clone.weights() == undisturbed


def test_after_a_kill_of_snakemake_no_cell_is_trained_twice(clone: Clone, undisturbed: dict[str, bytes]) -> None:
    first = clone.train()
    orphan = training(clone)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert clone.job() == orphan, "Slurm's job lives on"
    # It is halted meanwhile, its lock in hand, so that it is in the middle of its training however slow the machine is.
    clone.cluster.run("scontrol", "suspend", orphan)
    unlock = clone.snakemake("--configfile", "long.yaml", "--unlock")
    finished(unlock, clone)

    second = clone.train()
    until(lambda: "is locked by pid" in clone.log, 120, clone)
    assert second.poll() is None or second.returncode != 0
    second.send_signal(signal.SIGINT)
    second.wait(600)
    clone.cluster.run("scontrol", "resume", orphan)
    until(lambda: not clone.cluster.jobs("%i|%Z", f"--jobs={orphan}", "--states=RUNNING"), 120, clone)
    finished(clone.snakemake("--configfile", "long.yaml", "--unlock"), clone)
    third = clone.train()
    finished(third, clone)
    assert "0 of 2 cells to train" in clone.log, "the orphan had trained them"
    assert clone.weights() == undisturbed
