"""What a fresh clone holds of this repository, copied into a folder, and Snakemake run there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from repository import ROOT

WORKFLOW = ("Snakefile", "workflow", "configs")
# One cell, trained in a second.
TINY = """
name: tiny
experiments:
  - name: toy
    process: gaussian
    dataset: eight_gaussians
    paths: [linear]
    weightings: [elbo]
    seeds: [0]
    model: {width: 16, depth: 1}
    training: {steps: 4, batch: 16, warmup: 2, log_every: 2, save_every: 2}
    sampling: {solver: euler, steps: 2, n: 20}
    likelihood: {points: 10, steps: 5}
claims: {tier: exact, ids: [LOSS-2]}
"""


def copy_workflow(folder: Path, *more: str) -> Path:
    """Copies the workflow, and what else of the repository's root is named, into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*WORKFLOW, *more):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    return folder


def listed_files() -> list[str]:
    """What git would have in a clone of this repository as it is, with what is not committed yet."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [name for name in names if name]


def snakemake(folder: Path, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Snakemake in a folder, with this repository's package."""
    return subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
