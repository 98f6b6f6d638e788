"""`check weighting .. --against`: the other objective, as its options say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reproflow.cli import check_options
from reproflow.foundation.errors import UsageError

if TYPE_CHECKING:
    from reproflow.judge import Against

PARTS = ("against-path", "against-time", "against-target")


def user_files(options: Mapping[str, Any]) -> list[str]:
    """The user's own files among the other objective's parts. Raises `UsageError` for parts without the objective."""
    spec, path, time, target = (options[key] for key in ("against", *PARTS))
    if spec is None:
        for key in PARTS:
            if options[key] is not None:
                raise UsageError(f"--{key} is a part of another objective; say its weighting with --against SPEC.")
        return []
    nouns = {"weighting": spec, "path": path or options["path"] or "linear", "time": time or options["time"]}
    return check_options.user_files(nouns, options["process"], target)


def asked(options: Mapping[str, Any]) -> Against | None:
    """The other objective, or nothing."""
    from reproflow.judge import Against

    spec, path, time, target = (options[key] for key in ("against", *PARTS))
    return None if spec is None else Against(spec, path, time, target)
