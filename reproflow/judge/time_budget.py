"""Expressions under judgement have a time limit: each asks, before it is evaluated, whether the judgement may go on.

An expression cannot loop, but one with a million turning points keeps a judgement busy for hours. It is evaluated in
the caller's process, which may be a notebook's, and in any of its threads: nothing outside could stop it alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from reproflow.foundation.code_limits import Budget
from reproflow.theory.components import Component

Judged = TypeVar("Judged", bound=Component)
Value = TypeVar("Value")


def limited(component: Judged, budget: Budget) -> Judged:
    """The component, which raises `UsageError` at the first call after the budget is spent if it is an expression."""
    if not component.entry.meta.get("expression"):
        return component
    what = f"{component.entry.kind} {component.name!r}"
    return replace(component, function=functools.partial(_ask, component.function, budget, what))


def _ask(function: Callable[..., Value], budget: Budget, what: str, *arguments: object) -> Value:
    budget.ask(what)
    return function(*arguments)
