"""Moving code leaves every fingerprint of the demo as it is; a change in what was moved does not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from moving import move_definitions, move_module

import reproflow

ROOT = Path(reproflow.__file__).parents[1]
CODE = """
import json, sys
from reproflow.foundation import config, fingerprint, grid, names
assert fingerprint.__file__.startswith(sys.argv[2]), fingerprint.__file__
checked = config.load(sys.argv[1])
cells = grid.expand(checked)
found = {f"{s} {c.key}": fingerprint.stage(checked, c, s).value for c in cells for s in fingerprint.STAGES}
found |= {f"marker of {s}": fingerprint.of_cells(checked, cells, s) for s in fingerprint.STAGES}
found |= {"claims": fingerprint.claims(), "features": fingerprint.features().value}
found |= {f"dataset {n.name}": fingerprint.dataset(n.name) for n in names.known() if n.kind == "dataset"}
print(json.dumps(found))
"""
Edit = Callable[[Path], object]
STAGES = {"train", "sample", "evaluate"}
EVERYTHING = STAGES | {"claims"}


def fingerprints(folder: Path) -> dict[str, str]:
    """All of the demo, by the package in a folder and in a process of its own."""
    answer = subprocess.run(
        [sys.executable, "-c", CODE, str(ROOT / "configs/demo.yaml"), str(folder)],
        env={**os.environ, "PYTHONPATH": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    return fingerprints(ROOT)


def copied(folder: Path) -> Path:
    shutil.copytree(ROOT / "reproflow", folder / "reproflow", ignore=shutil.ignore_patterns("__pycache__"))
    return folder / "reproflow"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy to move things in."""
    return copied(tmp_path)


def edit(package: Path, file: str, old: str, new: str) -> None:
    path = package / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def used_as_module_and_alone(package: Path) -> None:
    """A call by `module.f` becomes one by `package.module.f`, or by `f` under another name."""
    draws, builders = "learning/training/batches.py", "learning/networks/builders.py"
    edit(
        package,
        draws,
        "from reproflow.foundation import seeds\n",
        "import reproflow.foundation.seeds\n",
    )
    edit(package, draws, "seeds.generator", "reproflow.foundation.seeds.generator")
    edit(
        package,
        builders,
        "from reproflow.foundation import registry, seeds\n",
        "from reproflow.foundation import registry\nfrom reproflow.foundation.seeds import generator as g\n",
    )
    edit(package, builders, "seeds.generator(", "g(")


GAUSSIAN = {f"{stage} gaussian" for stage in STAGES}
"""The stages of the Gaussian cells alone."""
NORMAL_NOISE = GAUSSIAN | {"claims"}
# Each batch is made in one copy: a move that changed a digest would show whatever else was moved.
MOVES: dict[str, dict[str, Edit]] = {
    "modules and definitions": {
        "used as module.f": lambda p: move_module(p, "theory.processes.gaussian", "theory.processes.normal_noise"),
        "used by from .. import f": lambda p: move_module(p, "learning.training.stacked", "learning.training.together"),
        "a module that does not count": lambda p: move_module(p, "foundation.store", "foundation.kept", plainly=True),
        "claims": lambda p: move_module(p, "claims.errata.erratum", "claims.printed"),
        "a definition": lambda p: move_definitions(
            p, "learning.sampling.samples", {"normal", "BLOCK"}, "learning.rows"
        ),
        "a class": lambda p: move_definitions(p, "numerics.statistics", {"Estimate"}, "evaluation.estimates"),
    },
    "nouns and roots": {
        "renamed where it is used": lambda p: move_module(p, "foundation.seeds", "foundation.purposes", plainly=True),
        "nouns": lambda p: move_module(p, "theory.weightings", "theory.weights"),
        "data sets": lambda p: move_module(p, "learning.data.digits", "learning.data.numerals"),
        "a root": lambda p: move_module(p, "learning.training.shard", "learning.training.shards", plainly=True),
        "to another package": lambda p: move_module(p, "exact.mixture", "theory.laws.mixtures"),
        "named as its function": lambda p: move_module(
            p, "evaluation.irreducible_loss", "evaluation.measures.irreducible"
        ),
        "a claim's helpers": lambda p: move_module(p, "claims.gradient_gap", "claims.gaps_of_gradients", plainly=True),
    },
    "a noun and a style": {
        "a noun": lambda p: move_definitions(p, "theory.weightings", {"elbo"}, "theory.bound"),
        "style of import": used_as_module_and_alone,
    },
}


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with the first batch, for edits that are taken back."""
    package = copied(tmp_path_factory.mktemp("moved"))
    make(package, "modules and definitions")
    return package


def make(package: Path, batch: str) -> None:
    for name, move in MOVES[batch].items():
        files = texts(package)
        move(package)
        assert texts(package) != files, f"{name}: nothing was moved"


def texts(package: Path) -> dict[Path, str]:
    return {path: path.read_text() for path in package.rglob("*.py")}


@pytest.mark.parametrize("batch", MOVES)
@pytest.mark.default_cases(1)
def test_moves_change_no_fingerprint(package: Path, before: dict[str, str], batch: str) -> None:
    make(package, batch)
    assert fingerprints(package.parent) == before


@pytest.mark.slow
def test_several_moves_at_once(package: Path, before: dict[str, str]) -> None:
    """A package is taken apart, its readers follow, and remarks change as well."""
    move_definitions(
        package,
        "learning.training.batches",
        {"training_loss", "each_cell", "TrainingLoss", "LOSSES"},
        "learning.training.losses",
    )
    move_module(package, "learning.training.batches", "learning.batches", plainly=True)
    move_module(package, "learning.networks.denoiser", "learning.networks.denoising", plainly=True)
    edit(
        package,
        "learning/sampling/samples.py",
        '"""Samples of trained cells',
        '"""# Trained cells: samples',
    )
    edit(package, "evaluation/features/fid_kid.py", "BLOCKS = 20", "BLOCKS = 20  # a remark")
    assert fingerprints(package.parent) == before


