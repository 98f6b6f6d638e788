"""What the verbs of `check` share: exit codes, standard output, a child's answer, numbers, `--against`."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from reproflow.cli import check_against, check_options, check_terminal
from reproflow.foundation import child_process
from reproflow.foundation.errors import UsageError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("code", [0, 3, 5])
def test_the_exit_code_is_the_judgements(code: int, capsys: pytest.CaptureFixture[str]) -> None:
    found = SimpleNamespace(exit_code=code, as_dict=lambda: {"spec": "mine"})
    with pytest.raises(typer.Exit) as left:
        check_options.answer(lambda: found, "-")
    assert left.value.exit_code == code
    assert json.loads(capsys.readouterr().out) == {"spec": "mine"}


def test_json_in_a_file_stands_beside_the_page(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    shown: list[object] = []
    monkeypatch.setattr(check_terminal, "show", shown.append)
    found = SimpleNamespace(exit_code=0, as_dict=lambda: {"spec": "mine"})
    for target, pages in (("a.json", 1), ("-", 1), (None, 2)):
        with pytest.raises(typer.Exit):
            check_options.answer(lambda: found, target)
        assert len(shown) == pages
    assert json.loads((folder / "a.json").read_text()) == {"spec": "mine"}


def test_a_childs_exit_code_is_ours_and_a_child_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "run", lambda arguments, what: 5)
    with pytest.raises(typer.Exit) as left:
        check_options.in_child("time", "own.py:f", ["own.py"], {})
    assert left.value.exit_code == 5
    monkeypatch.setenv(child_process.PIPE, "-1")
    check_options.in_child("time", "own.py:f", ["own.py"], {})


def test_what_user_code_prints_in_a_child_is_no_answer(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(child_process.PIPE, "-1")
    with check_options.quiet():
        print("by Python")
        os.write(1, b"by the system\n")
    os.write(1, b"the answer\n")
    said = capfd.readouterr()
    assert said.out == "the answer\n"
    assert {"by Python", "by the system"} <= set(said.err.splitlines())


def test_warnings_of_what_user_code_imports_are_dropped_in_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(child_process.PIPE, "-1")
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with check_options.quiet():
            warnings.warn("of a library", stacklevel=1)
        assert heard == []
        warnings.warn("afterwards", stacklevel=1)
    assert [str(each.message) for each in heard] == ["afterwards"]


@pytest.mark.parametrize("text", ["0.1", "0.1,0.2,0.3", "0.1,inf", "nan,1", "a,b", ""])
def test_what_is_no_pair_of_numbers(text: str) -> None:
    with pytest.raises(UsageError, match=r"--range .* is not A,B"):
        check_options.numbers("--range", text, 2)


def test_numbers() -> None:
    assert check_options.numbers("--range", "0.1,0.9", 2) == [0.1, 0.9]
    assert check_options.numbers("--lam", "-3,-1,0") == [-3, -1, 0]
    assert check_options.numbers("--lam", None) == []


class TestAgainst:
    OPTIONS = dict.fromkeys(("against", *check_against.PARTS, "path")) | {"process": "gaussian", "time": "uniform"}

    @pytest.mark.parametrize("part", check_against.PARTS)
    def test_a_part_needs_the_objective(self, part: str) -> None:
        assert check_against.user_files(self.OPTIONS) == []
        assert check_against.asked(self.OPTIONS) is None
        with pytest.raises(UsageError, match=rf"--{part} is a part of another objective"):
            check_against.user_files(self.OPTIONS | {part: "x"})

    def test_its_files_are_a_childs(self, folder: Path) -> None:
        (folder / "own.py").write_text("def f(t, lam): return t\ndef p(t): return t, 1 - t\n")
        assert check_against.user_files(self.OPTIONS | {"against": "own.py:f"}) == ["own.py"]
        assert check_against.user_files(self.OPTIONS | {"against": "fm", "path": "own.py:p"}) == ["own.py"]
        assert check_against.user_files(self.OPTIONS | {"against": "fm"}) == []

    def test_all_its_parts_are_asked_for(self) -> None:
        from reproflow.judge import Against

        parts = {"against-path": "cosine", "against-time": "mode", "against-target": "x1"}
        found = check_against.asked(self.OPTIONS | {"against": "uniform"} | parts)
        assert found == Against("uniform", "cosine", "mode", "x1")
