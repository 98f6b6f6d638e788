"""The network that a cell names is a part of its fingerprint by name, and of no other part."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import reproflow
from reproflow.foundation import config, fingerprint, grid, sources

CI = Path("configs/ci.yaml").resolve()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package that a test may edit and that fingerprints are read from."""
    copy = tmp_path / "reproflow"
    shutil.copytree(Path(reproflow.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(sources, "PACKAGE", copy)
    fingerprint.forget()
    yield copy
    fingerprint.forget()


@pytest.mark.parametrize(
    ("file", "old", "new", "part"),
    [
        ("learning/networks/stacked_mlp.py", "FREQUENCIES = 8", "FREQUENCIES = 6", "network stacked_mlp"),
        ("learning/networks/stacked_mlp.py", "math.sqrt(6 /", "math.sqrt(5 /", "network stacked_mlp"),
        ("theory/weightings.py", "return torch.ones_like(lam)", "return 2 * torch.ones_like(lam)", "weighting elbo"),
        ("theory/paths.py", "return t, 1 - t", "return 1 * t, 1 - t", "path linear"),
    ],
)
def test_a_change_of_the_network_is_a_change_of_its_part_alone(
    package: Path, file: str, old: str, new: str, part: str
) -> None:
    checked = config.load(CI)
    cell = next(
        cell for cell in grid.expand(checked) if cell.key.startswith("eight_gaussians") and ".elbo." in cell.key
    )
    before = fingerprint.stage(checked, cell, "train")
    text = (package / file).read_text()
    assert old in text
    (package / file).write_text(text.replace(old, new))
    fingerprint.forget()
    after = fingerprint.stage(checked, cell, "train")
    assert {name for name in before.parts if before.parts[name] != after.parts[name]} == {part}
    assert before.parts.keys() == after.parts.keys()
    assert before.value != after.value


def test_the_claims_count_the_networks(package: Path) -> None:
    before = fingerprint.claims()
    file = package / "learning/networks/stacked_mlp.py"
    file.write_text(file.read_text().replace("FREQUENCIES = 8", "FREQUENCIES = 6"))
    fingerprint.forget()
    assert fingerprint.claims() != before
