"""The registry: every noun of the field, by (kind, process, name).

A noun is one decorated function; the wings above define the decorators (`theory.paths.path` and its siblings) on top of
`register`. Grid, schema, claims, property tests, tables, report and `reproflow list` enumerate what stands here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from reproflow.foundation.errors import UsageError, did_you_mean

CHANGES_NO_NUMBER = "what is entered counts where it is defined"

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Entry:
    """One registered noun.

    `params` are the keyword parameters a user may set with their defaults; `meta` is what the kind adds, such as `on`
    of a weighting; `where` is `file:line`.
    """

    kind: str
    process: str
    name: str
    function: Callable[..., Any]
    cite: str
    where: str
    params: Mapping[str, Any] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]


_ENTRIES: dict[tuple[str, str, str], Entry] = {}


def register(
    kind: str, name: str, *, process: str | Iterable[str] = "gaussian", cite: str = "", **meta: Any
) -> Callable[[Function], Function]:
    """Decorator that enters a function under (kind, process, name) and returns it unchanged.

    `process` may name several. Raises `UsageError` when the name is taken, naming both places.
    """
    processes = (process,) if isinstance(process, str) else tuple(process)

    def enter(function: Function) -> Function:
        code = inspect.unwrap(function).__code__
        where = f"{code.co_filename}:{code.co_firstlineno}"
        for each in processes:
            key = (kind, each, name)
            if key in _ENTRIES and _ENTRIES[key].where != where:
                raise UsageError(
                    f"{kind} {name!r} ({each}) is registered twice: at {_ENTRIES[key].where} and at {where};"
                    " rename one of them."
                )
            _ENTRIES[key] = Entry(kind, each, name, function, cite, where, _parameters(function), meta)
        return function

    return enter


def entries(kind: str | None = None, process: str | None = None) -> list[Entry]:
    """All entries of a kind and process, in order of registration."""
    return [e for e in _ENTRIES.values() if kind in (None, e.kind) and process in (None, e.process)]


def get(kind: str, name: str, process: str = "gaussian") -> Entry:
    """The entry of that name. Raises `UsageError` with the closest name and the list of known ones."""
    try:
        return _ENTRIES[kind, process, name]
    except KeyError:
        known = [e.name for e in entries(kind, process)]
        raise UsageError(
            f"unknown {process} {kind} {name!r};{did_you_mean(name, known)}\nknown: {', '.join(known)}"
        ) from None


def _parameters(function: Callable[..., Any]) -> dict[str, Any]:
    signature = inspect.signature(function)
    return {n: p.default for n, p in signature.parameters.items() if p.default is not inspect.Parameter.empty}
