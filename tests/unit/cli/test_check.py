"""The verbs of `reproflow check`: what they share, `check path`, and what a child is started with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from repository import schema

from reproflow import cli
from reproflow.cli import check_options
from reproflow.foundation import child_process
from reproflow.foundation.errors import UsageError

OWN = "def f(*given): return given[0]\n"


class TestPath:
    def test_json_and_exit_codes(self, capsys: pytest.CaptureFixture) -> None:
        answer = schema("check-path")
        for arguments, code in ((["linear"], 0), (["cosine", "--process", "masked"], 0), (["expr:t, 1 - t/2"], 3)):
            assert cli.run(["check", "path", *arguments, "--json", "-"]) == code
            said = capsys.readouterr()
            assert said.err == ""
            answer.validate(json.loads(said.out))

    def test_the_page(self, capsys: pytest.CaptureFixture) -> None:
        assert cli.run(["check", "path", "expr:t, 1 - t/2"]) == 3
        said = capsys.readouterr().out
        for word in ("gaussian path", "boundary", "refuted", "monotone snr", "integrable", "supported"):
            assert word in said

    @pytest.mark.parametrize(
        ("arguments", "word"),
        [
            (["linaer"], "did you mean 'linear'"),
            (["linear", "--process", "gausian"], "did you mean 'gaussian'"),
            (["expr:t"], "must give alpha, sigma"),
            (["expr:log(t - 0.5), 1 - t"], "NaN at t = "),
        ],
    )
    def test_bad_usage(self, arguments: list[str], word: str, capsys: pytest.CaptureFixture) -> None:
        assert cli.run(["check", "path", *arguments, "--json", "-"]) == 2
        said = capsys.readouterr()
        assert word in said.err
        assert said.out == ""


class TestHelp:
    @pytest.mark.parametrize("verb", ["weighting", "path", "time", "divergence"])
    def test_every_verb_shows_an_example(self, verb: str, capsys: pytest.CaptureFixture) -> None:
        assert cli.run(["check", verb, "--help"]) == 0
        assert f"Example: reproflow check {verb}" in capsys.readouterr().out
        assert cli.run(["check", "--help"]) == 0
        assert verb in capsys.readouterr().out


class TestChild:
    """A user's file is only opened by a child, which is asked for the same."""

    @pytest.fixture
    def started(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
        calls: list[list[str]] = []

        def run(arguments: list[str], what: str, *more: object) -> int:
            calls.append(arguments)
            return 5

        monkeypatch.setattr(child_process, "run", run)
        monkeypatch.chdir(tmp_path)
        (tmp_path / "own.py").write_text(OWN)
        return calls

    @pytest.mark.parametrize(
        ("arguments", "options"),
        [
            (["path", "own.py:f", "--process", "masked"], ["--process=masked"]),
            (["path", "own.py:f", "--json", "-"], ["--process=gaussian", "--json=-"]),
            (["time", "own.py:f", "--json", "a.json"], ["--json=a.json"]),
            (["divergence", "own.py:f"], []),
        ],
    )
    def test_what_it_is_asked(self, arguments: list[str], options: list[str], started: list[list[str]]) -> None:
        assert cli.run(["check", *arguments]) == 5
        assert started == [["check", arguments[0], *options, "--", "own.py:f"]]

    def test_all_options_of_a_weighting(self, started: list[list[str]]) -> None:
        given = ["--process=masked", "--path=cosine", "--range=0.1,0.9", "--lam=-3,-1", "--tokens=4", "--time-agnostic"]
        assert cli.run(["check", "weighting", *given, "--", "own.py:f"]) == 5
        [asked] = started
        assert set(given) <= set(asked)
        assert asked[-2:] == ["--", "own.py:f"]
        assert not any(each.startswith(("--train", "--seeds", "--json")) for each in asked)

    def test_no_child_without_a_file(self, started: list[list[str]]) -> None:
        check_options.in_child("path", "linear", [], {"process": "gaussian"})
        assert started == []

    def test_flags_and_values(self, started: list[list[str]]) -> None:
        with pytest.raises(typer.Exit):
            check_options.in_child(
                "time", "own.py:f", ["own.py"], {"a": None, "b": False, "c": True, "d": 0, "e-f": "x"}
            )
        assert started == [["check", "time", "--c", "--d=0", "--e-f=x", "--", "own.py:f"]]

    def test_files_are_read_before_anything_runs(self, started: list[list[str]]) -> None:
        assert check_options.user_files({"path": "own.py:f", "time": "uniform"}) == ["own.py"]
        with pytest.raises(UsageError, match=r"no file nowhere\.py"):
            check_options.user_files({"time": "nowhere.py:f"})
        assert started == []
