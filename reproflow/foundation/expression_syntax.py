"""Expressions: one line of arithmetic that a user types, read by a whitelist and never by `eval`.

Allowed are numbers, the variables of the noun's kind, `pi`, `+ - * / **`, comparisons (1 where true, 0 elsewhere), and
the functions below. Whatever else the text holds is refused with the part that is not allowed, and so is a text or a
tree of more than a modest size; nothing is computed here. `theory.expression_values` evaluates what this file lets
through.
"""

from __future__ import annotations

import ast
import math

from reproflow.foundation import processes
from reproflow.foundation.errors import UsageError, did_you_mean

CHANGES_NO_NUMBER = "it refuses texts; what it lets through is a part of the fingerprint, as text"

LONGEST = 500
LARGEST = 200
VARIABLES = {
    "weighting": ("t", "lam", "dlam", "snr", "alpha", "sigma"),
    "time": ("u",),
    "path": ("t",),
    "snr": ("t",),
    "density": ("t",),
    "divergence": ("a", "b", "t", "x"),
}
# Function -> the numbers of arguments it takes.
FUNCTIONS = {
    **dict.fromkeys(("exp", "log", "sqrt", "abs", "sin", "cos", "tanh", "sigmoid", "cosh"), (1, 1)),
    **dict.fromkeys(("min", "max"), (2, 8)),
    **dict.fromkeys(("clamp", "where"), (3, 3)),
}
OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow)
COMPARISONS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)


def parse(text: str, kind: str, process: str = "gaussian") -> list[ast.expr]:
    """The checked syntax trees of an expression: one, or alpha and sigma for a Gaussian path.

    Raises `UsageError` naming the part that is not allowed.
    """
    if len(text) > LONGEST:
        raise UsageError(f"an expression has at most {LONGEST} characters, this one has {len(text)}.")
    try:
        body = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UsageError(f"expression {text!r} cannot be read: {getattr(error, 'msg', error)}.") from None
    trees = body.elts if isinstance(body, ast.Tuple) else [body]
    values = processes.facts(process).path_values if kind == "path" else ()
    wanted = max(len(values), 1)
    if len(trees) != wanted:
        parts = ", ".join(values) if wanted > 1 else "one value"
        raise UsageError(f"expression {text!r} must give {parts} (a {process} {kind}), it gives {len(trees)}.")
    if sum(1 for tree in trees for _ in ast.walk(tree)) > LARGEST:
        raise UsageError(f"expression {text!r} has more than {LARGEST} parts; put it in a file as a function.")
    for tree in trees:
        _check(tree, text, VARIABLES[kind])
    return trees


def normal(text: str) -> str:
    """The text with blanks and brackets made uniform, for fingerprints (the expression has been parsed before)."""
    return ast.unparse(ast.parse(text.strip(), mode="eval"))


def _check(node: ast.AST, text: str, variables: tuple[str, ...]) -> None:
    children: list[ast.expr]
    match node:
        case ast.Constant(value=bool()) | ast.Constant(value=complex()):
            raise _refusal(node, text)
        case ast.Constant(value=int() | float() as value):
            if not abs(value) <= 1e300 or not math.isfinite(value):
                raise UsageError(f"expression {text!r}: the number {str(value)[:20]} is too large.")
            children = []
        case ast.Name(id=name):
            if name not in (*variables, "pi"):
                close = did_you_mean(name, [*variables, "pi", *FUNCTIONS])
                raise UsageError(f"expression {text!r}: unknown {name!r};{close} known: {', '.join(variables)}, pi")
            children = []
        case ast.BinOp(left=left, op=op, right=right) if isinstance(op, OPERATORS):
            children = [left, right]
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            children = [operand]
        case ast.Compare(left=left, ops=ops, comparators=others) if all(isinstance(op, COMPARISONS) for op in ops):
            children = [left, *others]
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in FUNCTIONS:
            fewest, most = FUNCTIONS[name]
            if not fewest <= len(arguments) <= most:
                count = f"{fewest}" if fewest == most else f"{fewest} to {most}"
                raise UsageError(f"expression {text!r}: {name} takes {count} arguments, not {len(arguments)}.")
            children = arguments
        case ast.Call(func=ast.Name(id=name)):
            close = did_you_mean(name, FUNCTIONS)
            raise UsageError(f"expression {text!r}: unknown function {name!r};{close} known: {', '.join(FUNCTIONS)}")
        case _:
            raise _refusal(node, text)
    for child in children:
        _check(child, text, variables)


def _refusal(node: ast.AST, text: str) -> UsageError:
    part = ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__
    return UsageError(
        f"expression {text!r}: {part[:60]!r} is not allowed; use numbers, variables, + - * / **, comparisons and "
        f"{', '.join(FUNCTIONS)}."
    )
