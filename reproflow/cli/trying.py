"""The user's own functions are tried, under limits, before anything is trained with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from reproflow.foundation import child_process

if TYPE_CHECKING:
    from reproflow.foundation.run import Run


def are_tried(opened: Run, config: Path) -> bool:
    """Whether a configuration is what `resolve` wrote, after the last change of its user's files."""
    written = opened.folder / "config.json"
    if not (written.exists() and written.samefile(config)):
        return False
    sources = {Path(spec.file) for spec in opened.config.user_functions if spec.file}
    return all(source.stat().st_mtime < written.stat().st_mtime for source in sources)


def try_user_functions(opened: Run, config: Path, results: Path | None) -> None:
    """Runs the user's own functions, in a child process with a time limit, as training would."""
    if child_process.inside():
        from reproflow.learning.preflight import admit_config

        admit_config(opened.config)
        raise typer.Exit(0)
    arguments = ["resolve", "--config", str(config), *(["--results", str(results)] if results else [])]
    code = child_process.run(arguments, ", ".join(sorted({spec.source for spec in opened.config.user_functions})))
    if code:
        raise typer.Exit(code)
