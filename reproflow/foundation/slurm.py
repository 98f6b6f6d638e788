"""Slurm: a job that was told to stop goes back into the queue, and later goes on from what it saved.

Slurm sends SIGTERM when a job is preempted, before its time limit (`--signal`), and when it is cancelled. In the first
two cases the job still counts as running, and putting it back is right: it keeps its place in the workflow and costs no
attempt. A cancelled job, or one out of time, is left alone; Snakemake's `retries` submit it again.

A job that somebody wrote himself is his own: a `timeout` in it sends SIGTERM too, and put back it would begin anew, for
ever. Ours is what the Slurm profile submitted. Its mark is the job's name, which the profile begins with `PREFIX` and
the executor ends with the run's UUID. Slurm's controller keeps it with the job; a variable would be inherited by a job
that is submitted from inside. The work is the job's first step; what somebody starts beside it is not.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess

# `slurm-jobname-prefix` of workflow/profiles/slurm, and what the executor makes of it.
PREFIX = "reproflow"
NAME = re.compile(rf"{PREFIX}_[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}")
# The executor's batch script starts one step, and the rules run in it.
STEP = "0"
# A job that is put back over and over gets nowhere: its time limit is shorter than its start.
MOST_RESTARTS = 100

log = logging.getLogger(__name__)


def put_back() -> bool:
    """Puts this Slurm job back into its queue, where that is right; says whether it did.

    Right is: in the step that does the work of a job of the profile, with Slurm's word that the job is running (not
    cancelled, not out of time) and may be requeued. Slurm ends the job as soon as it is put back, so everything must be
    saved before.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job is None or os.environ.get("SLURM_STEP_ID") != STEP:
        return False
    try:
        about = _told(job)
        if not NAME.fullmatch(about.get("JobName", "")):
            return False
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
    """What `scontrol show job` says, by key. The first word of a key counts: a later one may be a user's free text."""
    command = ["scontrol", "show", "job", "--oneliner", job]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    return dict(word.split("=", 1) for word in reversed(said.split()) if "=" in word)
