"""One side of the comparison: a worktree, the folder that its results go to, and the parts that are run there."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.same_numbers import questions

HERE = Path(__file__).resolve().parent
PAIRS_FROM = "eight_gaussians.gaussian.linear.uniform.uniform.velocity.s0"
"""The cell of small.yaml whose flow makes the pairs of pairs.yaml."""

# Results depend on none of these, or must not; that both sides have them equal makes a difference the code's.
PINNED = {
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"),
    "CUDA_VISIBLE_DEVICES": "",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "TZ": "UTC",
    "LC_ALL": "C.UTF-8",
    "COLUMNS": "120",
    "MPLBACKEND": "Agg",
}


class SideError(Exception):
    """A side did not run to its end."""


@dataclass(frozen=True)
class Side:
    """A worktree, and where its results lie: a folder for each part, and done.json."""

    worktree: Path
    folder: Path

    @property
    def done(self) -> dict[str, dict[str, float]]:
        """The parts that have run to their end, and their seconds: wall and processor."""
        file = self.folder / "done.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}

    def run(self, part: str, asked: Side | None = None) -> dict[str, float]:
        """Runs a part from an empty folder, and returns its seconds. `asked`: the side whose questions are asked again.

        Raises `SideError`.
        """
        folder = self.folder / part
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        wall, processor = time.perf_counter(), _processor()
        PARTS[part](self, folder, asked)
        seconds = {
            "wall": round(time.perf_counter() - wall, 1),
            "processor": round(_processor() - processor, 1),
        }
        text = json.dumps(self.done | {part: seconds}, indent=1) + "\n"
        (self.folder / "done.json").write_text(text, encoding="utf-8")
        return seconds

    def call(self, arguments: list[str], folder: Path) -> int:
        """The exit code of this interpreter with the worktree's package, in a folder; its words go to a log there."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("REPROFLOW_", "PYTHON"))}
        environment = kept | PINNED | {"PYTHONPATH": str(self.worktree)}
        logs = folder / "logs"
        logs.mkdir(exist_ok=True)
        with (logs / "same_numbers.log").open("a", encoding="utf-8") as log:
            print("$", *arguments, file=log, flush=True)
            return subprocess.run(
                [sys.executable, *arguments], cwd=folder, env=environment, stdout=log, stderr=log, check=False
            ).returncode

    def require(self, arguments: list[str], folder: Path) -> None:
        """As `call`. Raises `SideError` for another exit code than 0."""
        if code := self.call(arguments, folder):
            raise SideError(f"exit {code} of {' '.join(arguments)}; see {folder}/logs/same_numbers.log")

    def check_import(self) -> None:
        """Raises `SideError` where the package does not come from the worktree."""
        self.folder.mkdir(parents=True, exist_ok=True)
        code = (
            "import pathlib, sys, reproflow\n"
            "file, worktree = (pathlib.Path(each).resolve() for each in (reproflow.__file__, sys.argv[1]))\n"
            "sys.exit(not file.is_relative_to(worktree))"
        )
        self.require(["-P", "-c", code, str(self.worktree)], self.folder)


def _processor() -> float:
    """Processor seconds of all processes that this one started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _snakemake(side: Side, folder: Path, config: Path, *targets: str) -> None:
    """A configuration through the workflow. That the gate fails is an outcome, which is compared, and no error."""
    arguments = [
        "-m",
        "snakemake",
        "--cores",
        "1",
        "--quiet",
        "rules",
        "progress",
        "--show-failed-logs",
        "--directory",
        str(folder),
    ]
    arguments += ["--snakefile", str(side.worktree / "Snakefile"), "--configfile", str(config), "--", *targets]
    code = side.call(arguments, folder)
    (folder / f"exit-{config.stem}.json").write_text(json.dumps({"exit": code}) + "\n", encoding="utf-8")
    made = list((folder / "results").glob("*/provenance.json")) if not targets else [folder / each for each in targets]
    if not made or not all(file.exists() for file in made):
        raise SideError(f"the workflow did not finish {config.name}; see {folder}/logs/same_numbers.log")


def _cells(side: Side, folder: Path, _: Side | None) -> None:
    _snakemake(side, folder, side.worktree / "configs/ci.yaml")


def _demo(side: Side, folder: Path, _: Side | None) -> None:
    _snakemake(side, folder, HERE / "small.yaml")
    pairs = ["pairs", PAIRS_FROM, "--results", "results/same_numbers", "--n", "500", "--out", "pairs.safetensors"]
    side.require(["-m", "reproflow", *pairs], folder)
    _snakemake(side, folder, HERE / "pairs.yaml", "results/same_numbers_pairs/cells.csv")


def _check(side: Side, folder: Path, asked: Side | None) -> None:
    given = (asked or side).folder / "check" / "arguments.json"
    known = json.loads(given.read_text(encoding="utf-8")) if asked else questions.of_check(side.worktree)
    (folder / "user_code.py").write_text(questions.USER_CODE, encoding="utf-8")
    _ask(side, folder, known)


def _verify(side: Side, folder: Path, _: Side | None) -> None:
    _ask(side, folder, questions.of_verify())


def _ask(side: Side, folder: Path, asked: dict[str, list[str]]) -> None:
    (folder / "arguments.json").write_text(json.dumps(asked, indent=1) + "\n", encoding="utf-8")
    side.require(["-P", str(HERE / "child.py"), str(side.worktree), str(folder)], folder)


PARTS: dict[str, Callable[[Side, Path, Side | None], None]] = {
    "cells": _cells,
    "demo": _demo,
    "check": _check,
    "verify": _verify,
}
