"""Where Python is told to keep no compiled modules, `make` and the tests keep them under build/, and nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT

PLAIN = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
ENVIRONMENT = "shown:\n\t@env\n"
TESTS = """
import subprocess, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from compiled_modules import keep_apart
keep_apart(Path(sys.argv[2]))
sys.path.insert(0, "")
import here
subprocess.run([sys.executable, "-c", "import there"], check=True)
"""


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ({}, None),
        ({"PYTHONDONTWRITEBYTECODE": ""}, None),
        ({"PYTHONDONTWRITEBYTECODE": "1"}, str(ROOT / "build" / "bytecode")),
        ({"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": "/elsewhere"}, "/elsewhere"),
    ],
    ids=["nothing", "empty", "none", "elsewhere"],
)
def test_what_make_hands_to_its_commands(told: dict[str, str], kept: str | None, tmp_path: Path) -> None:
    (tmp_path / "more.mk").write_text(ENVIRONMENT)
    command = ["make", "--silent", "-f", "Makefile", "-f", str(tmp_path / "more.mk"), "shown"]
    done = subprocess.run(command, cwd=ROOT, env=PLAIN | told, capture_output=True, text=True, check=True)
    found = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    assert found.get("PYTHONPYCACHEPREFIX") == kept
    assert not found.get("PYTHONDONTWRITEBYTECODE")


@pytest.mark.parametrize("told", [{}, {"PYTHONDONTWRITEBYTECODE": "1"}], ids=["nothing", "none"])
def test_what_tests_hand_to_theirs(told: dict[str, str], tmp_path: Path) -> None:
    sources, kept = tmp_path / "sources", tmp_path / "kept"
    sources.mkdir()
    for name in ("here", "there"):
        (sources / f"{name}.py").touch()
    command = [sys.executable, "-c", TESTS, str(ROOT / "tests" / "helpers"), str(kept)]
    subprocess.run(command, cwd=sources, env=PLAIN | told, check=True)
    compiled = {path.name.partition(".")[0]: path for path in tmp_path.rglob("*.pyc")}
    assert {"here", "there"} <= compiled.keys()
    for name in ("here", "there"):
        assert compiled[name].is_relative_to(kept if told else sources / "__pycache__")
