"""What a function is made of: everything that it reaches in this package and in user files, as one digest.

A definition has two digests. The one of its own text, in which what it refers to goes by its bare name, tells a reader
which definition changed. The other takes the digests of what it refers to in place of their names; it says what the
definition computes, wherever it and they lie and whatever they are called. Definitions that refer to each other in a
circle are digested together: round by round each takes up the others' digests, as often as there are definitions.

A module that cannot change a number says so (`syntax.MARKER`); what is used of it goes by its bare name. What a table
by process (`foundation.by_process`) hands out is in no text: where a table is reached, so is what its layer enters into
it for the processes that are asked for.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from reproflow.foundation import by_process, normal_form, sources
from reproflow.foundation.by_process import ByProcess
from reproflow.foundation.sources import REGISTER, STATEMENTS, WHOLE, Definition
from reproflow.foundation.syntax import Reference

Link = str | Definition
TABLE = Definition(ByProcess.__module__, ByProcess.__name__)
_COMPUTES: dict[Definition, str] = {}
"""What has been digested; it is forgotten with what was read."""


@dataclass(frozen=True)
class Closure:
    """The digest of all that is reached, and the digest of the own text of each definition by `module:name`."""

    value: str
    definitions: dict[str, str]


def reached(roots: Iterable[str], processes: tuple[str, ...] = ()) -> Closure:
    """What `module` or `module:definition` roots reach, a whole module standing for each of its definitions.

    Of tables by process, with what is entered for these processes. Raises `LookupError` for a module that is not there.
    """
    found = _reached((definition for name in roots for definition in _starts(name)), processes)
    value = _sha(*sorted({_COMPUTES[definition] for definition in found}))
    return Closure(value, dict(sorted((_label(d), _own_text(d)) for d in found if d.name != WHOLE)))


def _starts(name: str) -> Iterable[Definition]:
    found = sources.root(name)
    if ":" in name:
        return [found]
    return [Definition(found.module, each) for each in (*sources.read(found.module).definitions, STATEMENTS)]


def forget() -> None:
    """Forgets what was read, for a process in which sources change."""
    for function in (sources._text, sources._file, _links, _named_values, _entered, _imported_by_name):
        function.cache_clear()
    _COMPUTES.clear()


def _label(definition: Definition) -> str:
    """A user's file is named without its folder."""
    module = definition.module.removeprefix(f"{sources.PACKAGE.name}.").rpartition("/")[2]
    return f"{module}:{definition.name or '<statements>'}"


def _reached(roots: Iterable[Definition], processes: tuple[str, ...]) -> set[Definition]:
    """All definitions that are reached, with the loose statements of their modules; every one is digested then."""
    reached: set[Definition] = set()
    pending = list(roots)
    while pending:
        definition = pending.pop()
        if definition in reached or not sources.read(definition.module).counts:
            continue
        reached.add(definition)
        pending.extend(_targets(definition))
        pending.extend(_imported_by_name(definition))
        for process in processes if _is_table(definition) else ():
            pending.extend(_entered(definition, process))
        if sources.read(definition.module).statements:
            pending.append(Definition(definition.module, STATEMENTS))
    for component in _components(reached):
        _digest_together(component)
    return reached


def _targets(definition: Definition) -> Iterator[Definition]:
    return (link for link in _links(definition) if isinstance(link, Definition))


@functools.cache
def _links(definition: Definition) -> tuple[Link, ...]:
    """The text of a definition with the definitions that it refers to."""
    module = sources.read(definition.module)
    if definition.name == WHOLE:
        return tuple(_contents(definition.module))
    links: list[Link] = []
    text: list[str] = []
    for piece in normal_form.pieces(module, definition.name):
        for link in (piece,) if isinstance(piece, str) else _followed(definition.module, piece):
            if isinstance(link, str):
                text.append(link)
            else:
                # One text from definition to definition: what left no text in between leaves no trace.
                links += ["".join(text), link]
                text.clear()
    return (*links, "".join(text))


def _contents(module: str) -> Iterator[Link]:
    """What a module that is handed on as a value may be asked for: its names, but for those of other modules."""
    content = sources.read(module)
    for name in sorted(content.definitions.keys() | content.imports.keys()):
        found = sources.resolve(module, Reference("", (name,))).definition
        if found is None or found.name != WHOLE:
            yield from (name, *_followed(module, Reference("", (name,))))


@functools.cache
def _imported_by_name(definition: Definition) -> tuple[Definition, ...]:
    """The definitions of modules that a definition names in strings, as for `importlib.import_module`."""
    if definition.name == WHOLE:
        return ()
    pieces = normal_form.pieces(sources.read(definition.module), definition.name)
    modules = (_named_module(definition.module, piece) for piece in pieces if isinstance(piece, Reference))
    return tuple(each for module in modules if module for each in _starts(module))


