"""A SIGTERM in a job that the profile did not submit ends the training, saved, with 75; the job stays its owner's.

The training is stopped as soon as it has saved a state, by what stops it in life: `timeout`, whose alarm is rung early.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from pathlib import Path

import pytest
from clones import SHARD, Clone, by_hand, finished, training, until

pytestmark = pytest.mark.slurm

TRAIN = f"{sys.executable} -m reproflow train --shard toy-000 --config long.yaml"
STOPPED = f"""#!/bin/bash
# What a user's own script does; SIGALRM is how `timeout` learns that the time is over.
echo began
timeout --preserve-status --signal=TERM 1000 {TRAIN} &
until ls results/long/store/train/*/*/state.safetensors; do sleep 0.2; done &> /dev/null
kill -ALRM $!
wait $!
echo "ended with $?"
"""
# What a job that is submitted from inside a job of the profile inherits.
INSIDE = {"SLURM_JOB_NAME": "reproflow_01234567-89ab-cdef-0123-456789abcdef", "SLURM_JOB_ID": "1", "SLURM_STEP_ID": "0"}


@pytest.fixture
def prepared(clone: Clone) -> Clone:
    """A clone with its data and the script."""
    by_hand(clone, "prepare", "eight_gaussians")
    (clone.folder / "stopped.sh").write_text(STOPPED)
    (clone.folder / "in_a_step.sh").write_text("#!/bin/bash\nsrun --ntasks=1 bash stopped.sh\n")
    return clone


def about(clone: Clone, job: str) -> dict[str, str]:
    return dict(re.findall(r"(\w+)=(\S*)", clone.cluster.run("scontrol", "show", "job", job)))


def submitted(clone: Clone, *arguments: str, **environment: str) -> str:
    """The id of a job that the user submits in the clone, with requeueing allowed, once it has ended."""
    options = ["--parsable", "--requeue", "--output=out.txt", "--open-mode=append", "--mem=4000"]
    sbatch = clone.start("sbatch", *options, *arguments, **environment)
    finished(sbatch, clone)
    job = clone.said.split()[-1]
    until(lambda: about(clone, job)["JobState"] not in ("PENDING", "RUNNING", "COMPLETING"), 240, clone)
    return job


@pytest.mark.parametrize(
    ("script", "environment"),
    [("stopped.sh", {}), ("in_a_step.sh", {}), ("stopped.sh", INSIDE), ("in_a_step.sh", INSIDE)],
    ids=["script", "step", "script of a job inside a job", "step of a job inside a job"],
)
def test_a_users_own_batch_script_is_not_put_back(prepared: Clone, script: str, environment: dict[str, str]) -> None:
    job = submitted(prepared, script, **environment)
    told = about(prepared, job)
    said = (prepared.folder / "out.txt").read_text().splitlines()
    assert said.count("began") == said.count("ended with 75") == 1, (said, told)
    assert (told["Restarts"], told["Requeue"], told["JobState"]) == ("0", "1", "COMPLETED")


def test_a_step_of_salloc_is_not_put_back(prepared: Clone) -> None:
    run = prepared.start(
        "salloc", "--ntasks=1", "--mem=4000", "bash", "-c", "echo job $SLURM_JOB_ID; bash in_a_step.sh"
    )
    finished(run, prepared)
    assert "ended with 75" in prepared.said
    [job] = re.findall(r"^job (\d+)$", prepared.said, re.MULTILINE)
    assert about(prepared, job)["Restarts"] == "0"


def test_snakemake_in_a_users_job_works_in_the_users_job(prepared: Clone) -> None:
    clone, path = prepared, f"export PATH={Path(sys.executable).parent}:$PATH"
    sbatch = clone.start(
        "sbatch", "--parsable", "--requeue", "--output=out.txt", "--mem=4000", "--job-name=reproflow",
        f"--wrap={path}; srun --ntasks=1 snakemake --cores all --configfile long.yaml -- {SHARD}; echo ended with $?",
    )  # fmt: skip
    finished(sbatch, clone)
    job = clone.said.split()[-1]
    saved = clone.folder / "results/long/store/train"
    until(lambda: list(saved.glob("*/*/state.safetensors")), 180, clone)
    os.kill(clone.trainer(), signal.SIGTERM)
    until(lambda: about(clone, job)["JobState"] not in ("PENDING", "RUNNING", "COMPLETING"), 120, clone)
    assert "stopped at step" in clone.log
    assert "ended with 1" in (clone.folder / "out.txt").read_text()
    assert (about(clone, job)["Restarts"], about(clone, job)["JobState"]) == ("0", "COMPLETED")


def test_what_a_user_starts_beside_the_work_of_a_job_leaves_that_job_alone(prepared: Clone) -> None:
    shutil.copytree(prepared.folder / "results/long", prepared.folder / "beside")
    script = STOPPED.replace("results/long", "beside").replace("long.yaml", "long.yaml --results beside")
    (prepared.folder / "beside.sh").write_text("echo step $SLURM_STEP_ID\n" + script)
    run = prepared.train()
    job = training(prepared)
    # The job's own work waits meanwhile, so that it is there at the end however fast the machine is.
    process = prepared.trainer()
    os.kill(process, signal.SIGSTOP)
    beside = ["srun", f"--jobid={job}", "--overlap", "--ntasks=1", "--mem=0", "bash", "beside.sh"]
    finished(prepared.start(*beside), prepared)
    assert re.findall(r"^(?:step|ended with) \d+$", prepared.said, re.MULTILINE) == ["step 1", "ended with 75"]
    assert (about(prepared, job)["Restarts"], about(prepared, job)["JobState"]) == ("0", "RUNNING")
    assert "stopped at step" not in prepared.log
    os.kill(process, signal.SIGCONT)
    run.send_signal(signal.SIGINT)
    run.wait(600)


def test_the_control_the_same_signal_in_the_work_of_a_job_of_the_profile_puts_it_back(prepared: Clone) -> None:
    run = prepared.train(REPROFLOW_GPU_PARTITION="gpu")
    job = training(prepared)
    os.kill(prepared.trainer(), signal.SIGTERM)
    until(lambda: about(prepared, job)["Restarts"] == "1", 120, prepared)
    run.send_signal(signal.SIGINT)
    run.wait(600)
