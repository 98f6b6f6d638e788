"""`reproflow clean` hands on what it was asked for; `--all` goes with nothing else."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reproflow import cli
from reproflow.cli import common
from reproflow.foundation import cleaning


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[Any, ...]]:
    """What was to be removed."""
    found: list[tuple[Any, ...]] = []
    opened = SimpleNamespace(folder=tmp_path)
    monkeypatch.setattr(common, "open_run", lambda config, results: opened)
    monkeypatch.setattr(cleaning, "remove", lambda run: found.append(("everything",)))

    def clean(run: object, stage: str, cells: list[str]) -> list[Path]:
        found.append((stage, *cells))
        return [tmp_path]

    monkeypatch.setattr(cleaning, "clean", clean)
    return found


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ([], ("train",)),
        (["--stage", "sample"], ("sample",)),
        (["--cell", "a", "--cell", "b"], ("train", "a", "b")),
        (["--all"], ("everything",)),
    ],
)
def test_what_is_removed(options: list[str], wanted: tuple[str, ...], asked: list[tuple[Any, ...]]) -> None:
    assert cli.run(["clean", "--config", "a.yaml", *options]) == 0
    assert asked == [wanted]


@pytest.mark.parametrize("options", [["--cell", "a"], ["--stage", "sample"]])
def test_all_goes_with_nothing_else(options: list[str], asked: list[tuple[Any, ...]]) -> None:
    assert cli.run(["clean", "--config", "a.yaml", "--all", *options]) == 2
    assert asked == []
