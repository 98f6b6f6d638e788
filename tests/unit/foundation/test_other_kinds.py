"""Functions that are no weighting of t: the error names the kind, and those that are one are called as ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from reproflow import cli
from reproflow.foundation import other_kinds, specs, user_files
from reproflow.foundation.errors import UsageError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(kind: str, arguments: str) -> str:
    Path("own.py").write_text(f"def f({arguments}):\n    return 1\n")
    with pytest.raises(UsageError) as raised:
        user_files.check(kind, specs.parse("own.py:f"), "gaussian")
    return str(raised.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("t, lam, loss", "an adaptive weight"),
        ("t, lam, model_output, target", "an adaptive weight"),
        ("t, lam, global_step", "a learned weight"),
        ("logvar, t", "a learned weight"),
        ("t, x1", "a weight that sees the data"),
        ("t, mask", "divided by the number of masked tokens"),
        ("t, lam, x1", "a weight that sees the data"),
        ("x_t, t, lam", "a weight that sees the data"),
        ("batch", "a weight that sees the data"),
        ("t, lam, y", "a weight that sees the data"),
        ("t, lam, noise", "a weight that sees the noise"),
        ("t, lam, mask", "divided by the number of masked tokens"),
        ("t, lam, *, num_masked", "divided by the number of masked tokens"),
        ("t, lam, outputs, heads", "several heads"),
        ("timesteps", "a weight by index"),
        ("t, lam, frames", "for every frame"),
        ("snr", "SNR = exp(lam)"),
        ("T, LAM, Loss", "an adaptive weight"),
    ],
)
def test_the_kind_is_named_with_what_to_do(arguments: str, words: str) -> None:
    said = refusal("weighting", arguments)
    assert words in said
    assert "own.py, line 1" in said
    assert 2 <= len(said.splitlines()) <= 3
    assert ("What to do: " in said) != (arguments == "snr")
    assert ("reproflow audit FILE.py:loss" in said) != (arguments == "snr")


def test_a_path_of_points() -> None:
    assert "an interpolation of two points" in refusal("path", "x0, x1, t")


@pytest.mark.parametrize(("kind", "arguments"), [("weighting", "t"), ("weighting", "foo, bar, baz"), ("time", "u, x")])
def test_where_no_name_tells_nothing_is_guessed(kind: str, arguments: str) -> None:
    assert len(refusal(kind, arguments).splitlines()) == 1


@pytest.mark.parametrize("arguments", ["t, lam", "s, l", "t, lam, loss=0.0", "t, c", "*given"])
def test_what_can_be_called_is_called(arguments: str) -> None:
    """Short names say nothing, and what has a default need not be given."""
    Path("own.py").write_text(f"def f({arguments}):\n    return 1\n")
    user_files.check("weighting", specs.parse("own.py:f"), "gaussian")


def test_at_the_command_line(capsys: pytest.CaptureFixture) -> None:
    Path("own.py").write_text("def f(t, lam, loss):\n    return 1\n")
    assert cli.run(["check", "weighting", "own.py:f"]) == 2
    said = capsys.readouterr()
    assert "an adaptive weight" in said.err.replace("\n", " ")
    assert said.out == ""


def test_every_kind_has_names_of_its_own() -> None:
    for others in other_kinds.OTHERS.values():
        names = [name for other in others for name in other.arguments]
        assert len(names) == len(set(names))
        assert not set(names) & {"t", "lam"}
