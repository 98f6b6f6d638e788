"""Folders with spaces, quotes, `$`, `*` and accents: clone, environment, PYTHONPATH, a host's prefix."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT
from workflow_clone import TINY, copy_workflow

ODD = 'a b\'c$d *ü "q" [x] ;&'
DATA = "results/tiny/data/eight_gaussians.safetensors"
# Python runs this at its start where it finds it: what it writes was run with this PYTHONPATH.
SITE = """
import os, sys
with open(os.environ["SEEN"], "a") as out:
    print(sys.orig_argv[1:5], sys.executable, file=out)
"""
HOST = """
configfile: "tiny.yaml"


module evidence:
    snakefile: {snakefile!r}
    config: config
    prefix: {prefix!r}


use rule * from evidence as evidence_*
"""


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """An odd folder that holds a clone, a link to the environment, and a folder for PYTHONPATH."""
    folder = tmp_path / ODD
    clone = folder / "clone it"
    copy_workflow(clone, "reproflow")
    (clone / "tiny.yaml").write_text(TINY)
    (folder / "my env").symlink_to(sys.prefix)
    (folder / "my modules").mkdir()
    (folder / "my modules" / "sitecustomize.py").write_text(SITE)
    return folder


def snakemake(odd: Path, where: Path, *arguments: str, path: str = "", seconds: float = 300):
    """Snakemake's answer there, with the odd environment's interpreter and no other on the PATH."""
    return module(odd, where, "snakemake", "--cores", "all", *arguments, path=path, seconds=seconds)


def module(odd: Path, where: Path, *words: str, path: str = "", seconds: float = 300):
    python = odd / "my env" / "bin" / "python"
    environment = os.environ | {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": os.pathsep.join(filter(None, [path, str(odd / "my modules")])),
        "SEEN": str(odd / "seen"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(
        [str(python), "-m", *words], cwd=where, env=environment, capture_output=True, text=True, check=False,
        timeout=seconds,
    )  # fmt: skip


def test_a_job_has_the_clones_code_the_environments_interpreter_and_the_users_modules(odd: Path) -> None:
    clone = odd / "clone it"
    entry = clone / "reproflow" / "__main__.py"
    entry.write_text(entry.read_text().replace("\nmain()", "\nprint(__file__, flush=True)\nmain()"))
    done = snakemake(odd, clone, "--profile", "workflow/profiles/ci", "--configfile", "tiny.yaml", "--", DATA)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (clone / DATA).exists()
    log = (clone / "results/tiny/logs/prepare/eight_gaussians.log").read_text()
    assert str(entry) in log, "another copy of the package ran"
    jobs = [line for line in (odd / "seen").read_text().splitlines() if "'reproflow', 'prepare'" in line]
    assert len(jobs) == 1, "PYTHONPATH was cut"
    assert jobs[0].endswith(str(odd / "my env" / "bin" / "python"))


@pytest.mark.slow
def test_a_host_in_such_a_folder_with_such_a_prefix(odd: Path) -> None:
    host = odd / "host"
    host.mkdir()
    text = HOST.format(snakefile=str(odd / "clone it" / "workflow" / "Snakefile"), prefix=f"my {ODD}")
    (host / "Snakefile").write_text(text)
    (host / "tiny.yaml").write_text(TINY)
    # A host's shell is its own: it has to find the interpreter by itself.
    code, binaries = str(odd / "clone it"), str(odd / "my env" / "bin")
    (host / "Snakefile").write_text(f"import os\nos.environ['PATH'] = {binaries!r} + ':/usr/bin:/bin'\n" + text)
    done = snakemake(odd, host, "--", f"my {ODD}/{DATA}", path=code)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (host / f"my {ODD}" / DATA).exists()
    assert not (host / "results").exists()


@pytest.mark.slow
def test_what_no_quoting_helps_is_refused_with_its_cure(odd: Path) -> None:
    clone = (odd / "clone it").rename(odd.parent / "a{b}")
    done = snakemake(odd, clone, "-n", "--configfile", "tiny.yaml")
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert f"{clone}: Snakemake reads braces as wildcards" in said
    assert "Move or rename the folder" in said
    assert "Traceback" not in said


def test_on_slurm_it_is_refused_before_a_job_is_submitted(odd: Path) -> None:
    """No cluster is needed to say so."""
    options = ("--executor", "slurm", "--jobs", "1", "--configfile", "tiny.yaml", "--", DATA)
    done = snakemake(odd, odd / "clone it", *options)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "the Slurm executor cannot pass on ' $ in a path" in said
    assert "without Slurm it works as it is" in said
    assert "sbatch" not in said
    assert "Traceback" not in said


def commit(clone: Path) -> None:
    """A baseline says which commit made it."""
    shutil.copy(ROOT / ".gitignore", clone)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message=a"]):
        subprocess.run([*git, *words], cwd=clone, check=True)


@pytest.mark.slow
def test_every_rule_runs_there_and_a_second_run_has_nothing_to_do(odd: Path) -> None:
    clone = odd / "clone it"
    commit(clone)
    first = snakemake(odd, clone, "--configfile", "tiny.yaml", seconds=580)
    assert first.returncode == 0, (first.stdout + first.stderr)[-6000:]
    # A baseline, which is this very run, brings in the one rule that is otherwise left out.
    kept = module(odd, clone, "reproflow", "baseline", "update", "tiny", "--reason", "a test", "--allow-few")
    assert kept.returncode == 0, kept.stdout + kept.stderr
    second = snakemake(odd, clone, "--configfile", "tiny.yaml", "--", "results/tiny/regression.json")
    assert second.returncode == 0, (second.stdout + second.stderr)[-6000:]
    again = snakemake(odd, clone, "-n", "--configfile", "tiny.yaml", "--", "results/tiny/shards/toy-000.evaluate")
    assert "Nothing to be done" in again.stdout + again.stderr
