"""The verbs of the workflow's stages, one at a time."""

from __future__ import annotations

from pathlib import Path

from repository import ROOT

from reproflow import cli
from reproflow.foundation import config
from reproflow.learning.data.tensor_files import read_tensors


def test_a_data_file_says_the_process_of_the_first_experiment_on_it(tmp_path: Path) -> None:
    """Two experiments of configs/ci.yaml, masked and then Gaussian, share the digits."""
    file = ROOT / "configs/ci.yaml"
    processes = [e.process for e in config.load(file).experiments if e.dataset_spec.name == "digits8"]
    assert len(set(processes)) == 2
    assert cli.run(["prepare", "digits8", "--config", str(file), "--results", str(tmp_path)]) == 0
    (written,) = tmp_path.rglob("digits8*.safetensors")
    assert read_tensors(written)[1]["process"] == processes[0]
