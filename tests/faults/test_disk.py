"""A disk that is full or not this user's: one line with path and cause, exit 1, and what was saved stays."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from repository import ROOT

from reproflow.foundation import config, grid
from reproflow.foundation.errors import InterruptedRun, ReproflowError
from reproflow.foundation.run import Run
from reproflow.learning import data
from reproflow.learning.training import shard

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
NOBODY = 65534


def opened(raw: dict, folder: Path) -> Run:
    run = Run(config.check(raw), folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(config.dump(run.config))
    data.prepare("eight_gaussians", run.data_file("eight_gaussians"))
    return run


def train(run: Run, should_stop=lambda: False) -> dict[str, bytes]:
    work = [(cell, run.slot("train", cell)) for cell in grid.expand(run.config)]
    shard.train(run.config.experiments[0], work, data.get_dataset("eight_gaussians"), CPU, should_stop)
    return {cell.key: (slot.folder / shard.FINAL).read_bytes() for cell, slot in work}


def stop_halfway(run: Run) -> None:
    calls = iter(range(10**6))
    with pytest.raises(InterruptedRun):
        train(run, lambda: next(calls) >= 19)


def command(run: Run, *how: str, **options) -> subprocess.CompletedProcess[str]:
    arguments = ["train", "--shard", "toy-000", "--config", str(run.folder / "config.json")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *(how or ("-m", "reproflow")), *arguments],
        env=environment, cwd=run.folder, capture_output=True, text=True, check=False, timeout=120, **options,
    )  # fmt: skip


def refused(answer: subprocess.CompletedProcess[str], path: str, cause: str) -> None:
    """One line of ours, with path and cause, and no traceback."""
    assert answer.returncode == 1, answer.stderr
    assert "Traceback" not in answer.stderr
    [line] = [line for line in answer.stderr.splitlines() if "reproflow: " in line]
    assert re.search(rf"reproflow: cannot write \S*{path}: {cause}", line), line


@pytest.fixture
def undisturbed(tiny_config: dict, tmp_path: Path) -> dict[str, bytes]:
    return train(opened(tiny_config, tmp_path / "undisturbed"))


def test_a_file_that_may_not_grow_is_named_and_the_state_is_kept(
    tiny_config: dict, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    """The library that writes tensors has an error of its own; the limit on a file's size works for every user."""
    run = opened(tiny_config, tmp_path / "limited")
    stop_halfway(run)
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # noqa: E731
    refused(command(run, preexec_fn=limit), r"state\.safetensors", r"File too large \(os error 27\)")
    assert not list(run.folder.rglob(".part-*"))
    assert len(list(run.folder.glob("store/train/*/*/state.previous.safetensors"))) == 3
    assert train(run) == undisturbed


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"mounting a small disk is not permitted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_named_and_the_state_is_kept(
    tiny_config: dict, small_disk: Path, undisturbed: dict[str, bytes]
) -> None:
    run = opened(tiny_config, small_disk / "results")
    stop_halfway(run)
    filler = small_disk / "filler"
    room = shutil.disk_usage(small_disk).free
    filler.write_bytes(b"x" * max(0, room - 8192))
    refused(command(run), r"(state|final)\.safetensors", "No space left on device")
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
    assert train(run) == undisturbed


def test_a_file_where_a_slot_should_be_is_named(tiny_config: dict, tmp_path: Path) -> None:
    run = opened(tiny_config, tmp_path / "blocked")
    cell = grid.expand(run.config)[0]
    blocked = run.slot("train", cell).folder.parent
    blocked.parent.mkdir(parents=True)
    blocked.write_text("in the way")
    refused(command(run), r"lock", "Not a directory")


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user reaches, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


# Root may write anywhere, so it becomes nobody, after the same command on a copy has imported what nobody may not read.
AS_NOBODY = f"""
import os, sys
from reproflow import cli
if os.geteuid() == 0:
    cli.run([word.replace("results", "copy") for word in sys.argv[1:]])
    os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})
sys.exit(cli.run(sys.argv[1:]))
"""


def test_a_store_that_this_user_may_not_write_is_named(tiny_config: dict, public: Path) -> None:
    run = opened(tiny_config, public / "results")
    stop_halfway(run)
    shutil.copytree(run.folder, public / "copy")
    modes = {path: path.stat().st_mode for path in run.folder.rglob("*")}
    for path in modes:
        path.chmod(0o555 if path.is_dir() else 0o444)
    refused(command(run, "-c", AS_NOBODY), r"lock", r"Permission denied \(errno 13\)")
    for path, mode in modes.items():
        path.chmod(mode)
    assert all((run.slot("train", cell).folder / "state.safetensors").exists() for cell in grid.expand(run.config))
    assert len(train(run)) == 3


def test_a_file_that_cannot_be_read_keeps_its_record(
    tiny_config: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that does not answer proves nothing against the file."""
    run = opened(tiny_config, tmp_path / "unreadable")
    train(run)
    cells = grid.expand(run.config)

    def unreadable(path: object) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("reproflow.foundation.files.sha256", unreadable)
    with pytest.raises(ReproflowError, match=r"cannot read .*: Permission denied"):
        run.read(cells, "train")
    assert all(run.slot("train", cell).record_path.exists() for cell in cells)