def _named_module(module: str, reference: Reference) -> str | None:
    if reference.role != "module name":
        return None
    found = sources.resolve(module, Reference(reference.module.rstrip("."), ())).definition
    return found.module if found else None


def _followed(module: str, reference: Reference) -> Iterator[Link]:
    """A reference as the definition that it leads to, else as text."""
    if reference.role == "module name":
        # A module's name is no text, so that it may change; what the module defines is reached.
        yield "module," if _named_module(module, reference) else f"{reference.module!r},"
        return
    target, rest = sources.resolve(module, reference)
    counts = target is not None and sources.read(target.module).counts
    if reference.role == "annotation":
        # What is a definition's own is reached already; what has no definition is text that only people read.
        if target and counts:
            yield target
    elif target and counts and not (reference.role == "decorator" and _registers(target)):
        yield target
        yield f"{'.'.join(rest)},"
    else:
        yield f"{'.'.join([*([target.name] if target else []), *rest])},"


def _registers(definition: Definition) -> bool:
    """Whether a decorator only enters its function somewhere: then its arguments count and it does not."""
    return definition == REGISTER or REGISTER in _named_values(definition) or _is_table(definition)


def _is_table(definition: Definition) -> bool:
    return TABLE in _named_values(definition)


@functools.cache
def _named_values(definition: Definition) -> frozenset[Definition | None]:
    """The definitions that a definition's text names as values."""
    if definition.name in (WHOLE, STATEMENTS):
        return frozenset()
    pieces = normal_form.pieces(sources.read(definition.module), definition.name)
    references = (piece for piece in pieces if isinstance(piece, Reference) and piece.role == "value")
    return frozenset(sources.resolve(definition.module, reference).definition for reference in references)


@functools.cache
def _entered(table: Definition, process: str) -> tuple[Definition, ...]:
    """What the layer of a table enters into it for a process, by its decorators."""
    module = by_process.module_of(table.module, process)
    if not sources.exists(module):
        return ()
    return tuple(
        Definition(module, name)
        for name in sources.read(module).definitions
        for piece in normal_form.pieces(sources.read(module), name)
        if isinstance(piece, Reference) and piece.role == "decorator"
        if sources.resolve(module, piece).definition == table
    )


def _own_text(definition: Definition) -> str:
    return _sha(*(link if isinstance(link, str) else f"<{link.name}>" for link in _links(definition)))[:12]


def _digest_together(component: list[Definition]) -> None:
    """Digests definitions that reach each other, everything else that they reach being digested already.

    After as many rounds as there are definitions each digest has taken up all that its definition reaches.
    """
    known: dict[Definition, str] = dict.fromkeys(component, "")
    rounds = 1 if len(component) == 1 and component[0] not in _links(component[0]) else len(component) + 1
    for _ in range(rounds):
        known = {definition: _with(definition, known) for definition in component}
    _COMPUTES.update(known)


def _with(definition: Definition, known: Mapping[Definition, str]) -> str:
    def text(link: Link) -> str:
        if isinstance(link, str):
            return link
        return f"<{known[link] if link in known else _COMPUTES[link]}>"

    return _sha(*map(text, _links(definition)))


def _components(definitions: Iterable[Definition]) -> Iterator[list[Definition]]:
    """The circles of definitions that reach each other (most are of one), those reached before those that reach them.

    Tarjan's algorithm, without recursion. Each circle must be digested before the next is asked for.
    """
    order: dict[Definition, int] = {}
    lowest: dict[Definition, int] = {}
    open_: list[Definition] = []
    for start in definitions:
        work = [(start, _targets(start))] if start not in order and start not in _COMPUTES else []
        while work:
            definition, targets = work[-1]
            if definition not in order:
                order[definition] = lowest[definition] = len(order)
                open_.append(definition)
            for target in targets:
                if target in _COMPUTES:
                    continue
                if target not in order:
                    work.append((target, _targets(target)))
                    break
                lowest[definition] = min(lowest[definition], order[target])
            else:
                work.pop()
                if work:
                    above = work[-1][0]
                    lowest[above] = min(lowest[above], lowest[definition])
                if lowest[definition] == order[definition]:
                    component = open_[open_.index(definition) :]
                    del open_[len(open_) - len(component) :]
                    yield component


def _sha(*texts: str) -> str:
    total = hashlib.sha256()
    for text in texts:
        total.update(text.encode())
        total.update(b"\0")
    return total.hexdigest()[:32]
