"""Evaluating a user's expression with tensors: every number is a float64 tensor, so nothing grows beyond infinity."""

from __future__ import annotations

import ast
import functools
import math
import operator
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from reproflow.foundation import expression_syntax
from reproflow.theory.coefficients import Coefficients

_OPERATORS: dict[type, Callable[[Tensor, Tensor], Tensor]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    **{name: getattr(torch, name) for name in ("exp", "log", "sqrt", "abs", "sin", "cos", "tanh", "sigmoid", "cosh")},
    "min": lambda *values: functools.reduce(torch.minimum, values),
    "max": lambda *values: functools.reduce(torch.maximum, values),
    "clamp": lambda value, low, high: torch.minimum(torch.maximum(value, low), high),
    "where": lambda condition, yes, no: torch.where(condition != 0, yes, no),
}


def function(text: str, kind: str, process: str) -> Callable[..., object]:
    """The expression as a function with its kind's signature.

    A weighting's takes `Coefficients`, since it may use dlam, alpha and sigma; a path's gives (alpha, sigma), where a
    masked one is alpha alone; a divergence's is summed over the dimensions. Raises `UsageError` as `expressions.parse`.
    """
    trees = expression_syntax.parse(text, kind, process)

    def weighting(c: Coefficients) -> Tensor:
        names = {"t": c.t, "lam": c.lam, "dlam": c.dlam, "snr": c.snr, "alpha": c.alpha, "sigma": c.sigma}
        return evaluate(trees[0], names) + torch.zeros_like(c.t)

    def time(u: Tensor) -> Tensor:
        return evaluate(trees[0], {"u": u}) + torch.zeros_like(u)

    def path(t: Tensor) -> tuple[Tensor, Tensor]:
        values = [evaluate(tree, {"t": t}) + torch.zeros_like(t) for tree in trees]
        return values[0], values[1] if len(values) == 2 else 1 - values[0]

    def divergence(a: Tensor, b: Tensor, t: Tensor, x: Tensor) -> Tensor:
        column = t.view(-1, *[1] * (a.ndim - 1))
        terms = evaluate(trees[0], {"a": a, "b": b, "t": column, "x": x}) + torch.zeros_like(a)
        return terms.flatten(1).sum(1)

    functions: dict[str, Callable[..., object]] = {
        "weighting": weighting,
        "time": time,
        "path": path,
        "divergence": divergence,
    }
    return functions[kind]


def evaluate(node: ast.expr, names: Mapping[str, Tensor]) -> Tensor:
    """The value of a checked tree; comparisons give 1 where true, 0 elsewhere."""
    like = next(iter(names.values()))
    match node:
        case ast.Constant(value=int() | float() as value):
            return like.new_tensor(float(value))
        case ast.Name(id=name):
            return like.new_tensor(math.pi) if name == "pi" else names[name]
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATORS[type(op)](evaluate(left, names), evaluate(right, names))
        case ast.UnaryOp(op=op, operand=operand):
            return -evaluate(operand, names) if isinstance(op, ast.USub) else evaluate(operand, names)
        case ast.Compare(left=left, ops=ops, comparators=others):
            values = [evaluate(each, names) for each in (left, *others)]
            pairs = zip(ops, values[:-1], values[1:], strict=True)
            return functools.reduce(operator.and_, (_OPERATORS[type(op)](a, b) for op, a, b in pairs)).to(like.dtype)
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return _FUNCTIONS[name](*(evaluate(each, names) for each in arguments))
    raise AssertionError(f"unchecked expression {ast.dump(node)}")
