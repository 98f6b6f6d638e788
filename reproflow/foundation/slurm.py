"""Slurm: a job that was told to stop goes back into the queue, and later goes on from what it saved.

Slurm sends SIGTERM when a job is preempted, before its time limit (`--signal`), and when it is cancelled. In the first
two cases the job still counts as running, and putting it back is right: it keeps its place in the workflow and costs no
attempt. A cancelled job, or one out of time, is left alone; Snakemake's `retries` submit it again.
"""

from __future__ import annotations

import logging
import os
import subprocess

# A job that is put back over and over gets nowhere: its time limit is shorter than its start.
MOST_RESTARTS = 100

log = logging.getLogger(__name__)


def put_back() -> bool:
    """Puts this Slurm job back into its queue, where that is right; says whether it did.

    Right is: inside a job, with Slurm's word that it is running (not cancelled, not out of time) and may be requeued.
    Slurm ends the job as soon as it is put back, so everything must be saved before.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job is None:
        return False
    try:
        about = _told(job)
        if about.get("JobState") != "RUNNING" or about.get("Requeue") != "1":
            return False
        if int(about.get("Restarts", 0)) >= MOST_RESTARTS:
            log.warning("Slurm job %s was put back %d times and is not put back again", job, MOST_RESTARTS)
            return False
        subprocess.run(["scontrol", "requeue", job], check=True, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        log.warning("Slurm job %s could not be put back: %s", job, error)
        return False
    log.info("Slurm job %s is put back into the queue", job)
    return True


def _told(job: str) -> dict[str, str]:
    """What `scontrol show job` says, by key."""
    command = ["scontrol", "show", "job", "--oneliner", job]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    return dict(word.split("=", 1) for word in said.split() if "=" in word)
