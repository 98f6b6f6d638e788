"""What surrounds a run of the workflow: folders, installed packages, and the variables that it reads.

What cannot work is refused when the workflow is read, before a job fails of it. This file imports the standard library
alone, so that it also runs in an environment in which everything else is missing.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from reproflow.foundation.errors import UsageError

# What Snakemake's own process needs of the packages: modules it imports, and versions that fingerprints name.
MODULES = ("numpy", "pydantic", "yaml")
VERSIONS = ("torch", "torch-fidelity")


@dataclass(frozen=True)
class Number:
    """A variable that holds a whole number of something; where it is unset or empty, the default holds."""

    name: str
    unit: str
    default: int
    least: int = 1
    most: int | None = None


RUNTIME = Number("REPROFLOW_RUNTIME", "minutes", 240)
MAX_RUNTIME = Number("REPROFLOW_MAX_RUNTIME", "minutes", 1440)
# Slurm keeps the seconds of `--signal` in sixteen bits.
WARNING = Number("REPROFLOW_WARNING", "seconds", 120, most=65535)
GPUS = Number("REPROFLOW_GPUS", "GPUs", 1, least=0)
# What the Slurm profile asks for where no variable is read.
SHORT_RUNTIME = 30
# The Slurm executor writes paths in Python's quotes into a command in the shell's double quotes; Slurm replaces `%`.
NOT_ON_SLURM = "'`$\\%"


def value(number: Number, environ: Mapping[str, str]) -> int:
    """The variable's value. Raises `UsageError` that names variable, value and cure."""
    said = environ.get(number.name, "")
    if not said:
        return number.default
    most = f" and at most {number.most}" if number.most is not None else ""
    if not said.isdecimal() or not number.least <= int(said) <= (number.most or int(said)):
        raise UsageError(
            f"{number.name}={said!r}: a whole number of {number.unit} is needed, at least {number.least}{most}.\n"
            f"Set it so (export {number.name}={number.default}), or unset {number.name}, which means {number.default}."
        )
    return int(said)


def check_variables(environ: Mapping[str, str]) -> None:
    """The Slurm profile's numbers; its expressions cannot say what is wrong with them."""
    value(GPUS, environ)
    limit = value(MAX_RUNTIME, environ)
    shortest = min(value(RUNTIME, environ), SHORT_RUNTIME, limit)
    if value(WARNING, environ) >= 60 * shortest:
        raise UsageError(
            f"{WARNING.name}={value(WARNING, environ)}: jobs of {shortest} minutes would have to stop as they start.\n"
            f"Set fewer seconds, or more minutes in {RUNTIME.name} and {MAX_RUNTIME.name}."
        )


def check_packages(clone: Path) -> None:
    """That this interpreter has what planning needs; `clone` is where an environment of our own may lie."""
    missing = [name for name in MODULES if importlib.util.find_spec(name) is None]
    missing += [name for name in VERSIONS if not _installed(name)]
    if missing:
        raise UsageError(lacking(missing, clone))


def lacking(missing: list[str], clone: Path) -> str:
    """The message for packages that this interpreter does not have."""
    own = clone / ".venv" / "bin" / "snakemake"
    use = f"use {own}" if own.exists() else f"run `make .venv/ready` in {clone}, then use {own}"
    return (
        f"Snakemake runs in the environment {sys.prefix}, which lacks {', '.join(missing)}.\n"
        f"Either {use}, or install {clone} into this environment."
    )


def check_folders(python: Path, package: Path, snakefile: Path) -> None:
    """Refuses what no quoting helps: a colon ends an entry of a search path, and braces are wildcards."""
    for path, letters, why in (
        (python, os.pathsep, "PATH cannot hold it"),
        (package, os.pathsep, "PYTHONPATH cannot hold it"),
        (snakefile, "{}", "Snakemake reads braces as wildcards"),
    ):
        if any(letter in str(path) for letter in letters):
            raise UsageError(f"{path}: {why}.\nMove or rename the folder; spaces, quotes and accents are fine.")


def check_slurm(*paths: Path) -> None:
    """Refuses the paths that the Slurm executor cannot pass on to its jobs; before one is submitted."""
    for path in paths:
        found = [letter for letter in NOT_ON_SLURM if letter in str(path)]
        found += sorted({repr(letter) for letter in str(path) if not letter.isprintable()})
        if found:
            raise UsageError(
                f"{path}: the Slurm executor cannot pass on {' '.join(found)} in a path.\n"
                "Move or rename the folder; spaces and accents are fine, and without Slurm it works as it is."
            )


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
