"""Many command lines of one worktree's `reproflow` in one process: importing torch for every one would take an hour.

    python -P child.py WORKTREE OUT [NAME]

OUT/arguments.json maps names to argument lists, in which {out} is OUT; the answer of each is OUT/NAME.json, which the
command line writes, and its exit code stands in OUT/exits/NAME.json. An answer that is there is not asked for again.
Run by path and with the standard library alone, so that the worktree need not have it.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path

REFUSED = (1, 2)
"""Exit codes of an error and of bad usage."""


def main(worktree: Path, out: Path) -> None:
    import reproflow
    from reproflow import cli

    if not Path(reproflow.__file__).resolve().is_relative_to(worktree.resolve()):
        sys.exit(f"reproflow is imported from {reproflow.__file__}, not from {worktree}")
    refused = []
    exits = out / "exits"
    exits.mkdir(exist_ok=True)
    for name, arguments in json.loads((out / "arguments.json").read_text(encoding="utf-8")).items():
        written = exits / f"{name}.json"
        if not written.exists():
            code = ask(cli, [part.replace("{out}", str(out)) for part in arguments])
            written.write_text(json.dumps({"exit": code}) + "\n", encoding="utf-8")
            # Neither an answer nor a verdict: two sides that both refuse have not been compared.
            refused += [name] if code in REFUSED else []
    sys.exit(f"not answered: {', '.join(refused)}" if refused else 0)


def ask(cli: object, arguments: list[str]) -> int:
    """The exit code of a command line, whose words go nowhere but to the error stream where it fails of usage."""
    words = io.StringIO()
    with contextlib.redirect_stdout(words):
        try:
            cli.main(arguments)  # type: ignore[attr-defined]
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
    if code in REFUSED:
        print(f"exit {code}: {' '.join(arguments)}\n{words.getvalue()}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
