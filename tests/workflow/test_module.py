"""Another repository's workflow imports this one under a prefix: its shell and default rule stay its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT
from snakemake_server import plan
from workflow_clone import TINY

HOST = f"""
configfile: "mine.yaml"


module evidence:
    snakefile: "{ROOT}/workflow/Snakefile"
    config: config
    prefix: "evidence"


use rule * from evidence as evidence_*


rule paper:
    default_target: True
    input:
        rules.evidence_all.input,


rule shell:
    output:
        "shell.txt",
    shell:
        "(trap -p TERM USR1; echo PYTHONPATH=$PYTHONPATH) > {{output}}"
"""


@pytest.fixture
def host(tmp_path: Path) -> Path:
    (tmp_path / "Snakefile").write_text(HOST)
    (tmp_path / "mine.yaml").write_text((ROOT / "configs" / "ci.yaml").read_text())
    return tmp_path


def snakemake(host: Path, *arguments: str) -> None:
    """Runs jobs there; the package is found as an installed one is."""
    environment = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
    done = subprocess.run(command, cwd=host, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_plan_has_every_rule_under_the_prefix(host: Path) -> None:
    done = plan(host)
    assert done.returncode == 0, done.stderr
    table = done.stdout.split("Job stats:")[1].split("\n\n")[0]
    jobs = {
        words[0]: int(words[1]) for line in table.splitlines() if len(words := line.split()) == 2 and words[1].isdigit()
    }
    assert jobs.pop("paper") == 1
    assert jobs.pop("total") == sum(jobs.values()) + 1
    assert jobs["evidence_train"] == 3
    assert all(name.startswith("evidence_") for name in jobs)
    assert "evidence/results/ci/report.html" in done.stdout
    assert not (host / "results").exists()


def test_jobs_run_under_the_prefix_and_the_hosts_shell_is_its_own(host: Path) -> None:
    (host / "mine.yaml").write_text(TINY)
    snakemake(host, "evidence/results/tiny/shards/toy-000.train", "shell.txt")
    results = host / "evidence" / "results" / "tiny"
    assert json.loads((results / "config.json").read_text())["name"] == "tiny"
    assert len(list(results.glob("store/train/*/*/final.safetensors"))) == 1
    assert (results / "logs" / "train" / "toy-000.log").exists()
    assert (host / "shell.txt").read_text() == f"PYTHONPATH={ROOT}\n"
    assert not (host / "results").exists()
    assert "Nothing to be done" in plan(host, "evidence/results/tiny/shards/toy-000.train").stdout


@pytest.mark.parametrize("config", ["", '    config: {"title": "mine"}\n'], ids=["none", "another"])
def test_a_module_without_a_configuration_is_told_what_to_write(host: Path, config: str) -> None:
    text = (host / "Snakefile").read_text()
    assert "    config: config\n" in text
    (host / "Snakefile").write_text(text.replace("    config: config\n", config))
    done = plan(host)
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "what its `config:` gives has no `experiments`" in said
    assert "`config: config`" in said
    assert "demo.yaml" not in said
    assert "Traceback" not in said
