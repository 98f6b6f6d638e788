"""What `audit` and the verbs of `check` share: arguments, the child for a user's files, printing, the exit code."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import typer

from reproflow.cli import common
from reproflow.foundation import child_process, law_forms, processes, specs
from reproflow.foundation import user_files as usercode
from reproflow.foundation.errors import UsageError, did_you_mean


def _show(found: Any) -> None:
    from reproflow.cli import check_terminal

    check_terminal.show(found)


def _write(found: Any, target: Path) -> None:
    from reproflow.cli import check_html

    check_html.write(found, target)


def answer(
    judged: Callable[[], Any],
    json_file: str | None,
    html_file: Path | None = None,
    show: Callable[[Any], None] = _show,
    write: Callable[[Any, Path], None] = _write,
) -> NoReturn:
    """Judges; shows, unless standard output is for JSON; writes JSON and HTML; exits with the answer's code."""
    with quiet():
        common.one_thread()
        found = judged()
    if json_file != "-":
        show(found)
    if json_file is not None:
        common.write_json(json_file, found.as_dict())
    if html_file is not None:
        write(found, html_file)
    raise typer.Exit(found.exit_code)


def in_child(
    verb: str, spec: str, files: list[str], options: Mapping[str, Any], group: Sequence[str] = ("check",)
) -> None:
    """Runs the same command once more in a child and exits with its code, if a noun stands in a user's file.

    `verb` is one of a `group`, which is empty for a verb that has none. `options` are the command line's by name; None
    and False are those that were not given. Nothing happens in the child itself, and where no code but the package's
    own is run.
    """
    if not files or child_process.inside():
        return
    raise typer.Exit(child_process.run([*group, verb, *spoken(options), "--", spec], ", ".join(files)))


def spoken(options: Mapping[str, Any]) -> list[str]:
    """Options as words of a command line; None and False are those that were not given."""
    return [
        f"--{name}" if value is True else f"--{name}={value}"
        for name, value in options.items()
        if value is not None and value is not False
    ]


def user_files(nouns: Mapping[str, str], process: str = "gaussian", target: str | None = None) -> list[str]:
    """The user's own files among the nouns; whatever can be told from their text alone is told here, without torch."""
    weighted = processes.facts(process).weighted
    if target is not None and target not in weighted:
        known = ", ".join(weighted)
        raise UsageError(f"unknown {process} target {target!r};{did_you_mean(target, weighted)} known: {known}")
    forms = {
        kind: law_forms.split(text) if kind == law_forms.QUANTILE else (kind, text) for kind, text in nouns.items()
    }
    parsed = {kind: specs.parse(text, kind) for kind, text in forms.values()}
    for kind, each in parsed.items():
        usercode.check(kind, each, process)
    return list(dict.fromkeys(each.file for each in parsed.values() if each.file))


def numbers(option: str, text: str | None, count: int | None = None) -> list[float]:
    """The finite numbers of `1,2,3`; `count` of them where it is given."""
    if text is None:
        return []
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(map(math.isfinite, found)) or (count and len(found) != count):
        form = "A,B" if count == 2 else "L1,L2,.."
        raise UsageError(f"{option} {text!r} is not {form}, finite numbers with commas between, such as -3,-1,0.")
    return found


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """In a child, what user code prints goes to standard error, so that standard output holds the answer alone.

    Warnings of the libraries that it imports are dropped: an error is told in one line.
    """
    if not child_process.inside():
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
