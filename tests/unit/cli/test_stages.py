"""The verbs of the workflow's stages, one at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from repository import ROOT

from reproflow import cli
from reproflow.foundation import child_process, config, fingerprint
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
    def folder(self, tmp_path: Path, tiny_config: dict, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.chdir(tmp_path)
        Path("own.py").write_text("def weight(t, lam): return 1 - t\n")
        tiny_config["experiments"][0]["weightings"] = [{"name": "mine", "spec": "own.py:weight", "on": "x1"}]
        Path("mine.json").write_text(config.dump(config.check(tiny_config)))
        yield
        fingerprint.forget()

    def train(self, file: str) -> int:
        fingerprint.forget()
        return cli.run(["train", "--config", file, "--results", "results", "--shard", "toy-000"])

    def test_what_looks_at_its_batch_is_not_trained(self, capfd: pytest.CaptureFixture[str]) -> None:
        Path("own.py").write_text("def weight(t, lam): return t / t.mean()\n")
        assert self.train("mine.json") == 2
        said = capfd.readouterr().err
        assert "function of each t alone" in said
        assert "does not exist" not in said, "no data is looked for"
        assert not Path("results/store").exists()
        assert not Path("results/tried.json").exists()

    def test_what_resolve_has_tried_is_not_tried_again(self, capfd: pytest.CaptureFixture[str]) -> None:
        """What stops training here is the data, which nobody prepared; the trial comes before that."""
        assert cli.run(["resolve", "--config", "mine.json", "--results", "results"]) == 0
        assert set(json.loads(Path("results/tried.json").read_text())["functions"]) == {"own.py:weight"}
        before = Path("results/config.json").stat().st_mtime - 100
        for weight, words in (("t / t.mean()", "function of each t alone"), ("1 - t", "does not exist")):
            Path("own.py").write_text(f"def weight(t, lam): return {weight}\n")
            os.utime("own.py", (before, before))
            assert self.train("results/config.json") == 2
            assert words in capfd.readouterr().err


class TestWhatCountsAsTried:
    """Contents, whenever they were written: of the configuration, and of all that its functions reach."""

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path, tiny_config: dict, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        monkeypatch.chdir(tmp_path)
        Path("own.py").write_text("from beside import slope\n\n\ndef weight(t, lam):\n    return slope(t)\n")
        Path("beside.py").write_text("def slope(t):\n    return 1 - t\n")
        tiny_config["experiments"][0]["weightings"] = [{"name": "mine", "spec": "own.py:weight", "on": "x1"}]
        self.config = tiny_config
        self.write("mine.json")
        self.trials: list[str] = []
        monkeypatch.setattr(child_process, "run", lambda arguments, what: self.trials.append(what) or self.code)
        self.code = 0
        yield
        fingerprint.forget()

    def write(self, name: str) -> None:
        Path(name).write_text(config.dump(config.check(self.config)))

    def tries(self, file: str = "mine.json", verb: str = "train") -> bool:
        """Whether `train` tries the functions; it ends where it finds no data. Each verb is a process of its own."""
        fingerprint.forget()
        self.trials.clear()
        shard = ["--shard", "toy-000"] if verb == "train" else []
        assert cli.run([verb, "--config", file, "--results", "results", *shard]) == (2 if shard else 0)
        return bool(self.trials)

    def test_once_is_enough_whoever_tries(self) -> None:
        assert self.tries()
        assert not self.tries()
        assert self.tries(verb="resolve"), "who asks for it is answered"
        assert not self.tries("results/config.json")

    def test_a_trial_that_fails_is_none(self) -> None:
        self.code = 2
        assert self.tries()
        assert self.tries()

    def test_the_time_of_a_file_says_nothing(self) -> None:
        self.tries()
        for file in ("own.py", "mine.json"):
            os.utime(file, (2e9, 2e9))
        assert not self.tries()
        text, old = Path("own.py").read_text(), os.stat("own.py")
        Path("own.py").write_text(text.replace("slope(t)", "slope(t * t)"))
        os.utime("own.py", (1e9, 1e9))
        assert self.tries()
        assert not self.tries()
        Path("own.py").write_text(text)
        os.utime("own.py", (old.st_atime, old.st_mtime))
        assert self.tries(), "the last trial is kept, and was of others"

    def test_what_a_function_reaches_counts_and_its_comments_do_not(self) -> None:
        self.tries()
        Path("beside.py").write_text('def slope(t):\n    """Falls."""\n    return 1 - t  # to zero\n')
        assert not self.tries()
        Path("beside.py").write_text("def slope(t):\n    return 2 - t\n")
        assert self.tries()

    def test_the_configuration_counts_and_its_place_does_not(self) -> None:
        self.tries()
        self.write("elsewhere.json")
        assert not self.tries("elsewhere.json")
        self.config["experiments"][0]["paths"] = ["cosine"]
        self.write("elsewhere.json")
        assert self.tries("elsewhere.json")

    @pytest.mark.parametrize("text", ["", "{", "\0"])
    def test_a_record_that_is_damaged_is_none(self, text: str) -> None:
        self.tries()
        Path("results/tried.json").write_text(text)
        assert self.tries()

    def test_a_file_that_cannot_be_read_is_left_to_the_trial(self) -> None:
        Path("beside.py").write_text("def slope(t: return t\n")
        self.code = 2
        assert self.tries()
