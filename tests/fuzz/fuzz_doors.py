"""What a user's input comes to first, as functions from one input to how it was answered.

An answer is a word: `accepted`, `refused` (with an error that is not long) or `exit N`. Anything that is not answered
in these ways raises `Broken`: another exception, a message that is long or empty, a loop without an end, an answer that
does not read back.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import jsonschema
import torch
import typer

from reproflow import cli
from reproflow.foundation import config, grid, specs, tables, user_files
from reproflow.foundation.errors import ReproflowError, UsageError
from reproflow.theory import components

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60
"""Processor time after which an input is said not to end: some five hundred times what the slowest takes."""
LONGEST = 2000
"""Letters of a message, beside what it repeats of the input."""
CODES = {0, 2, 3, 5}


class Broken(AssertionError):
    """An input that was not answered as the contract says; its text says how."""


@contextlib.contextmanager
def ended() -> Iterator[None]:
    """Raises `Broken` in what takes too long. Processor time: a busy machine does not count."""

    def stop(*_: object) -> None:
        raise Broken(f"does not end in {SECONDS} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def answered(ask: Callable[[Any], str], given: Any) -> str:
    """How an input is answered. Raises `Broken`."""
    try:
        with ended():
            return ask(given)
    except Broken:
        raise
    except ReproflowError as error:
        if not isinstance(error, UsageError):
            raise Broken(f"{type(error).__name__}: {error}") from error
        _readable(str(error), given)
        return "refused"
    except BaseException as error:
        raise Broken(traceback.format_exc(limit=-6)) from error


def _readable(message: str, given: Any) -> None:
    """Raises `Broken` for a message that is empty, or longer than what it repeats of the input explains."""
    if not message.strip() or len(message) > LONGEST + 4 * len(repr(given)):
        raise Broken(f"a message of {len(message)} characters: {message[:300]!r}")


def configuration(text: str) -> str:
    """A configuration file's text: read, checked, expanded to cells, written whole and read back the same."""
    path = Path("fuzz.yaml")
    path.write_text(text, encoding="utf-8", errors="replace")
    try:
        checked = config.load(path)
        grid.check(checked)
        cells = grid.expand(checked)
        again = config.check(json.loads(config.dump(checked)))
        if again != checked or grid.expand(again) != cells:
            raise Broken("config.json does not read back as what was checked")
        return "accepted"
    finally:
        path.unlink()


def spec(given: tuple[str, str, str]) -> str:
    """A spec of a kind for a process: read, looked up, and called at times on the way from noise to data."""
    kind, process, text = given
    parsed = specs.parse(text, kind)
    user_files.check(kind, parsed, process)
    noun = components.resolve(kind, parsed, process)
    if kind in ("path", "time"):
        noun.function(torch.linspace(0.001, 0.999, 7, dtype=torch.float64))
    return "accepted"


def table(given: tuple[str, bytes]) -> str:
    """A file of numbers, read."""
    name, data = given
    with _file(name, data):
        if not tables.is_file(name):
            return "no file of numbers"
        tables.read(name)
    return "accepted"


@contextlib.contextmanager
def _file(name: str, data: bytes) -> Iterator[None]:
    path = Path(name.split(":")[0])
    path.write_bytes(data)
    try:
        yield
    finally:
        path.unlink()


@contextlib.contextmanager
def nothing_judged() -> Iterator[None]:
    """The command line without its long work: what is left is the reading of words."""

    def parsed(*_: object, **__: object) -> None:
        raise typer.Exit(0)

    with (
        mock.patch("reproflow.cli.check_options.answer", parsed),
        mock.patch("reproflow.claims.ledger.run", return_value=[]),
        mock.patch("reproflow.claims.policy.gate", return_value=0),
        mock.patch("reproflow.cli.doctor.run", return_value=[]),
        mock.patch("reproflow.judge.published_objectives_table.read", parsed),
    ):
        yield


def command_line(words: list[str]) -> str:
    """Words on the command line, up to where work would begin."""
    with nothing_judged():
        code, out, told = _run(words)
    # What `verify --json FILE` writes was asked for; what is refused leaves nothing.
    for name in {*words} & {*os.listdir()} if code == 0 else ():
        os.unlink(name)
    # A group of verbs without a verb prints its help.
    if code == 2 and "Usage" not in out:
        _readable(told, words)
    return f"exit {code}"


def _run(words: list[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of `reproflow <words>`, in this process."""
    out, told = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(told):
        code = cli.run(words)
    if "Traceback" in told.getvalue():
        raise Broken(told.getvalue())
    return code, out.getvalue(), told.getvalue()


SCHEMAS = {
    kind: jsonschema.validators.validator_for(schema)(schema)
    for kind in ("weighting", "path", "time", "divergence", "levels")
    for schema in [json.loads((ROOT / "docs" / "schemas" / f"check-{kind}.json").read_text(encoding="utf-8"))]
}


def judged(words: list[str]) -> str:
    """A `check` from its words to its verdicts: a code of the contract, and JSON that keeps to its schema or none."""
    at = words.index("--")
    code, out, told = _run([*words[:at], "--json=-", *words[at:]])
    if code not in CODES:
        raise Broken(f"exit {code}: {told[:300]!r}")
    if code == 2:
        _readable(told, words)
        if out.strip():
            raise Broken(f"exit 2, and on standard output: {out[:300]!r}")
        return "exit 2"
    answer = json.loads(out, parse_constant=_no_json)
    SCHEMAS["levels" if "levels" in answer else words[1]].validate(answer)
    return f"exit {code}"


def judged_table(given: tuple[list[str], bytes]) -> str:
    """A `check` of a table in a file, from its words to its verdicts."""
    words, data = given
    with _file(words[-1], data):
        return judged(words)


def _no_json(word: str) -> None:
    raise Broken(f"{word} is no JSON")
