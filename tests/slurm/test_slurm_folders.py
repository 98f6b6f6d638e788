"""A clone and its environment in a folder with spaces: jobs on Slurm run with that code and that interpreter."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from clones import make_clone
from cluster import Cluster

pytestmark = pytest.mark.slurm

DATA = "results/long/data/eight_gaussians.safetensors"


@pytest.mark.parametrize("name", ["my clone", 'a ü "q" *[x];&'])
def test_a_job_runs_in_such_a_folder(tmp_path: Path, cluster: Cluster, name: str) -> None:
    (tmp_path / name).mkdir()
    clone = make_clone(tmp_path / name / "clone it", cluster)
    environment = tmp_path / name / "my env"
    environment.symlink_to(sys.prefix)
    entry = clone.folder / "reproflow" / "__main__.py"
    told = "\nimport sys\nprint(__file__, sys.executable, flush=True)\nmain()"
    entry.write_text(entry.read_text().replace("\nmain()", told))
    run = clone.start(
        str(environment / "bin" / "python"), "-m", "snakemake", "--cores", "all", "--profile", "slurm",
        "--retries", "0", "--slurm-init-seconds-before-status-checks", "2", "--configfile", "long.yaml", "--", DATA,
    )  # fmt: skip
    assert run.wait(400) == 0, clone.said[-6000:]
    assert (clone.folder / DATA).exists()
    assert "has been submitted with SLURM jobid" in clone.said
    log = (clone.folder / "results/long/logs/prepare/eight_gaussians.log").read_text()
    assert f"{entry} {environment / 'bin' / 'python'}" in log, "another copy of the package or another interpreter ran"
