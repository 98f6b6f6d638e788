"""Snakemake takes a configuration where `reproflow resolve` takes it, and refuses it where that refuses it."""

from __future__ import annotations

from pathlib import Path

import pytest
from repository import ROOT
from snakemake_server import plan
from workflow_clone import copy_workflow, snakemake

from reproflow.foundation import config
from reproflow.foundation.errors import ConfigError

OWN = """
name: own
experiments:
  - name: toy
    process: gaussian
    dataset: eight_gaussians
    paths: [linear]
    weightings: [elbo]
    seeds: [0]
    training: {steps: 200}
claims: {tier: exact, ids: [ST-9]}
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy_workflow(tmp_path_factory.mktemp("clone"))
    (folder / "own.yaml").write_text(OWN)
    return folder


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    """The exit status of a plan, and all that Snakemake prints."""
    done = plan(folder, *arguments)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (OWN + "claims: {tier: all}\n", "the key 'claims' is written twice"),
        (OWN.replace("{steps: 200}", "{steps: 200, steps: 300}"), "the key 'steps' is written twice"),
        ("name: own\n", "experiments: Field required"),
        ("name: own\nexperiment: []\n", "unknown key 'experiment'; did you mean 'experiments'?"),
        ("{}\n", "mine.yaml: name: Field required"),
        ("[1, 2]\n", ""),
    ],
)
def test_both_refuse_what_one_refuses(clone: Path, text: str, said: str) -> None:
    (clone / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError) as refused:
        config.load(clone / "mine.yaml")
    planned, answer = run(clone, "--configfile", "mine.yaml")
    assert planned == 1
    assert said in str(refused.value)
    assert said in answer
    assert "Job stats" not in answer
    assert "Traceback" not in answer
    assert not (clone / "results").exists()


def test_a_json_file_with_a_key_written_twice(clone: Path) -> None:
    (clone / "mine.json").write_text('{"name": "a", "name": "b", "experiments": []}')
    done = snakemake(clone, "-n", "--configfile", "mine.json")
    assert done.returncode == 1
    answer = done.stdout + done.stderr
    assert "mine.json" in answer
    assert "the key 'name' is written twice" in answer


def test_files_are_merged_and_the_command_line_comes_last(clone: Path) -> None:
    (clone / "more.yaml").write_text("claims: {tier: all}\nname: more\n")
    planned, answer = run(clone, "--configfile", "own.yaml", "more.yaml")
    assert planned == 0, answer
    assert "results/more/report.html" in answer
    assert "demo" not in answer
    planned, answer = run(clone, "--configfile", "own.yaml", "more.yaml", "--config", "name=last")
    assert planned == 0, answer
    assert "results/last/report.html" in answer


def test_every_file_is_read_again(clone: Path) -> None:
    (clone / "more.yaml").write_text("name: more\nname: more\n")
    planned, answer = run(clone, "--configfile", "own.yaml", "more.yaml")
    assert planned == 1
    assert "more.yaml is not valid YAML: the key 'name' is written twice" in answer


MODULE = """
module evidence:
    snakefile: "{root}/workflow/Snakefile"
    prefix: "evidence"


use rule * from evidence as evidence_*
"""


def test_a_module_without_a_configuration_is_told_the_cure(clone: Path, tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(MODULE.format(root=ROOT))
    planned, answer = run(tmp_path)
    assert planned == 1
    assert "imported as a module without a configuration" in answer
    assert "`config: config`" in answer
    assert "demo" not in answer
