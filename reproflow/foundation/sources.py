"""Where a name leads: from a reference in a module's text to the definition that it stands for.

Reading is static, so nothing is imported and torch is not needed. A module is this package's, by its dotted name, or a
user's file with the modules alongside it, by their paths; whatever else is imported stands for its own dotted name.
Names that another module passes on (`from .. import f` in an `__init__`) are followed to where they are defined.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import NamedTuple

from reproflow.foundation import registry, syntax
from reproflow.foundation.syntax import Module, Reference

PACKAGE = Path(__file__).resolve().parents[1]
WHOLE = "*"
STATEMENTS = ""
FARTHEST = 20
"""Imports of imports that are followed: modules that import a name from each other in a circle define it nowhere."""


class Definition(NamedTuple):
    """A definition's place: a module and a name in it, else `WHOLE` (all of it) or `STATEMENTS` (the loose ones)."""

    module: str
    name: str


class Resolved(NamedTuple):
    """The definition that a reference leads to, None outside of what is read here, and the names that are left."""

    definition: Definition | None
    rest: tuple[str, ...]


REGISTER = Definition(registry.register.__module__, registry.register.__name__)


def read(module: str) -> Module:
    """A module's definitions. Raises `LookupError` for a module that is not there."""
    return syntax.read(_text(module))


def exists(module: str) -> bool:
    """Whether a module is there to be read."""
    return _file(module) is not None


def root(name: str) -> Definition:
    """The definition of a root, `module` or `module:name`; the whole module where the name is not one of its own.

    Raises `LookupError` for a module that is not there.
    """
    module, _, names = name.partition(":")
    read(module)
    found = _attribute(module, (names.partition(".")[0],)) if names else None
    return found.definition if found and found.definition else Definition(module, WHOLE)


def resolve(module: str, reference: Reference, hops: int = 0) -> Resolved:
    """What a reference in the text of `module` leads to, `hops` imports after the first."""
    if not reference.module:
        return _own(module, reference.names, hops) or Resolved(None, reference.names)
    target = _imported_module(module, reference.module)
    if target is None or hops > FARTHEST:
        return Resolved(None, (reference.module, *reference.names))
    return _attribute(target, reference.names, hops + 1)


def _own(module: str, names: tuple[str, ...], hops: int) -> Resolved | None:
    """What a name stands for in a module: what is defined there, or imported."""
    content, (first, *rest) = read(module), names
    if first in content.definitions:
        return Resolved(Definition(module, first), tuple(rest))
    if source := content.imports.get(first):
        if source.names and _imported_module(module, source.module) == module:  # an `__init__` that imports its modules
            inner = _submodule(module, source.names[0])
            return _attribute(inner, (*source.names[1:], *rest), hops) if inner else None
        return resolve(module, Reference(source.module, (*source.names, *rest)), hops)
    for star in content.stars if hops <= FARTHEST else ():
        target = _imported_module(module, star)
        if target and (found := _own(target, names, hops + 1)):
            return found
    return None


def _attribute(module: str, names: tuple[str, ...], hops: int = 0) -> Resolved:
    """What attributes of a module stand for; of an attribute that is not found, the whole module."""
    if not names:
        return Resolved(Definition(module, WHOLE), ())
    if found := _own(module, names, hops):
        return found
    if inner := _submodule(module, names[0]):
        return _attribute(inner, names[1:], hops)
    content = read(module)
    if "__getattr__" in content.definitions and (source := content.deferred.get(names[0])):
        return resolve(module, Reference(source.module, (*source.names, *names[1:])), hops)
    return Resolved(Definition(module, WHOLE), names)


def _imported_module(module: str, name: str) -> str | None:
    """The module that is imported under a dotted name: this package's, or one alongside a user's file."""
    if _is_user(module):
        for stem in (Path(module).parent.joinpath(*name.split(".")),) if name.strip(".") else ():
            for file in (stem.with_suffix(".py"), stem / "__init__.py"):
                if _file(str(file)):
                    return str(file)
    return name if _file(name) else None


def _submodule(module: str, name: str) -> str | None:
    if not _is_user(module):
        return f"{module}.{name}" if _file(f"{module}.{name}") else None
    return _imported_module(module, name) if Path(module).name == "__init__.py" else None


def _is_user(module: str) -> bool:
    return module.endswith(".py")


@functools.cache
def _text(module: str) -> str:
    file = _file(module)
    if file is None:
        raise LookupError(f"no module {module}")
    return file.read_text(encoding="utf-8")


@functools.cache
def _file(module: str) -> Path | None:
    if _is_user(module):
        return Path(module) if Path(module).is_file() else None
    first, *rest = module.split(".")
    if first != PACKAGE.name:
        return None
    stem = PACKAGE.joinpath(*rest)
    for candidate in (stem.with_suffix(".py"), stem / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None
