"""Where a result came from: code, libraries, machine, command.

What git says counts only in a repository that tracks the files asked about: a package unpacked or installed inside
another repository is not that repository's. What cannot be known is None, with the reason, never empty or clean.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reproflow.foundation.errors import UsageError

LIBRARIES = (
    "numpy",
    "scipy",
    "pandas",
    "torch",
    "torchvision",
    "torch-fidelity",
    "scikit-learn",
    "seaborn",
    "snakemake",
)
PACKAGE = Path(__file__).parents[1]
SOURCES = (".py", ".yaml", ".yml", ".smk", "Snakefile")


# A hook of git, and programs that call it, name a repository here that is not that of the folder asked about.
ANOTHERS = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"}


@dataclass(frozen=True)
class Code:
    """The commit of a folder's files, and whether tracked files differ from it; None where unknown, for a `reason`."""

    commit: str | None
    dirty: bool | None
    reason: str = ""


class _Unknown(Exception):
    """Why git does not say."""


def describe(config_name: str, config_file: str, fingerprint: str) -> dict[str, Any]:
    """Everything that a reader needs to run it again."""
    code = state(PACKAGE)
    return {
        "command": f"snakemake --cores all --configfile {config_file}",
        "config_name": config_name,
        "fingerprint": fingerprint,
        "reproflow": _version("reproflow"),
        "git_commit": code.commit,
        "dirty": code.dirty,
        "git_unknown": code.reason or None,
        "versions": {
            "python": platform.python_version(),
            **{name: _version(name) for name in LIBRARIES},
        },
        "platform": platform.platform(),
        "cpu": cpu(),
        "cores": os.cpu_count(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "executable": Path(sys.executable).name,
    }


def cpu() -> str:
    """The processor's name."""
    with open("/proc/cpuinfo", encoding="utf-8") if Path("/proc/cpuinfo").exists() else open(os.devnull) as stream:
        models = [line.partition(":")[2].strip() for line in stream if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def state(folder: Path) -> Code:
    """What git says of the files in a folder."""
    commit = None
    try:
        commit = _commit(folder)
        return Code(commit, bool(_git(folder, "status", "--porcelain", "--untracked-files=no")))
    except _Unknown as error:
        return Code(commit, None, str(error))


def changed_files(kept: Path) -> list[str]:
    """What is not committed in the working directory's repository: changes of tracked files, and untracked sources.

    Files in the folder `kept`, and untracked ones among results, do not count. Raises `UsageError` where git does not
    say.
    """
    try:
        root = Path(_git(Path(), "rev-parse", "--show-toplevel"))
        lines = _git(Path(), "status", "--porcelain", "--untracked-files=all").splitlines()
    except _Unknown as error:
        raise UsageError(f"whether files in {Path().resolve()} are changed is unknown: {error}.") from None
    found = [(state, file.strip('"')) for state, file in (line.split(maxsplit=1) for line in lines)]
    return [
        file
        for state, file in found
        if not (root / file).resolve().is_relative_to(kept.resolve())
        and (state != "??" or (file.endswith(SOURCES) and not {"results", ".snakemake"} & set(Path(file).parts)))
    ]


def _commit(folder: Path) -> str:
    """The commit of the repository that tracks files in a folder. Raises `_Unknown`."""
    if not _git(folder, "ls-files", "--", "."):
        raise _Unknown(f"the git repository around {folder.resolve()} tracks none of its files")
    try:
        return _git(folder, "rev-parse", "--verify", "HEAD")
    except _Unknown:
        raise _Unknown(f"the git repository of {folder.resolve()} has no commit") from None


def _git(folder: Path, *arguments: str) -> str:
    """git's answer for a folder. Raises `_Unknown`."""
    environment = {key: value for key, value in os.environ.items() if key not in ANOTHERS} | {"LC_ALL": "C"}
    try:
        answer = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            encoding="utf-8",  # whatever the locale is
            errors="surrogateescape",
            timeout=60,
            check=False,
        )
    except FileNotFoundError:
        raise _Unknown("git is not installed") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _Unknown(f"git did not answer ({type(error).__name__})") from None
    if answer.returncode == 0:
        return answer.stdout.strip()
    if "dubious ownership" in answer.stderr:
        raise _Unknown(
            f"git trusts no repository of another owner: git config --global --add safe.directory {folder.resolve()}"
        )
    if "not a git repository" in answer.stderr:
        raise _Unknown(f"{folder.resolve()} is in no git repository")
    raise _Unknown(" ".join(answer.stderr.split()) or f"git exits with {answer.returncode}")


def _version(package: str) -> str | None:
    """The installed version; None where the package runs from its source and is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
