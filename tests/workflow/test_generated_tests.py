"""Snakemake's generated unit tests pass once the store lies beside their data, as CONTRIBUTING.md says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT
from workflow_clone import TINY, copy_workflow

DOCS = ROOT / "CONTRIBUTING.md"


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """A clone in which the tiny configuration has run as far as its table of cells."""
    copy_workflow(tmp_path, "reproflow")
    (tmp_path / "tiny.yaml").write_text(TINY)
    command(tmp_path, "snakemake", "--cores", "1", "--configfile", "tiny.yaml", "--", "results/tiny/cells.csv")
    return tmp_path


def command(folder: Path, *words: str) -> str:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=580
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    return done.stdout


@pytest.mark.slow
def test_they_pass_as_documented(ran: Path) -> None:
    [recipe] = re.findall(r"^    snakemake .*--generate-unit-tests .*\n((?:    .*\n)+)", DOCS.read_text(), re.MULTILINE)
    copying = [line.strip() for line in recipe.splitlines() if line.strip().startswith("for ")]
    command(
        ran, "snakemake", "--cores", "1", "--configfile", "tiny.yaml", "--generate-unit-tests", "generated",
        "--", "results/tiny/cells.csv",
    )  # fmt: skip
    written = sorted(path.stem for path in (ran / "generated").glob("test_*.py"))
    assert written == [f"test_{rule}" for rule in ("collect", "evaluate", "prepare", "sample", "train")]
    command(ran, "bash", "-c", f"NAME=tiny; {copying[0]}")
    said = command(ran, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "generated")
    assert f"{len(written)} passed" in said
