"""The registry: every component of the field, by (kind, process, name).

A component is one decorated function; the layers above define the decorators (`theory.paths.path` and its siblings) on
top of `register`. Grid, schema, claims, property tests, tables, report and `reproflow list` enumerate the built-in
registry. A user's file that is loaded for a spec `FILE.py:FUNCTION` enters what it decorates into a registry of its
own, so that it changes no list and two files may use one name.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

from reproflow.foundation.errors import UsageError, did_you_mean

CHANGES_NO_NUMBER = "what is entered counts where it is defined"

Function = TypeVar("Function", bound=Callable[..., Any])

PACKAGE = f"{__name__.partition('.')[0]}."


@dataclass(frozen=True)
class Entry:
    """One registered component.

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


class Registry:
    """Components by (kind, process, name), in order of registration."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries = {(entry.kind, entry.process, entry.name): entry for entry in entries}

    def add(self, entry: Entry) -> None:
        """Enters a component; the same function may come again. Raises `UsageError` when the name is another's."""
        key = (entry.kind, entry.process, entry.name)
        if key in self._entries and self._entries[key].where != entry.where:
            raise UsageError(
                f"{entry.kind} {entry.name!r} ({entry.process}) is registered twice: at {self._entries[key].where} and "
                f"at {entry.where}; rename one of them."
            )
        self._entries[key] = entry

    def entries(self, kind: str | None = None, process: str | None = None) -> list[Entry]:
        """All entries of a kind and process, in order of registration."""
        return [e for e in self._entries.values() if kind in (None, e.kind) and process in (None, e.process)]

    def get(self, kind: str, name: str, process: str = "gaussian") -> Entry:
        """The entry of that name. Raises `UsageError` with the closest name and the list of known ones."""
        try:
            return self._entries[kind, process, name]
        except KeyError:
            known = [e.name for e in self.entries(kind, process)]
            raise UsageError(
                f"unknown {process} {kind} {name!r};{did_you_mean(name, known)}\nknown: {', '.join(known)}"
            ) from None

    def copy(self) -> Registry:
        """Another registry with the same entries; what enters one does not enter the other."""
        return Registry(self._entries.values())


BUILT_IN = Registry()
"""What the package, a notebook or a program that imports the package registers; the only one that is enumerated."""

_LOADING_USER_FILE: ContextVar[bool] = ContextVar("loading a user's file", default=False)
_ANOTHER_RUN: ContextVar[Registry | None] = ContextVar("another run of a user's file", default=None)


def register(
    kind: str, name: str, *, process: str | Iterable[str] = "gaussian", cite: str = "", **meta: Any
) -> Callable[[Function], Function]:
    """Decorator that enters a function under (kind, process, name) and returns it unchanged.

    `process` may name several. The function enters the built-in registry; while a user's file is loaded, that of the
    file which defines it. Raises `UsageError` when the name is taken there, naming both places.
    """
    processes = (process,) if isinstance(process, str) else tuple(process)

    def enter(function: Function) -> Function:
        code = inspect.unwrap(function).__code__
        where = f"{code.co_filename}:{code.co_firstlineno}"
        # A user's file may be the first to import a module of the package.
        users = _LOADING_USER_FILE.get() and not function.__module__.startswith(PACKAGE)
        registry = (_ANOTHER_RUN.get() or of_user_file(code.co_filename)) if users else BUILT_IN
        for each in processes:
            registry.add(Entry(kind, each, name, function, cite, where, _parameters(function), meta))
        return function

    return enter


@functools.cache
def of_user_file(path: str) -> Registry:
    """The registry of one user's file, which that file's own decorators fill when it is loaded."""
    return Registry()


@contextlib.contextmanager
def loading_user_file() -> Iterator[None]:
    """While this lasts, decorators outside the package enter functions into the registry of their own file."""
    token = _LOADING_USER_FILE.set(True)
    try:
        yield
    finally:
        _LOADING_USER_FILE.reset(token)


@contextlib.contextmanager
def another_run() -> Iterator[None]:
    """While this lasts, what users' files decorate enters a registry that is forgotten: a file is run a second time."""
    token = _ANOTHER_RUN.set(Registry())
    try:
        yield
    finally:
        _ANOTHER_RUN.reset(token)


def of_function(kind: str, function: Callable[..., Any]) -> Entry | None:
    """The entry of a function that a decorator has entered, built in or in its own file; None of any other."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    own = of_user_file(code.co_filename).entries(kind) if code else []
    return next((entry for entry in (*own, *entries(kind)) if entry.function is function), None)


def entries(kind: str | None = None, process: str | None = None) -> list[Entry]:
    """The built-in entries of a kind and process, in order of registration."""
    return BUILT_IN.entries(kind, process)


def get(kind: str, name: str, process: str = "gaussian") -> Entry:
    """The built-in entry of that name. Raises `UsageError` with the closest name and the list of known ones."""
    return BUILT_IN.get(kind, name, process)


def _parameters(function: Callable[..., Any]) -> dict[str, Any]:
    signature = inspect.signature(function)
    return {n: p.default for n, p in signature.parameters.items() if p.default is not inspect.Parameter.empty}
