"""A user's file, read without running it: does it parse, does it hold the function, can the function be called?

Running it is for `theory.components`, inside a process that has a time limit. What can be told from the text alone is
told when a configuration is checked, before anything runs.
"""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from typing import Any

from reproflow.foundation import expression_syntax, names, other_kinds, processes, specs
from reproflow.foundation.errors import UsageError, did_you_mean
from reproflow.foundation.specs import Spec

CHANGES_NO_NUMBER = "it refuses user files before anything runs; their definitions are parts of the fingerprint"

# What each kind's function is called with.
ARGUMENTS = {
    "path": ("t",),
    "time": ("u",),
    "weighting": ("t", "lam"),
    "snr": ("t",),
    "density": ("t",),
    "sampler": ("n", "generator"),
    "divergence": ("a", "b", "t", "x"),
    "target": ("c",),
    "coupling": ("x0", "x1", "generator"),
    "dataset": (),
    "network": ("shape", "classes"),
    "loss": ("model", "x1"),
    "sample": ("model", "n"),
}


def check(kind: str, spec: Spec, process: str) -> None:
    """Raises `UsageError` for a spec that names nothing, or that cannot be what it says."""
    if spec.registered:
        name = names.find(kind, spec.name, process)
        specs.bind(spec, name.params, {key: _interval(pair) for key, pair in name.ranges.items()}, kind)
        return
    if kind not in ARGUMENTS:
        raise UsageError(f"{kind} {spec.name!r}: only {', '.join(ARGUMENTS)} can be a user's own.")
    weighted = processes.facts(process).weighted
    if spec.on and spec.on not in weighted:
        raise UsageError(
            f"weighting {spec.name!r}: on {spec.on!r} is not a {process} prediction;"
            f"{did_you_mean(spec.on, weighted)} known: {', '.join(weighted)}"
        )
    if spec.is_expression and kind not in expression_syntax.VARIABLES:
        raise UsageError(f"{kind} {spec.name!r}: no expression can be a {kind}; write a function, FILE.py:FUNCTION.")
    if spec.is_expression:
        expression_syntax.parse(spec.expression, kind, process)
    else:
        specs.bind(spec, parameters(kind, spec), {}, kind)


def parameters(kind: str, spec: Spec) -> dict[str, Any]:
    """The keyword parameters of a user's function with their defaults (None for one that is not a plain number).

    Raises `UsageError` naming file, line and cause for a file that is missing or does not parse, a function that it
    does not hold, and a signature that cannot be called as the kind demands.
    """
    tree = _tree(spec.file)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    if spec.function not in functions and spec.function in _bound(tree):
        return {}  # a lambda, or imported: its signature shows when it is called
    if spec.function not in functions:
        raise UsageError(
            f"{kind} {spec.source!r}: {spec.file} has no function {spec.function!r};"
            f"{did_you_mean(spec.function, functions)} it has: {', '.join(functions) or 'none'}"
        )
    node = functions[spec.function]
    arguments, wanted = node.args, ARGUMENTS[kind]
    positional = [each.arg for each in (*arguments.posonlyargs, *arguments.args)]
    plain = positional[: len(positional) - len(arguments.defaults)]
    unset = [each.arg for each, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if value is None]
    fits = len(plain) == len(wanted) or (arguments.vararg is not None and len(plain) <= len(wanted))
    if not fits or unset or other_kinds.disguised(kind, plain):
        given = ", ".join([*plain, *(f"*, {each}" for each in unset)])
        raise UsageError(
            f"{kind} {spec.source!r}: {spec.file}, line {node.lineno}: {spec.function}({given}) cannot be called as "
            f"{spec.function}({', '.join(wanted)}); further arguments need a default."
            + _otherwise(kind, [*plain, *unset])
        )
    defaults = zip(positional[len(plain) :], arguments.defaults, strict=True)
    keywords = zip([each.arg for each in arguments.kwonlyargs], arguments.kw_defaults, strict=True)
    return {name: _number(value) for name, value in (*defaults, *keywords)}


def _otherwise(kind: str, arguments: list[str]) -> str:
    """What a function with other arguments may be instead, on a line of its own."""
    said = other_kinds.words(kind, arguments, ARGUMENTS[kind])
    return f"\n{said}" if said else ""


def _bound(tree: ast.Module) -> set[str]:
    """Names that a file assigns or imports at its top."""
    assigned = {
        t.id for node in tree.body if isinstance(node, ast.Assign) for t in node.targets if isinstance(t, ast.Name)
    }
    imports = (node for node in tree.body if isinstance(node, ast.ImportFrom | ast.Import))
    return assigned | {alias.asname or alias.name for node in imports for alias in node.names}


@functools.lru_cache(maxsize=32)
def _parsed(path: str, text: str) -> ast.Module:
    try:
        return ast.parse(text, path)
    except (SyntaxError, ValueError, RecursionError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise UsageError(f"{path}{line}: {getattr(error, 'msg', error)}; this is not valid Python.") from None


def _tree(path: str) -> ast.Module:
    try:
        return _parsed(path, Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"no file {path} in {Path.cwd()}; paths are relative to the working directory.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from None


def _number(node: ast.expr | None) -> Any:
    try:
        return ast.literal_eval(node) if node is not None else None
    except ValueError:
        return None


def _interval(pair: list[float | None]) -> tuple[float, float]:
    low, high = pair
    return (float("-inf") if low is None else low, float("inf") if high is None else high)
