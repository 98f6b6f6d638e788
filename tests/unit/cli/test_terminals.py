"""On a terminal that is not UTF-8 every verb says what it can, with its own exit code; files stay UTF-8."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reproflow import cli

COMMANDS = [
    ("list", 0),
    ("list weightings", 0),
    ("check weighting expr:exp(-lam) --target x1", 3),
    ("check path linear", 0),
    ("verify ST-11 --explain", 0),
    ("verify LOS-1", 2),
    ("check weighting expr:µ+1", 2),
    ("check --help", 0),
    ("doctor --schmeichel-ß", 2),
]


class Terminal(io.TextIOWrapper):
    """A stream that takes one encoding, strictly, as standard output does."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, errors="strict", write_through=True)

    def text(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode(self.encoding)  # type: ignore[attr-defined]


def called(monkeypatch: pytest.MonkeyPatch, command: str, encoding: str) -> tuple[int, str]:
    """The exit code of a command, and all that it says on a terminal of that encoding."""
    out, err = Terminal(encoding), Terminal(encoding)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with pytest.raises(SystemExit) as left:
        cli.main(command.split())
    return int(left.value.code or 0), out.text() + err.text()


@pytest.mark.parametrize(("command", "code"), COMMANDS)
@pytest.mark.default_cases(3)
def test_the_exit_code_is_that_of_utf8(monkeypatch: pytest.MonkeyPatch, command: str, code: int) -> None:
    codes, said = zip(*(called(monkeypatch, command, each) for each in ("utf-8", "ascii", "latin-1")), strict=True)
    assert codes == (code, code, code)
    whole, escaped, _ = said
    # Nothing is lost: escapes are read back to what a terminal of all letters shows (columns are padded otherwise).
    back = escaped.encode().decode("unicode_escape") if "\\u" in escaped or "\\x" in escaped else escaped
    assert sorted(set(back.split())) == sorted(set(whole.encode("utf-16", "surrogatepass").decode("utf-16").split()))


def test_a_name_that_is_no_utf8_is_said(tmp_path: Path) -> None:
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [os.fsencode(sys.executable), b"-m", b"reproflow", b"verify", b"\xffLOSS"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert done.returncode == 2
    assert b"unknown claim" in done.stderr
    assert b"Traceback" not in done.stderr


def test_files_are_utf8_whatever_the_locale(tmp_path: Path) -> None:
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "reproflow", "check", "path", "linear", "--json", "path.json"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    (tmp_path / "path.json").read_text(encoding="utf-8")
    code = "from pathlib import Path; from reproflow.foundation import files; files.write_text(Path('a'), chr(955))"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "a").read_bytes() == "λ".encode()
