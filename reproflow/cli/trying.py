"""The user's own functions are tried, under limits, before anything is trained with them.

What was tried is kept in the results folder, as digests of the configuration and of each function with all that it
reaches. A time of change would not tell: a file that is copied, checked out or unpacked brings one of its own.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from reproflow.foundation import child_process

if TYPE_CHECKING:
    from reproflow.foundation.config import Config
    from reproflow.foundation.run import Run

RECORD = "tried.json"


def are_tried(opened: Run) -> bool:
    """Whether this configuration was tried, with its user's functions as they are now."""
    record, present = opened.folder / RECORD, _digests(opened.config)
    return bool(present) and record.is_file() and record.read_bytes() == present.encode()


def try_user_functions(opened: Run, config: Path, results: Path | None) -> None:
    """Runs the user's own functions, in a child process with a time limit, as training would; keeps that it did."""
    if child_process.inside():
        from reproflow.learning.preflight import admit_config

        admit_config(opened.config)
        raise typer.Exit(0)
    # Before the trial: of what is changed while it runs it says nothing.
    tried = _digests(opened.config)
    arguments = ["resolve", "--config", str(config), *(["--results", str(results)] if results else [])]
    code = child_process.run(arguments, ", ".join(sorted({spec.source for spec in opened.config.user_functions})))
    if code:
        raise typer.Exit(code)
    if tried:
        from reproflow.foundation import files

        files.write_text(opened.folder / RECORD, tried)


def _digests(config: Config) -> str:
    """The record of a configuration, JSON; nothing where a file cannot be read: the trial says why."""
    from reproflow.foundation import config as configuration
    from reproflow.foundation import files, fingerprint

    functions = {spec.source for spec in config.user_functions if spec.file}
    with contextlib.suppress(SyntaxError, ValueError, RecursionError):
        digests = {source: fingerprint.source(source) for source in sorted(functions)}
        told = {"configuration": files.digest(configuration.dump(config)), "functions": digests}
        return json.dumps(told, indent=1) + "\n"
    return ""