def changed(before: dict[str, str], now: dict[str, str]) -> set[str]:
    """What changed: stages of which all cells did, and the rest by name."""
    found = {key for key in before if now[key] != before[key]}
    for stage in STAGES:
        cells = {key for key in before if key.startswith(f"{stage} ")}
        if cells <= found:
            found = found - cells | {stage}
    return {key for key in found if not key.startswith("marker")}


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("theory/processes/normal_noise.py", "x1 + q[..., None]", "x1 - q[..., None]", GAUSSIAN | {"claims"}),
        ("learning/training/together.py", "eps=1e-8", "eps=1e-9", STAGES),
        ("learning/rows.py", "BLOCK = 256", "BLOCK = 128", {"sample", "evaluate"}),
        ("evaluation/estimates.py", "isfinite(self.low) and", "isfinite(self.low) or", {"evaluate", "claims"}),
        ("foundation/kept.py", '"record.json"', '"record.js"', set()),
        ("claims/printed.py", "expected={PRINTED: REFUTED}", "expected={}", {"claims"}),
    ],
)
@pytest.mark.slow
def test_a_change_in_what_was_moved_changes_what_reaches_it(
    moved: Path, before: dict[str, str], file: str, old: str, new: str, expected: set[str]
) -> None:
    text = (moved / file).read_text()
    try:
        edit(moved, file, old, new)
        now = fingerprints(moved.parent)
    finally:
        (moved / file).write_text(text)
    cells = {key for key in before if f"{key.partition(' ')[0]} gaussian" in expected and ".gaussian." in key}
    assert changed(before, now) == expected - GAUSSIAN | cells


def test_two_definitions_of_one_name_are_not_confused(package: Path, before: dict[str, str]) -> None:
    """Both processes have a class of their loss and a `loss`: the one for the other, with every name as it was."""
    one, other = package / "theory/processes/gaussian.py", package / "theory/processes/masked.py"
    text = one.read_text()
    one.write_text(other.read_text().replace("MaskedLoss", "GaussianLoss"))
    other.write_text(text.replace("GaussianLoss", "MaskedLoss"))
    assert changed(before, fingerprints(package.parent)) >= STAGES


@pytest.mark.slow
def test_what_is_two_calls_away_counts(package: Path, before: dict[str, str]) -> None:
    """shard -> stack -> schedule."""
    edit(package, "learning/training/schedule.py", "0.5 * training.lr", "0.4 * training.lr")
    assert changed(before, fingerprints(package.parent)) == STAGES
