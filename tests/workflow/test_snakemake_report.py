"""`snakemake --report`: every table and figure in its category, with a name and a caption, and nothing fetched."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from repository import ROOT
from snakemake_server import forked
from workflow_clone import copy_workflow

from reproflow.reporting.figures import NAMES

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>'
# No name resolves: what is fetched fails.
OFFLINE = (
    "import socket\n\n\ndef nowhere(*_, **__):\n    raise OSError('no network')\n\n\nsocket.getaddrinfo = nowhere\n"
)


def snakemake(folder: Path, *arguments: str) -> str:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder / "offline"), str(ROOT)])}
    command = [sys.executable, "-m", "snakemake", "--configfile", "configs/ci.yaml", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report on files that stand for results: what it shows follows from the rules, not from the numbers."""
    folder = copy_workflow(tmp_path_factory.mktemp("clone"))
    (folder / "offline").mkdir()
    (folder / "offline" / "sitecustomize.py").write_text(OFFLINE)
    listed = forked(folder, "--configfile", "configs/ci.yaml", "--summary")
    assert listed.returncode == 0, listed.stderr
    for line in listed.stdout.splitlines()[1:]:
        made = folder / line.split("\t")[0]
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_text(SVG if made.suffix == ".svg" else "a,b\n1,2\n")
    snakemake(folder, "--report", "report.html")
    return (folder / "report.html").read_text(encoding="utf-8")


def told(page: str, name: str) -> Any:
    """A variable of the page's script."""
    found = re.search(rf'<script id="{name}">\s*var {name} = ', page)
    assert found
    return json.JSONDecoder().raw_decode(page, found.end())[0]


def test_every_table_and_figure_stands_in_its_category(page: str) -> None:
    files = {
        category: {Path(path).name for paths in inner.values() for path in paths}
        for category, inner in told(page, "categories").items()
    }
    assert files == {
        "Claims": {"claims.csv"},
        "Comparison": {
            *("cells.csv", "cascade.csv", "comparison.csv", "equivalence.csv", "ranking.csv", "fid_by_weighting.csv")
        },
        "Figures": {f"{name}.svg" for name in NAMES},
    }


def test_every_entry_has_a_caption_and_tables_have_names_of_their_own(page: str) -> None:
    results = told(page, "results")
    assert all(len(entry["caption"]) > 40 for entry in results.values())
    names = [entry["labels"]["table"] for path, entry in results.items() if path.endswith(".csv")]
    assert len(set(names)) == len(names) == 7
    assert not any("{" in name for name in names)
