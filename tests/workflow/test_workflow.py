"""The workflow plans what it should. Running it is `make smoke`, which CI does."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from repository import ROOT
from snakemake_server import plan
from workflow_clone import copy_workflow, snakemake

RULES = {
    "prepare", "features", "train", "sample", "evaluate", "collect", "claims", "tables", "figures", "report",
    "gate", "cascade", "default", "total",
}  # fmt: skip


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a fresh clone holds of the workflow."""
    return copy_workflow(tmp_path_factory.mktemp("clone"))


def planned(answer: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """Rule -> number of jobs, from the table of a dry run."""
    assert answer.returncode == 0, answer.stderr + answer.stdout
    table = answer.stdout.split("Job stats:")[1].split("\n\n")[0]
    return {name: int(count) for name, count in re.findall(r"^(\w+)\s+(\d+)\s*$", table, re.M)}


def test_a_bare_call_plans_jobs_of_every_kind(clone: Path) -> None:
    jobs = planned(snakemake(clone, "-n"))
    assert jobs.keys() == RULES
    assert jobs["train"] == jobs["sample"] == jobs["evaluate"] > 3
    assert not (clone / "results").exists(), "a dry run writes nothing"


def test_another_configuration_holds_nothing_of_the_demo(clone: Path) -> None:
    answer = plan(clone, "--configfile", "configs/ci.yaml")
    assert planned(answer)["train"] == 3
    assert "demo" not in answer.stdout.replace("snakemake", "")
    assert "results/ci/report.html" in answer.stdout


def test_the_papers_configuration_is_planned(clone: Path) -> None:
    jobs = planned(plan(clone, "--configfile", "configs/paper.yaml"))
    assert jobs.keys() == RULES
    assert jobs["train"] == jobs["sample"] == jobs["evaluate"] == 65
    said = (ROOT / "configs/README.md").read_text()
    assert f"in {jobs['train']} shards, {jobs['total']} jobs" in said


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("weightings: [uniform, elbo]", "weigthings: [uniform, elbo]", "did you mean 'weightings'"),
        ("weightings: [uniform, elbo]", "weightings: [minsnr]", "did you mean 'min_snr'"),
        ("steps: 60, batch: 64", "steps: 0, batch: 64", "greater than or equal to 1"),
    ],
)
def test_a_bad_configuration_stops_before_the_dag(clone: Path, old: str, new: str, word: str) -> None:
    text = (clone / "configs/ci.yaml").read_text()
    assert old in text
    (clone / "configs/bad.yaml").write_text(text.replace(old, new, 1))
    answer = plan(clone, "--configfile", "configs/bad.yaml")
    assert answer.returncode != 0
    said = answer.stdout + answer.stderr
    assert word in said
    assert "bad.yaml" in said
    assert "Traceback" not in said
    assert "Job stats" not in said


def test_rules_call_the_command_line_and_keep_a_log() -> None:
    text = "\n".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    rules = re.split(r"^rule ", text, flags=re.M)[1:]
    assert len(rules) >= 11
    for rule in rules:
        name = rule.partition(":")[0]
        assert "log:" in rule, name
        assert "run:" not in rule.replace("{RUN}", ""), name
    assert "checkpoint " not in text


OWN = """
name: own
experiments:
  - name: toy
    process: gaussian
    dataset: eight_gaussians
    paths: [linear]
    weightings: [elbo, {name: mine, spec: "my.py:weight", on: x1}]
    seeds: [0]
"""


def test_a_users_function_is_planned_and_a_missing_one_is_refused(clone: Path) -> None:
    (clone / "own.yaml").write_text(OWN)
    (clone / "my.py").write_text("def wait(t, lam):\n    return t\n")
    answer = plan(clone, "--configfile", "own.yaml")
    assert answer.returncode != 0
    assert "my.py has no function 'weight'; did you mean 'wait'?" in answer.stderr + answer.stdout
    (clone / "my.py").write_text("def weight(t, lam):\n    return t\n")
    assert planned(plan(clone, "--configfile", "own.yaml"))["train"] == 1


def test_the_conda_environment_has_what_the_package_depends_on() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    environment = yaml.safe_load((ROOT / "workflow/envs/reproflow.yaml").read_text())
    [pip] = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert [entry.replace(" ", "") for entry in pip] == wanted


def test_the_slurm_profile_is_found_by_its_name(clone: Path) -> None:
    (clone / "slurm").symlink_to("workflow/profiles/slurm")
    assert (ROOT / "slurm").is_symlink()
    assert os.readlink(ROOT / "slurm") == "workflow/profiles/slurm"
    answer = plan(clone, "--cores", "all", "--profile", "slurm")
    assert "Using profile slurm" in answer.stderr + answer.stdout
    assert planned(answer).keys() == RULES
