"""Every Python that pyproject.toml asks for can be set up: the pins ask for no newer one, and make refuses no other."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from repository import ROOT

WANTED = SpecifierSet(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"])
OLDEST = next(each.version for each in WANTED if each.operator == ">=") + ".0"
PINS = [Requirement(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if line.strip()]


@pytest.fixture(scope="module")
def interpreter() -> Any:
    spec = importlib.util.spec_from_file_location("interpreter", ROOT / ".ci" / "interpreter.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("wanted", "version", "fits"),
    [
        (">=3.11,<3.14", (3, 11, 0), True),
        (">=3.11,<3.14", (3, 11, 2), True),
        (">=3.11,<3.14", (3, 13, 9), True),
        (">=3.11,<3.14", (3, 14, 0), False),
        (">=3.11,<3.14", (3, 10, 13), False),
        (">=3.11.5, <3.14", (3, 11, 2), False),
        (">=3.11.5, <3.14", (3, 11, 5), True),
    ],
)
def test_make_takes_the_pythons_that_pyproject_asks_for(
    interpreter: Any, wanted: str, version: tuple[int, int, int], fits: bool
) -> None:
    said = interpreter.refusal(f'[project]\nrequires-python = "{wanted}"\n', version)
    assert (said == "") == fits == SpecifierSet(wanted).contains(".".join(map(str, version)))
    assert fits or wanted in said


def test_the_check_reads_this_projects_file() -> None:
    done = subprocess.run([sys.executable, ".ci/interpreter.py"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "interpreter.py" in (ROOT / "Makefile").read_text()
    assert not re.search(r"version_info", (ROOT / "Makefile").read_text())


def test_what_is_installed_at_its_pin_runs_on_the_oldest_python() -> None:
    seen, newer = 0, []
    for pin in PINS:
        try:
            found = importlib.metadata.distribution(pin.name)
        except importlib.metadata.PackageNotFoundError:
            continue
        needed = found.metadata.get("Requires-Python")
        if needed and pin.specifier.contains(found.version):
            seen += 1
            newer += [] if SpecifierSet(needed).contains(OLDEST) else [f"{pin} needs {needed}"]
    assert seen > 50
    assert newer == []


def test_a_fresh_checkout_gets_the_small_environment_for_the_demo_alone(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text((ROOT / name).read_text())

    def plan(target: str) -> str:
        command = ["make", "--dry-run", target]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert '--editable "."' in plan("demo")
    assert '--editable ".[dev]"' in plan("test")
    assert "touch .venv/ready" in plan(".venv/ready")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "ready").touch()
    assert "uv pip" not in plan("demo") + plan("test"), "an existing checkout is ready"


@pytest.mark.network
@pytest.mark.parametrize("version", [OLDEST, "3.11.2"])
@pytest.mark.parametrize("extra", ["", "dev"])
def test_the_pins_can_be_resolved_on_the_oldest_python(version: str, extra: str, tmp_path: Path) -> None:
    """Asks the package index."""
    command = [
        *("uv", "pip", "compile", "--quiet", "--python-version", version, "--constraint", "constraints.txt"),
        *("--no-header", "--output-file", str(tmp_path / "resolved.txt"), "pyproject.toml"),
        *(("--extra", extra) if extra else ()),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
