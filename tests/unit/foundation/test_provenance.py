"""Which commit made a result: that of a repository that tracks the code, and otherwise unknown, with the reason."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reproflow.analysis import baselines
from reproflow.analysis.snapshot import Snapshot
from reproflow.foundation import provenance
from reproflow.foundation.errors import UsageError
from reproflow.reporting.html import write_report

SOURCE = Path(provenance.__file__).parents[1]
IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *IDENTITY, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def repository(folder: Path, *tracked: str) -> str:
    """A repository of one commit, which is returned, with these files in it."""
    git(folder, "init", "-q")
    (folder / "README").write_text("mine")
    git(folder, "add", "README", *tracked)
    git(folder, "commit", "-qm", "start")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """The package as a tarball leaves it, one folder down."""
    folder = tmp_path / "home" / "reproflow-0.1"
    shutil.copytree(SOURCE / "foundation", folder / "reproflow" / "foundation")
    (folder / "reproflow" / "__init__.py").write_text("")
    return folder


def described(folder: Path, **environment: str) -> dict[str, Any]:
    """What the copy of the package in a folder says of itself."""
    code = "import json; from reproflow.foundation import provenance as p; print(json.dumps(p.describe('a', 'b', 'c')))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": str(folder)} | environment,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_outside_a_repository_the_commit_is_unknown(unpacked: Path) -> None:
    said = described(unpacked, GIT_CEILING_DIRECTORIES=str(unpacked.parents[1]))
    assert (said["git_commit"], said["dirty"]) == (None, None)
    assert said["git_unknown"] == f"{unpacked / 'reproflow'} is in no git repository"


def test_a_repository_around_it_is_not_the_packages(unpacked: Path) -> None:
    repository(unpacked.parent)
    said = described(unpacked)
    assert (said["git_commit"], said["dirty"]) == (None, None)
    assert "tracks none of its files" in said["git_unknown"]


def test_a_repository_that_tracks_it_counts_and_is_dirty_after_a_change(unpacked: Path) -> None:
    commit = repository(unpacked.parent, "reproflow-0.1/reproflow")
    said = described(unpacked)
    assert (said["git_commit"], said["dirty"], said["git_unknown"]) == (commit, False, None)
    with open(unpacked / "reproflow" / "foundation" / "seeds.py", "a") as stream:
        stream.write("# changed\n")
    assert described(unpacked)["dirty"] is True


def test_a_hooks_variables_do_not_lead_to_another_repository(unpacked: Path, tmp_path: Path) -> None:
    commit = repository(unpacked.parent, "reproflow-0.1/reproflow")
    other = tmp_path / "other"
    other.mkdir()
    assert repository(other) != commit or git(other, "ls-files") == "README"
    assert described(unpacked, GIT_DIR=str(other / ".git"), GIT_WORK_TREE=str(other))["git_commit"] == commit


def test_without_git_and_without_a_commit(unpacked: Path) -> None:
    said = described(unpacked, PATH="/nowhere")
    assert (said["git_commit"], said["dirty"], said["git_unknown"]) == (None, None, "git is not installed")
    git(unpacked, "init", "-q")
    git(unpacked, "add", "reproflow")
    assert "has no commit" in str(described(unpacked)["git_unknown"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_clone_of_another_owner(unpacked: Path) -> None:
    repository(unpacked, "reproflow")
    for path in (unpacked, *unpacked.rglob("*")):
        os.chown(path, 12345, 12345, follow_symlinks=False)
    said = described(unpacked, GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_SYSTEM="/dev/null")
    assert (said["git_commit"], said["dirty"]) == (None, None)
    assert "safe.directory" in said["git_unknown"]


def test_a_version_of_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert provenance.describe("a", "b", "c")["reproflow"] is None


@pytest.mark.parametrize(
    ("known", "shown"),
    [
        ({"git_commit": None, "dirty": None, "git_unknown": "git is not installed"}, "unknown (git is not installed)"),
        ({"git_commit": "", "dirty": False}, "unknown"),
        ({"git_commit": "f" * 40, "dirty": None, "git_unknown": "slow"}, f"{'f' * 40}, changes unknown (slow)"),
        ({"git_commit": "f" * 40, "dirty": True}, f"{'f' * 40} with uncommitted changes"),
        ({"git_commit": "f" * 40, "dirty": False}, "f" * 40),
    ],
)
def test_people_read_unknown(tmp_path: Path, known: dict[str, Any], shown: str) -> None:
    (tmp_path / "provenance.json").write_text(json.dumps({"command": "c", "config_name": "a", **known}))
    page = write_report(tmp_path).read_text()
    [row] = re.findall(r"<dt>Commit</dt><dd>(.*?)</dd>", page)
    assert re.sub(r"<.*?>", "", row) == shown
    head = re.search(r'<p class="sub">(.*?)</p>', page, re.S)
    assert head
    assert ("commit unknown" in head[1]) == (not known["git_commit"])


def test_untracked_sources_are_changes_and_results_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("new.py", "notes.txt", "results/made.py", "kept/table.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert provenance.changed_files(tmp_path / "kept") == ["new.py"]
    (tmp_path / "README").write_text("changed")
    assert sorted(provenance.changed_files(tmp_path / "kept")) == ["README", "new.py"]


def test_a_baseline_is_not_given_the_commit_of_a_repository_around(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository(tmp_path)
    (tmp_path / "unpacked").mkdir()
    (tmp_path / "unpacked" / "code.py").write_text("")
    monkeypatch.chdir(tmp_path / "unpacked")
    with pytest.raises(UsageError, match=r"that is unknown: .* tracks none of its files"):
        baselines.update("mine", Snapshot("mine", {}, (), {}), "a reason")
