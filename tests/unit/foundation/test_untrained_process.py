"""A process that nothing trains: one file a layer that it enters, and configurations that name it are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from repository import ROOT

from reproflow import cli
from reproflow.foundation import processes

NAME = "uniform_tokens"
REFUSED = "process 'uniform_tokens' cannot be trained: no sampler, loss or noise is declared for it"


def test_a_process_is_one_file_in_each_layer_and_no_line_elsewhere() -> None:
    """But for the generated list of names."""
    package = ROOT / "reproflow"
    texts = {path: path.read_text(encoding="utf-8") for path in package.rglob("*") if path.suffix in (".py", ".json")}
    spoken = {path.relative_to(package).as_posix() for path, text in texts.items() if NAME in text or NAME in path.name}
    assert "theory/processes/uniform_tokens.py" in spoken
    elsewhere = {path for path in spoken if Path(path).name != f"{NAME}.py"}
    assert elsewhere == {"foundation/names.json"}
    layers = [path.split("/")[0] for path in spoken - elsewhere]
    assert len(layers) == len(set(layers))


def test_a_configuration_that_names_it_is_refused_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    axes = {"paths": ["linear"], "weightings": ["elbo"], "seeds": [0]}
    experiment = {"name": "a", "process": NAME, "dataset": "digits8", **axes}
    config.write_text(yaml.safe_dump({"name": "a", "experiments": [experiment]}))
    assert cli.run(["resolve", "--config", str(config)]) == 2
    said = capsys.readouterr()
    assert REFUSED in said.err
    assert "trained are gaussian, masked" in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


def test_a_check_of_a_weighting_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["check", "weighting", "elbo", "--process", NAME]) == 2
    assert f"reproflow.judge.processes.{NAME} enters none" in capsys.readouterr().err


def test_a_path_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["check", "path", "linear", "--process", NAME]) == 0
    assert cli.run(["check", "path", "expr:1.5*t", "--process", NAME]) == 3


def test_what_is_trained_has_a_sampler() -> None:
    assert processes.trained() == ("gaussian", "masked")
    assert processes.facts(NAME).solvers == ()


def test_lists_name_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["list", "processes", "--json"]) == 0
    assert NAME in {row["name"] for row in json.loads(capsys.readouterr().out)}
