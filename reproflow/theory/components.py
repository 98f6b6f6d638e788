"""From a spec to a noun: a registered function, a user's function or an expression, with its parameters bound."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reproflow.foundation import registry, specs, user_files
from reproflow.foundation.specs import Spec
from reproflow.theory import parameter_values


@dataclass(frozen=True, eq=False)
class Component:
    """A function with bound parameters; `name` is what its spec is called in keys and tables."""

    name: str
    process: str
    entry: registry.Entry
    function: Callable[..., Any]

    @property
    def params(self) -> dict[str, Any]:
        return getattr(self.function, "keywords", {})

    @property
    def is_registered(self) -> bool:
        """Whether it is entered in the registry: neither an expression nor a function of a user's file."""
        return self.entry in registry.entries(self.entry.kind, self.process)


def resolve(kind: str, spec: str | Spec, process: str = "gaussian") -> Component:
    """The noun a spec names.

    Raises `UsageError` for an unknown name or parameter, a value outside its range, parameters that make a number that
    float64 does not hold, an expression that is not allowed, and a user's file that cannot be used.
    """
    parsed = specs.parse(spec, kind)
    if parsed.registered:
        entry = registry.get(kind, parsed.name, process)
        params = specs.bind(parsed, entry.params, entry.meta.get("ranges", {}), kind)
        bound = functools.partial(entry.function, **params)
        if parsed.params:
            parameter_values.check(kind, str(parsed), bound)
        return Component(str(parsed), process, entry, bound)
    user_files.check(kind, parsed, process)
    function, params, meta = _expression(kind, parsed, process) if parsed.is_expression else _function(kind, parsed)
    meta |= {"on": parsed.on} if parsed.on else {}
    entry = registry.Entry(kind, process, parsed.name, function, "", parsed.source, params, meta)
    return Component(parsed.name, process, entry, functools.partial(function, **params))


def _expression(kind: str, spec: Spec, process: str) -> tuple[Callable[..., Any], dict[str, Any], dict[str, Any]]:
    from reproflow.theory import expression_values

    return expression_values.function(spec.expression, kind, process), {}, {"expression": True}


def _function(kind: str, spec: Spec) -> tuple[Callable[..., Any], dict[str, Any], dict[str, Any]]:
    from reproflow.theory import user_functions

    function, meta = user_functions.load(kind, spec)
    return function, dict(spec.params), meta
