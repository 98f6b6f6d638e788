"""The architecture: layers import downwards only, the lowest does not import torch, and what may not come back."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import layout_counts
import pytest
from repository import ROOT as REPOSITORY

import reproflow

ROOT = Path(reproflow.__file__).parent
LAYERS = [
    "foundation",
    "numerics",
    "theory",
    "exact",
    "learning",
    "claims",
    "evaluation",
    "analysis",
    "judge",
    "auditing",
    "reporting",
    "cli",
]
TESTS = REPOSITORY / "tests"
FILES = sorted(path for path in ROOT.rglob("*.py") if path.parent != ROOT or path.stem in LAYERS)


def layer_of(module: str) -> str:
    return module.split(".")[1]


def imports(path: Path) -> list[str]:
    """Every module of this package that a file imports, at any depth of nesting."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.append(node.module or "")
            if node.module == "reproflow":
                found += [f"reproflow.{alias.name}" for alias in node.names]
    return [module for module in found if module.startswith("reproflow.")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_downwards(path: Path) -> None:
    own = path.relative_to(ROOT).parts[0].removesuffix(".py")
    for module in imports(path):
        assert LAYERS.index(layer_of(module)) <= LAYERS.index(own), f"{path} imports {module}"
        assert {own, layer_of(module)} != {"claims", "evaluation"}, f"{path} imports {module}: they are siblings"


@pytest.fixture(scope="module")
def counts() -> dict[str, list[str]]:
    return layout_counts.counts(REPOSITORY)


@pytest.mark.parametrize(
    "rule", ["triples", "process_strings", "metric_lists", "circles", "nested_ternaries", "tuple_constants"]
)
def test_what_may_not_come_back(rule: str, counts: dict[str, list[str]]) -> None:
    """Each rule, with sources that break it, is tested in test_layout_counts.py."""
    assert counts[rule] == []


def test_the_package_does_not_import_snakemake() -> None:
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] == "snakemake" for name in names), path


@pytest.mark.parametrize(
    "statement",
    [
        "import reproflow",
        "from reproflow.foundation import config, grid, fingerprint, run, store, provenance",
        "import reproflow.cli",
    ],
)
def test_the_lowest_layer_is_light(statement: str) -> None:
    """What the Snakefile and `--help` import must not cost seconds."""
    heavy = "torch torch_fidelity seaborn matplotlib sklearn pandas scipy snakemake"
    code = f"{statement}\nimport sys\nprint([name for name in {heavy.split()!r} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_threads_are_set_at_the_command_line() -> None:
    """And for the digits features, whose weights depend on the count and are compared between machines."""
    setters = {str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py") if "set_num_threads(" in path.read_text()}
    assert setters == {"cli/common.py", "evaluation/features/digits_network.py"}


def test_unit_tests_are_laid_out_like_the_package() -> None:
    folders = {path.name for path in (TESTS / "unit").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders - {"project"} <= {*LAYERS}


def test_files_of_tests_are_short_and_have_names_of_their_own() -> None:
    """Without packages among the tests, two files of one name would be one module."""
    files = sorted(TESTS.rglob("*.py"))
    assert [path for path in files if len(path.read_text().splitlines()) > 300] == []
    named = Counter(path.name for path in files if path.name != "conftest.py")
    assert [name for name, count in named.items() if count > 1] == []


def test_files_say_what_they_are_for() -> None:
    for path in ROOT.rglob("*.py"):
        text = path.read_text()
        if text.strip():
            assert ast.get_docstring(ast.parse(text)), path
            assert len(text.splitlines()) <= 300, path
