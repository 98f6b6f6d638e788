"""`reproflow audit`: a user's own training loss, run under a tape of its draws in a child process, read and judged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reproflow.auditing import findings
from reproflow.cli import check_options
from reproflow.foundation import specs, user_files
from reproflow.foundation.errors import UsageError
from reproflow.foundation.specs import Spec

if TYPE_CHECKING:
    from reproflow.auditing.audit import Audit

LEAST_BATCH = 4
"""Half of a batch is changed to see whether the other half moves, and one sample of two says too little."""

Function = Annotated[str, typer.Argument(help="FILE.py:FUNCTION; the function is called as loss(model, x1).")]


@dataclass(frozen=True)
class Asked:
    """The command line's words as numbers; raises `UsageError` for words that are none."""

    shape: tuple[int, ...]
    data: tuple[float, float] | None
    accept: tuple[str, ...]

    @classmethod
    def of(cls, shape: str, data: str | None, accept: str | None) -> Asked:
        ends = check_options.numbers("--data", data, 2)
        if ends and not ends[0] < ends[1]:
            raise UsageError(f"--data {data!r} is not LO,HI with LO below HI, such as 0,1.")
        ids = tuple(dict.fromkeys(part.strip() for part in (accept or "").split(",") if part.strip()))
        findings.check_acceptable(ids)
        return cls(_shape(shape), (ends[0], ends[1]) if ends else None, ids)


def audit(
    loss: Function,
    shape: Annotated[str, typer.Option(help="The shape of one sample: 3,32,32; tokens: their number.")],
    vocab: Annotated[int | None, typer.Option(min=2, help="Tokens: the size of the vocabulary.")] = None,
    mask: Annotated[int | None, typer.Option(min=0, help="Tokens: the id of the mask token.")] = None,
    batch: Annotated[int, typer.Option(min=LEAST_BATCH, help="How many samples a batch has.")] = 32,
    data: Annotated[str | None, typer.Option(help="LO,HI: the range of the data, such as 0,1.")] = None,
    float64: Annotated[bool, typer.Option("--float64", help="Call the loss in double precision.")] = False,
    expect: Annotated[str | None, typer.Option(help="A weighting: is the loss the objective with it?")] = None,
    on: Annotated[str | None, typer.Option(help="--expect: the prediction whose error it multiplies.")] = None,
    path: Annotated[str | None, typer.Option(help="--expect: its path; the one that is measured unless given.")] = None,
    time: Annotated[str | None, typer.Option(help="--expect: its time law; uniform unless given.")] = None,
    sampler: Annotated[str | None, typer.Option(help="FILE.py:FUNCTION, called as sample(model, n).")] = None,
    accept: Annotated[str | None, typer.Option(help="ID,..: questions that the project has answered.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="The verdicts on the objective count, too.")] = False,
    json_file: Annotated[
        str | None, typer.Option("--json", help="Write JSON to this file; - is standard output.")
    ] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="Write one self-contained page here.")] = None,
) -> None:
    """What does this training loss train? It is run with a network that records, and read off its own draws.

    Exit 0: identified, nothing against it; 3: a defect, or not as stated; 5: a question; 2: it cannot be read.

    Example: reproflow audit train.py:loss --shape 3,32,32 --expect min_snr:gamma=5 --on x1 --path cosine
    """
    asked = Asked.of(shape, data, accept)
    if (vocab is None) != (mask is None):
        raise UsageError("tokens have a vocabulary and a mask token: give --vocab and --mask, its id.")
    if expect is None and (on, path, time) != (None, None, None):
        raise UsageError("--on, --path and --time say what --expect states; give --expect too.")
    process = "gaussian" if vocab is None else "masked"
    parsed = _function("loss", loss)
    sampling = None if sampler is None else _function("sample", sampler)
    files = [each.file for each in (parsed, sampling) if each]
    if expect is not None:
        nouns = {"weighting": expect, "path": path, "time": time}
        files += check_options.user_files({kind: text for kind, text in nouns.items() if text is not None}, process, on)
    given: dict[str, Any] = {
        "shape": shape,
        "vocab": vocab,
        "mask": mask,
        "batch": batch,
        "data": data,
        "float64": float64,
    }
    given |= {"expect": expect, "on": on, "path": path, "time": time, "sampler": sampler, "accept": accept}
    given |= {"strict": strict, "json": json_file, "html": html_file}
    check_options.in_child("audit", loss, list(dict.fromkeys(files)), given, group=())

    def found() -> Audit:
        from reproflow.auditing.audit import audit as audited
        from reproflow.auditing.expected import Expected

        options: dict[str, Any] = {"vocab": vocab, "mask": mask, "batch": batch, "data": asked.data}
        options |= {"float64": float64, "accept": asked.accept, "strict": strict, "name": loss}
        if expect is not None:
            options["expect"] = Expected(expect, on, path, "uniform" if time is None else time)
        if sampling is not None:
            options["sampler"] = _member("sample", sampling)
        return audited(_member("loss", parsed), asked.shape, **options)

    check_options.answer(found, json_file, html_file, _show, _write)


def _shape(text: str) -> tuple[int, ...]:
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or min(found) < 1:
        raise UsageError(f"--shape {text!r} is not the shape of one sample: whole numbers above 0, such as 3,32,32.")
    return found


def _function(kind: str, text: str) -> Spec:
    """The function's spec, its file parsed but not run. Raises `UsageError` for what is no function of a file."""
    call = ", ".join(user_files.ARGUMENTS[kind])
    spec = specs.parse(text, kind)
    if not spec.file:
        raise UsageError(f"{kind} {text!r} is not FILE.py:FUNCTION; the function is called as {kind}({call}).")
    user_files.check(kind, spec, "gaussian")
    return spec


def _member(kind: str, spec: Spec) -> Any:
    """The function itself, its parameters bound: a loss draws from global generators, which other functions may not."""
    import functools

    from reproflow.theory import user_functions

    function = user_functions.member(spec)
    if not callable(function):
        raise UsageError(f"{kind} {spec.source!r}: {spec.function!r} in {spec.file} is not a function.")
    return functools.partial(function, **dict(spec.params)) if spec.params else function


def _show(found: Audit) -> None:
    from reproflow.cli import audit_terminal

    audit_terminal.show(found)


def _write(found: Audit, target: Path) -> None:
    from reproflow.cli import audit_html

    audit_html.write(found, target)
