"""Where a result came from: code, libraries, machine, command."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

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


SOURCES = (".py", ".yaml", ".yml", ".smk", "Snakefile")


def describe(config_name: str, config_file: str, fingerprint: str) -> dict[str, Any]:
    """Everything that a reader needs to run it again."""
    return {
        "command": f"snakemake --cores all --configfile {config_file}",
        "config_name": config_name,
        "fingerprint": fingerprint,
        "reproflow": importlib.metadata.version("reproflow"),
        "git_commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in LIBRARIES},
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


def commit(folder: Path) -> str:
    """The commit of the repository that holds a folder, or nothing."""
    return _git("rev-parse", "HEAD", folder=folder)


def changed_files(kept: Path) -> list[str]:
    """What is not committed in the working directory's repository: changes of tracked files, and untracked sources.

    Files in the folder `kept`, and untracked ones among results, do not count.
    """
    root = Path(_git("rev-parse", "--show-toplevel", folder=Path()) or ".")
    lines = _git("status", "--porcelain", "--untracked-files=all", folder=Path()).splitlines()
    found = [(state, file.strip('"')) for state, file in (line.split(maxsplit=1) for line in lines)]
    return [
        file
        for state, file in found
        if not (root / file).resolve().is_relative_to(kept.resolve())
        and (state != "??" or (file.endswith(SOURCES) and not {"results", ".snakemake"} & set(Path(file).parts)))
    ]


def _git(*arguments: str, folder: Path = Path(__file__).parent) -> str:
    """git's answer for a folder (the package's by default), or the empty string outside a repository."""
    try:
        answer = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""
