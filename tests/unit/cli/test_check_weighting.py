"""`reproflow check weighting`: exit codes, bad usage, and a user's file in a child process."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from judged_objectives import KEYS
from repository import schema

from reproflow import cli
from reproflow.foundation import child_process, code_limits

SCHEMA = schema("check-weighting")


class TestCommand:
    def answer(self, capsys: pytest.CaptureFixture, *arguments: str, code: int = 0) -> dict:
        assert cli.run(["check", "weighting", *arguments, "--json", "-"]) == code
        said = capsys.readouterr()
        assert said.err == ""
        SCHEMA.validate(json.loads(said.out))
        return json.loads(said.out)

    def test_json_alone_on_standard_output(self, capsys: pytest.CaptureFixture) -> None:
        found = self.answer(capsys, "uniform", "--lam", "-3,-1,0")
        assert set(found) >= KEYS
        assert found["canonical"]["lam"] == [-3, -1, 0]
        assert (found["gradient"]["verdict"], found["train"]) == ("supported", None)
        assert found["variance"]["this"] == pytest.approx(found["variance"]["uniform"], rel=1e-12)

    def test_exit_codes(self, capsys: pytest.CaptureFixture) -> None:
        self.answer(capsys, "edm", "--process", "masked", "--path", "cosine", code=3)
        self.answer(capsys, "expr:t**-0.995", code=5)

    @pytest.mark.parametrize(
        "arguments", [["expr:0"], ["uniform", "--path", "expr:t, 1 - 2*t"], ["expr:1/abs(t - 0.3)"]]
    )
    @pytest.mark.default_cases(1)
    def test_the_schema_holds_for_strange_answers(self, arguments: list[str], capsys: pytest.CaptureFixture) -> None:
        self.answer(capsys, *arguments, code=3)

    def test_help_shows_an_example(self, capsys: pytest.CaptureFixture) -> None:
        assert cli.run(["check", "weighting", "--help"]) == 0
        assert "Example: reproflow check weighting" in capsys.readouterr().out

    def test_target_and_range(self, capsys: pytest.CaptureFixture) -> None:
        found = self.answer(capsys, "min_snr:gamma=3", "--target", "eps", "--range", "0.7,0.9")
        assert (found["target"], found["range"], found["spec"]) == ("eps", [0.7, 0.9], "min_snr:gamma=3")

    def test_the_page(self, capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
        assert cli.run(["check", "weighting", "edm", "--json", str(tmp_path / "edm.json")]) == 3
        said = capsys.readouterr().out
        for word in ("admissible", "supported", "identified", "falsified", "-3.308", "to certify"):
            assert word in said
        assert json.loads((tmp_path / "edm.json").read_text())["bound"]["verdict"] == "falsified"

    @pytest.mark.parametrize(
        ("arguments", "word"),
        [
            (["unifrm"], "did you mean 'uniform'"),
            (["uniform", "--process", "gausian"], "did you mean 'gaussian'"),
            (["uniform", "--target", "velocty"], "did you mean 'velocity'"),
            (["uniform", "--path", "linaer"], "did you mean 'linear'"),
            (["uniform", "--range", "0.5"], "--range '0.5' is not A,B"),
            (["uniform", "--range", "0.7,0.2"], "range 0.7,0.2"),
            (["uniform", "--lam", "1,x"], "--lam '1,x'"),
            (["min_snr:gamma=-1"], "outside its range"),
            (["expr:log(t - 0.5)"], "NaN at t = "),
            (["expr:__import__('os').system('touch pwned')"], "not allowed"),
            (["expr:(1).__class__"], "not allowed"),
            (["expr:9**9**9**9*t"], None),
            (["nowhere.py:f"], "no file nowhere.py"),
            (["user.py:missing"], "has no function 'missing'; did you mean 'missin'"),
            (["user.py:one_argument"], "user.py, line 7: one_argument(t) cannot be called as one_argument(t, lam)"),
            (["broken.py:f"], "broken.py, line 2"),
        ],
    )
    def test_bad_usage(self, arguments: list[str], word: str | None, capsys: pytest.CaptureFixture, user: Path) -> None:
        code = cli.run(["check", "weighting", *arguments])
        said = capsys.readouterr()
        assert not (user / "pwned").exists()
        if word is None:  # a number too large is infinite, and is judged
            assert code == 3
            return
        assert code == 2
        assert word in said.err.replace("\n", " ")
        assert 1 <= len(said.err.strip().splitlines()) <= 3
        assert said.out == ""

    @pytest.mark.parametrize(
        ("function", "word"),
        [
            ("nan", "'user.py:nan' is NaN at t = "),
            ("two_columns", "of shape"),
            ("random", "global random generator"),
            ("raises", "raised ValueError in user.py, line"),
        ],
    )
    def test_faulty_functions(
        self, function: str, word: str, capfd: pytest.CaptureFixture, user: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In the child, which this process plays here."""
        monkeypatch.setenv(child_process.PIPE, "-1")
        assert cli.run(["check", "weighting", f"user.py:{function}", "--json", "-"]) == 2
        said = capfd.readouterr()
        assert word in said.err.replace("\n", " ")
        assert said.out == ""


USER = """
import os, sys, time
import torch

print("imported")

def one_argument(t):
    return t

def missin(t, lam):
    print("called")
    os.write(1, b"written")
    return torch.exp(-0.5 * lam)

def nan(t, lam):
    return torch.log(t - 0.5)

def two_columns(t, lam):
    return torch.stack([t, lam], 1)

def random(t, lam):
    return torch.rand(len(t))

def raises(t, lam):
    raise ValueError("on purpose")

def loops(t, lam):
    while True:
        pass
"""


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a user's files, to work in."""
    (tmp_path / "user.py").write_text(USER)
    (tmp_path / "broken.py").write_text("def f(t, lam):\n    return (\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


class TestChild:
    def test_the_real_command_line(self, user: Path) -> None:
        """A function in a file, --lam as its own argument, and whatever the file prints kept off standard output."""
        command = [sys.executable, "-m", "reproflow", "check", "weighting", "user.py:missin", "--target", "canonical"]
        command += ["--lam", "-3,-1,0", "--json", "-"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["canonical"]["w"] == pytest.approx([math.exp(1.5), math.exp(0.5), 1], rel=1e-9)
        assert {"imported", "called"} <= set(done.stderr.split())

    def test_a_loop_without_an_end(
        self, user: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(code_limits.TIME, "2")
        assert cli.run(["check", "weighting", "expr:t", "--time", "user.py:loops_u", "--json", "-"]) == 2
        assert cli.run(["check", "weighting", "user.py:loops", "--json", "-"]) == 2
        said = capfd.readouterr()
        assert "user.py did not come back within 2 s" in said.err
        assert said.out == ""
