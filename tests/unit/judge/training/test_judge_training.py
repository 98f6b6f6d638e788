"""`check --train` trained: its answer, what cannot be trained, a user's file, and the time limit."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from judged_objectives import quick_objective
from repository import schema

from reproflow import cli, judge
from reproflow.evaluation import cells
from reproflow.foundation import child_process, code_limits
from reproflow.foundation.errors import UsageError
from reproflow.judge.training import experiment, trials
from reproflow.learning.training.stacked import StackedTrainer
from reproflow.numerics.relabelling import FEWEST_PAIRS

SCHEMA = schema("check-weighting")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks and measures that take no time."""
    for process, more in (("gaussian", {"points": 32, "steps": 8}), ("masked", {"points": 8, "repeats": 1})):
        trial = trials.TRIALS[process]()
        settings = {**trial.settings, "model": {"width": 16, "depth": 1}, "likelihood": more}
        fast = dataclasses.replace(trial, settings=settings)
        monkeypatch.setitem(trials.TRIALS._parts, process, lambda fast=fast: fast)


@pytest.mark.usefixtures("small")
class TestTraining:
    def test_points(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        beats: list[int] = []
        found = quick_objective("inv_one_minus_t_squared").objective
        same = [{"path": "linear", "time": "uniform", "weighting": "uniform", "factor": 1.0}]
        told = experiment.compare(found, same, judge.Plan(seeds=2, steps=6, alive=lambda: beats.append(1)))
        assert (told["dataset"], told["metric"], told["steps"]) == ("eight_gaussians", "nll_nats", 6)
        assert len(beats) >= 6
        assert os.listdir(tmp_path) == []
        equal, elbo = told["neighbours"]
        # 1/(1-t)² on x1 is 1 on the velocity (LOSS-5): one loss, in other words, up to rounding in float32.
        assert (equal["role"], equal["weighting"]) == ("same objective", "uniform")
        assert equal["difference"] == pytest.approx(0, abs=1e-4)
        assert elbo["role"] == "elbo"
        assert abs(elbo["difference"]) > 1e-4
        for each in (told["this"], *told["neighbours"]):
            assert list(each["values"]) == ["0", "1"]
        json.dumps(told, allow_nan=False)

    def test_a_second_run_gives_the_same_numbers(self) -> None:
        first, second = (
            experiment.compare(quick_objective("min_snr").objective, [], judge.Plan(seeds=1, steps=3))["this"]["values"]
            for _ in range(2)
        )
        assert first == second

    def test_images_and_a_folder(self, tmp_path: Path) -> None:
        told = experiment.compare(
            quick_objective("simple", "masked").objective, [], judge.Plan(seeds=2, steps=2, folder=tmp_path / "kept")
        )
        assert (told["dataset"], told["metric"]) == ("digits8", "bound_bits_per_dim")
        [elbo] = told["neighbours"]
        assert (elbo["pairs"], elbo["difference_interval"]) == (2, None)
        assert json.loads((tmp_path / "kept/train.json").read_text()) == told
        assert {each.name for each in (tmp_path / "kept").iterdir()} == {
            "train.json", *(f"{role}.s{seed}.safetensors" for role in ("this", "elbo") for seed in (0, 1))
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("spec", "word"), [("expr:t - 0.5", "must be >= 0"), ("expr:0", "zero everywhere"), ("expr:exp(1e4*t)", "inf")]
    )
    def test_what_cannot_be_trained_says_so(self, spec: str, word: str) -> None:
        found = experiment.compare(quick_objective(spec).objective, [], judge.Plan(seeds=1, steps=2))
        assert (found["this"], found["neighbours"]) == (None, [])
        assert found["reason"].startswith("not trained: ")
        assert word in found["reason"]

    def test_one_that_diverges_leaves_the_others_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        plain = experiment.compare(quick_objective("min_snr").objective, [], judge.Plan(seeds=2, steps=4))
        advance = StackedTrainer.advance
        told: list[int] = []

        def fails(stack: StackedTrainer, batch: Any) -> list[int]:
            if stack.step == 2 and not told:
                told.append(1)
                return [1]  # this, at seed 1
            return advance(stack, batch)

        monkeypatch.setattr(StackedTrainer, "advance", fails)
        found = experiment.compare(quick_objective("min_snr").objective, [], judge.Plan(seeds=2, steps=4))
        assert found["this"]["failures"] == ["seed 1 diverged at step 2"]
        assert found["this"]["values"] == {"0": plain["this"]["values"]["0"]}
        assert [each["values"] for each in found["neighbours"]] == [each["values"] for each in plain["neighbours"]]

    def test_the_averaged_weights_are_measured(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made = experiment._denoiser
        compared: list[bool] = []

        def checked(subject: Any, cell: Any, state: Any, head: Any) -> Any:
            found = made(subject, cell, state, head)
            for name, tensor in found.network.state_dict().items():
                torch.testing.assert_close(tensor.flatten(), state[f"ema.{name}"].flatten(), rtol=0, atol=0)
                compared.append(torch.equal(tensor.flatten(), state[f"weights.{name}"].flatten()))
            return found

        monkeypatch.setattr(experiment, "_denoiser", checked)
        experiment.compare(quick_objective("min_snr").objective, [], judge.Plan(seeds=1, steps=30))
        assert compared
        assert not all(compared)

    @pytest.mark.parametrize("value", [math.inf, math.nan])
    def test_a_measure_that_is_not_finite_is_a_failure(self, value: float, monkeypatch: pytest.MonkeyPatch) -> None:
        measured = cells.Outcome(
            nats={}, columns={"nll_nats": value}, reason="out of reach" if math.isnan(value) else ""
        )
        monkeypatch.setattr(experiment, "likelihood", lambda *_: measured)
        found = experiment.compare(quick_objective("min_snr").objective, [], judge.Plan(seeds=1, steps=2))["this"]
        assert (found["values"], found["mean"]) == ({}, None)
        assert found["failures"] == [f"seed 0: {'out of reach' if math.isnan(value) else 'not finite'}"]

    def test_as_many_seeds_are_trained_as_can_be_told_apart(self) -> None:
        assert judge.Plan().seeds == judge.SEEDS == FEWEST_PAIRS

    @pytest.mark.parametrize("plan", [judge.Plan(seeds=0), judge.Plan(steps=1)])
    def test_a_plan_for_nothing(self, plan: judge.Plan) -> None:
        with pytest.raises(UsageError, match="at least 1 seed and 2 steps"):
            experiment.compare(quick_objective("uniform").objective, [], plan)


@pytest.mark.usefixtures("small")
class TestCommand:
    def test_json_and_page(self, capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
        arguments = ["check", "weighting", "uniform", "--train", "--seeds", "1", "--steps", "2"]
        assert cli.run([*arguments, "--json", str(tmp_path / "answer.json")]) == 0
        page = capsys.readouterr().out
        for word in ("gradient", "variance", "against elbo", "trained"):
            assert word in page
        answer = json.loads((tmp_path / "answer.json").read_text())
        SCHEMA.validate(answer)
        assert answer["train"]["steps"] == 2
        assert answer["variance"]["optimal_law"]["u"][2] == 0.5

    def test_a_path_that_is_none(self) -> None:
        found = judge.weighting("uniform", path="expr:t, 1 - 2*t", train=judge.Plan(seeds=1, steps=2))
        SCHEMA.validate(found.as_dict())
        assert found.train is not None
        assert found.train["this"] is None
        assert found.gradient["verdict"] == "inconclusive"
        assert found.exit_code == 3

    @pytest.mark.parametrize("option", [["--seeds", "2"], ["--steps", "5"], ["--folder", "here"]])
    def test_options_of_train_alone(self, option: list[str], capsys: pytest.CaptureFixture) -> None:
        assert cli.run(["check", "weighting", "uniform", *option]) == 2
        assert "give --train too" in capsys.readouterr().err


BEATS = """
import os, time
for _ in range({n}):
    time.sleep(0.25)
    os.write({pipe}, b"+")
os.write({pipe}, b".")
"""

USER = """
import time, torch
calls = []

def weight(t, lam):
    print("called")
    return torch.exp(-0.5 * lam)

def stalls(t, lam):
    calls.append(1)
    while len(t) == 128 * 64 and calls.count(1) > 1:  # the times of a chunk of training steps
        pass
    return torch.exp(-0.5 * lam)
"""


@pytest.mark.slow
class TestUserFile:
    """The real command line: a guest is trained in the child, and one that stalls in training is stopped there."""

    def run(self, folder: Path, function: str, *more: str) -> subprocess.CompletedProcess:
        (folder / "user.py").write_text(USER)
        command = [sys.executable, "-m", "reproflow", "check", "weighting", f"user.py:{function}", "--train"]
        command += ["--target", "canonical", "--seeds", "1", "--steps", "3", "--json", "-", *more]
        environment = {**os.environ, code_limits.TIME: "20"}
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)

    def test_it_is_trained(self, tmp_path: Path) -> None:
        done = self.run(tmp_path, "weight", "--folder", "kept")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["train"]["this"]["weighting"] == "user.py:weight"
        assert json.loads((tmp_path / "kept/train.json").read_text()) == found["train"]

    def test_a_loop_without_an_end_in_training(self, tmp_path: Path) -> None:
        done = self.run(tmp_path, "stalls")
        assert done.returncode == 2
        assert "did not come back within 20 s" in done.stderr
        assert done.stdout == ""


class TestTimeLimit:
    def start(self, code: Callable[[int], str]) -> tuple[subprocess.Popen, int]:
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        process = subprocess.Popen([sys.executable, "-S", "-c", code(writing)], pass_fds=(writing,))
        os.close(writing)
        return process, reading

    def test_a_child_that_reports_goes_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It takes longer than the limit, and no step of it does."""
        monkeypatch.setattr(child_process, "BEAT", 0.05)
        process, reading = self.start(lambda pipe: BEATS.format(n=8, pipe=pipe))
        code, said = child_process._wait(process, reading, 1.0)
        os.close(reading)
        assert code == 0
        assert said.endswith(b".")

    def test_a_child_that_falls_silent_is_stopped(self) -> None:
        process, reading = self.start(lambda pipe: f"import os, time; os.write({pipe}, b'+'); time.sleep(60)")
        with pytest.raises(subprocess.TimeoutExpired):
            child_process._wait(process, reading, 0.5)
        process.kill()
        process.wait()
        os.close(reading)
