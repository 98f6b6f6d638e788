"""Another environment's Snakemake, and the variables of the Slurm profile: one to three lines, no traceback."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from snakemake_server import plan
from workflow_clone import copy_workflow

CI = ["--configfile", "configs/ci.yaml"]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_workflow(tmp_path_factory.mktemp("clone"), "reproflow")
    (folder / "slurm").symlink_to("workflow/profiles/slurm")
    return folder


def other_environment(folder: Path, without: str) -> Path:
    """The interpreter of an environment with all that this one has installed, but not `without`, nor this package."""
    venv.create(folder, symlinks=True)
    there = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    left_out = re.compile(rf"({without})(-[\d.+\w]*\.dist-info)?$|.*editable.*|.*\.egg-link|distutils-precedence.pth")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not left_out.match(entry.name) and not (there / entry.name).exists():
            (there / entry.name).symlink_to(entry)
    return folder / "bin" / "python"


def said(python: Path | str, clone: Path, *arguments: str, code: str = "", **variables: str) -> tuple[int, str]:
    """Exit code and words of a dry run there; `code` is what PYTHONPATH names."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("REPROFLOW_")}
    command = [str(python), "-P", "-m", "snakemake", "-n", "--cores", "1", *arguments]
    done = subprocess.run(
        command, cwd=clone, env=environment | {"PYTHONPATH": code, "PYTHONDONTWRITEBYTECODE": "1"} | variables,
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_an_environment_that_lacks_a_package_is_named_with_the_one_to_use(clone: Path, tmp_path: Path) -> None:
    python = other_environment(tmp_path / "other", "torch")
    code, words = said(python, clone, *CI, code=str(clone))
    assert code == 1
    assert f"Snakemake runs in the environment {tmp_path / 'other'}, which lacks torch." in words
    assert f"run `make .venv/ready` in {clone}, then use {clone}/.venv/bin/snakemake" in words
    assert "Traceback" not in words


@pytest.mark.slow
def test_a_host_without_this_package_is_told_the_same(clone: Path, tmp_path: Path) -> None:
    host = (
        f'configfile: "mine.yaml"\nmodule evidence:\n    snakefile: "{clone}/workflow/Snakefile"\n    config: config\n'
    )
    (tmp_path / "Snakefile").write_text(host + "use rule * from evidence as evidence_*\n")
    shutil.copy(clone / "configs" / "ci.yaml", tmp_path / "mine.yaml")
    code, words = said(other_environment(tmp_path / "other", "reproflow"), tmp_path)
    assert code == 1
    assert f"Snakemake runs in the environment {tmp_path / 'other'}, which lacks reproflow." in words
    assert f"install {clone} into this environment" in words
    assert "Traceback" not in words


def test_a_wrong_variable_is_refused_before_a_job_is_planned(clone: Path) -> None:
    done = plan(clone, "--profile", "slurm", *CI, REPROFLOW_RUNTIME="4h", REPROFLOW_GPUS="")
    assert done.returncode == 1
    words = done.stdout + done.stderr
    assert "REPROFLOW_RUNTIME='4h': a whole number of minutes is needed" in words
    assert "unset REPROFLOW_RUNTIME" in words
    assert "Traceback" not in words
    assert "Job stats" not in words


def resources(words: str, rule: str) -> dict[str, str]:
    """What a dry run says that the first job of a rule asks for."""
    job = re.search(rf"^rule {rule}:\n(?:    .*\n)*?    resources: (.*)$", words, re.MULTILINE)
    assert job, words
    return dict(re.findall(r"(\w+)=((?:[^,]|, (?!\w+=))*)", job.group(1)))


def test_empty_variables_are_as_unset_ones(clone: Path) -> None:
    empty = dict.fromkeys(["RUNTIME", "MAX_RUNTIME", "GPUS", "WARNING", "PARTITION", "GPU_PARTITION", "ACCOUNT"], "")
    done = plan(
        clone, "--profile", "slurm", *CI, **{f"REPROFLOW_{name}": value for name, value in empty.items()}
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    asked = resources(done.stdout, "train")
    assert (asked["gpu"], asked["runtime"], asked["mem_mb"]) == ("1", "240", "8000")
    assert "--signal=TERM@120 " in asked["slurm_extra"]


@pytest.mark.slow
def test_options_replace_the_profiles_sets_and_the_documented_cures_do_not(clone: Path, tmp_path: Path) -> None:
    """What docs/slurm.md says of `--set-resources` and `--default-resources`, and its two ways round them."""

    def asked(profile: str, *arguments: str, **variables: str) -> dict[str, str]:
        code, words = said(
            sys.executable, clone, "--profile", profile, *CI, *arguments, code=str(clone), **variables
        )  # fmt: skip
        assert code == 0, words
        return resources(words, "train")

    lost = asked("slurm", "--set-resources", "sample:runtime=60")
    assert "gpu" not in lost, lost
    assert "--signal=TERM" not in asked("slurm", "--default-resources", "mem_mb=2000").get("slurm_extra", "")
    by_variable = asked("slurm", REPROFLOW_RUNTIME="60", REPROFLOW_ACCOUNT="lab")
    assert (by_variable["runtime"], by_variable["gpu"], by_variable["slurm_account"]) == ("60", "1", "lab")
    mine = shutil.copytree(clone / "slurm", tmp_path / "mysite") / "config.yaml"
    mine.write_text(mine.read_text().replace("mem_mb: 8000 * attempt", "mem_mb: 9000 * attempt"))
    copied = asked(str(mine.parent))
    assert (copied["mem_mb"], copied["gpu"]) == ("9000", "1")
    assert "--signal=TERM@120" in copied["slurm_extra"]
