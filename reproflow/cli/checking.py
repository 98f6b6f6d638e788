"""Verbs that judge one new thing: `reproflow check weighting`, and its siblings as they come."""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from reproflow.cli import common
from reproflow.foundation import child, registry, specs, usercode
from reproflow.foundation.errors import UsageError, did_you_mean

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Judge one new weighting: is it sound, what does it bound?"
)


# Without a second command typer would make the only one the group itself.
@app.callback()
def check() -> None:
    """Judge one new thing: is it sound, what does it bound, what is it equivalent to?

    Example: reproflow check weighting expr:exp(-lam/2) --target canonical
    """


@app.command()
def weighting(
    spec: Annotated[str, typer.Argument(help="A name, FILE.py:FUNCTION, or expr:EXPRESSION; name:param=value.")],
    process: Annotated[str, typer.Option(help="gaussian or masked.")] = "gaussian",
    path: Annotated[str, typer.Option(help="A path.")] = "linear",
    time: Annotated[str, typer.Option(help="A time law.")] = "uniform",
    target: Annotated[
        str | None, typer.Option(help="What the weighting multiplies, in place of what it says itself.")
    ] = None,
    t_range: Annotated[str | None, typer.Option("--range", help="A,B: the range of t, from noise to data.")] = None,
    lam: Annotated[str | None, typer.Option(help="L1,L2,..: where the canonical weight is told.")] = None,
    json_file: Annotated[
        str | None, typer.Option("--json", help="Write JSON to this file; - is standard output.")
    ] = None,
) -> None:
    """Judge a weighting: admissible, identified, a bound, and what it is equivalent to.

    Exit 0: supported, supported, certified; 3: a verdict against it; 5: one that cannot be decided; 2: bad usage.

    Example: reproflow check weighting "expr:min(snr,5)" --target x1 --json -
    """
    nouns = {"weighting": spec, "path": path, "time": time}
    files = _checked(nouns, process, target)
    ends, lams = _numbers("--range", t_range, 2), _numbers("--lam", lam)
    if files and not child.inside():
        options = {"process": process, "path": path, "time": time, "target": target, "range": t_range, "lam": lam}
        given = [f"--{key}={value}" for key, value in (options | {"json": json_file}).items() if value is not None]
        raise typer.Exit(child.run(["check", "weighting", *given, "--", spec], ", ".join(files)))
    with _quiet():
        import torch

        from reproflow import judge

        torch.set_num_threads(1)
        wanted = {"lam": lams} if lams else {}
        found = judge.weighting(spec, process, path, time, target, (ends[0], ends[1]) if ends else None, **wanted)
    if json_file != "-":
        from reproflow.cli import page

        page.show(found)
    if json_file is not None:
        common.write_json(json_file, found.as_dict())
    raise typer.Exit(found.exit_code)


def _checked(nouns: dict[str, str], process: str, target: str | None) -> list[str]:
    """The user's own files among the nouns; whatever can be told from their text alone is told here, without torch."""
    if process not in registry.PROCESSES:
        known = ", ".join(registry.PROCESSES)
        raise UsageError(f"unknown process {process!r};{did_you_mean(process, registry.PROCESSES)} known: {known}")
    if target is not None and target not in usercode.ON[process]:
        known = ", ".join(usercode.ON[process])
        raise UsageError(
            f"unknown {process} target {target!r};{did_you_mean(target, usercode.ON[process])} known: {known}"
        )
    parsed = {kind: specs.parse(text, kind) for kind, text in nouns.items()}
    for kind, each in parsed.items():
        usercode.check(kind, each, process)
    return list(dict.fromkeys(each.file for each in parsed.values() if each.file))


def _numbers(option: str, text: str | None, count: int | None = None) -> list[float]:
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
def _quiet() -> Iterator[None]:
    """In a child, what user code prints goes to standard error, so that standard output holds the answer alone."""
    if not child.inside():
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
