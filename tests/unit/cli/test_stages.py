"""The verbs of the workflow's stages, one at a time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
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


class TestFunctionsThatNobodyTried:
    """A configuration that is trained by hand may never have been resolved, or its functions be others since."""

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path, tiny_config: dict, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        Path("own.py").write_text("def weight(t, lam): return 1 - t\n")
        tiny_config["experiments"][0]["weightings"] = [{"name": "mine", "spec": "own.py:weight", "on": "x1"}]
        Path("mine.json").write_text(config.dump(config.check(tiny_config)))

    def train(self, file: str) -> int:
        return cli.run(["train", "--config", file, "--results", "results", "--shard", "toy-000"])

    def test_what_looks_at_its_batch_is_not_trained(self, capfd: pytest.CaptureFixture[str]) -> None:
        Path("own.py").write_text("def weight(t, lam): return t / t.mean()\n")
        assert self.train("mine.json") == 2
        said = capfd.readouterr().err
        assert "function of each t alone" in said
        assert "does not exist" not in said, "no data is looked for"
        assert not Path("results/store").exists()

    def test_each_is_tried_once(self, capfd: pytest.CaptureFixture[str]) -> None:
        """What stops training in these is the data, which nobody prepared."""
        written = Path("results/config.json")
        assert cli.run(["resolve", "--config", "mine.json", "--results", "results"]) == 0
        Path("own.py").write_text("def weight(t, lam): return t / t.mean()\n")
        before, after = (written.stat().st_mtime + seconds for seconds in (-1, 1))
        for changed, words in ((before, "does not exist"), (after, "function of each t alone")):
            os.utime("own.py", (changed, changed))
            assert self.train(str(written)) == 2
            assert words in capfd.readouterr().err
        Path("elsewhere.json").write_text(written.read_text())
        os.utime("own.py", (before, before))
        assert self.train("elsewhere.json") == 2
        assert "function of each t alone" in capfd.readouterr().err
