"""A module as its definitions: top-level functions, classes and assignments, and the statements that define nothing.

Nothing is imported: the text is read with `ast`. What a name means is found as Python finds it, so far as the text
tells: names that a function binds are its own, other names are the module's, and imports name another module's.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

MARKER = "CHANGES_NO_NUMBER"
"""A module that assigns this name, to the reason why, is left out of every fingerprint."""
Role = Literal["value", "decorator", "annotation", "module name"]


class Reference(NamedTuple):
    """`names` (a name and attributes of it) in a module by its dotted name, or where `module` is empty in this one."""

    module: str
    names: tuple[str, ...]
    role: Role = "value"


Scope = dict[str, Reference | None]
"""What a name means within functions: an import, or (None) a parameter or local variable."""

FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
IMPORTS = ast.Import | ast.ImportFrom
# Made once: many nodes are asked.
NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
GLOBAL = (ast.Global, ast.Nonlocal)
SCOPED = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(frozen=True)
class Module:
    """A module as read: its definitions by name, its imports by the name they bind (`deferred`: those for type checking
    only, which a module with a `__getattr__` makes on first use), the modules of `import *`, loose statements, and what
    `normal_form` has written of them."""

    definitions: dict[str, list[ast.stmt]]
    imports: dict[str, Reference]
    deferred: dict[str, Reference]
    stars: list[str]
    statements: list[ast.stmt]
    written: dict[str, tuple[str | Reference, ...]] = field(default_factory=dict)

    @property
    def counts(self) -> bool:
        """Whether the module may change a number."""
        return MARKER not in self.definitions


@functools.cache
def read(text: str) -> Module:
    """A module's text as definitions. Raises `SyntaxError`."""
    module = Module({}, {}, {}, [], [])
    for node in _statements(ast.parse(text).body, module.deferred):
        for name, source in bound([node]).items():
            if name == "__all__":
                continue  # what is exported computes nothing
            if source is None:
                module.definitions.setdefault(name, []).append(node)
            elif name == "*":
                module.stars.append(source.module)
            else:
                module.imports[name] = source
        if not _only_defines(node):
            module.statements.append(node)
    return module


def _statements(body: Sequence[ast.stmt], deferred: dict[str, Reference]) -> Iterator[ast.stmt]:
    """The statements that run; what is imported for type checking only goes into `deferred`."""
    for node in body:
        if typing_only(node):
            assert isinstance(node, ast.If)
            deferred.update({name: found for name, found in bound(node.body).items() if found})
            yield from _statements(node.orelse, deferred)
        else:
            yield node


def imported(node: ast.Import | ast.ImportFrom) -> dict[str, Reference]:
    """What an import statement binds: local name -> what it stands for."""
    if isinstance(node, ast.ImportFrom):
        source = "." * node.level + (node.module or "")
        return {alias.asname or alias.name: Reference(source, (alias.name,)) for alias in node.names}
    whole = {alias.asname: Reference(alias.name, ()) for alias in node.names if alias.asname}
    firsts = {alias.name.partition(".")[0] for alias in node.names if not alias.asname}
    return whole | {first: Reference(first, ()) for first in firsts}


def bound(body: Iterable[ast.AST]) -> Scope:
    """The names that statements bind in their own scope.

    One that is missed (by `:=` in a comprehension) is taken for the module's: at worst too much counts.
    """
    names: Scope = {}
    elsewhere: set[str] = set()
    pending = list(body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Name):
            if not isinstance(node.ctx, ast.Load):
                names.setdefault(node.id, None)
        elif isinstance(node, NAMED):
            names.setdefault(node.name, None)
        elif isinstance(node, IMPORTS):
            names |= imported(node)
        elif not isinstance(node, SCOPED):
            if isinstance(node, GLOBAL):
                elsewhere.update(node.names)
            captured = getattr(node, "name", None) or getattr(node, "rest", None)
            if isinstance(captured, str):  # `except .. as name`, or a pattern's
                names.setdefault(captured, None)
            for value in map(node.__dict__.get, node._fields):
                if isinstance(value, list):
                    pending.extend(child for child in value if isinstance(child, ast.AST))
                elif isinstance(value, ast.AST):
                    pending.append(value)
    return {name: source for name, source in names.items() if name not in elsewhere}


def _only_defines(node: ast.stmt) -> bool:
    """Whether a statement does nothing but bind names: a definition, an import, or an assignment to names alone."""
    if isinstance(node, FUNCTIONS | ast.ClassDef | IMPORTS | ast.Pass) or is_text(node):
        return True
    if isinstance(node, ast.AnnAssign | ast.AugAssign):
        return isinstance(node.target, ast.Name)
    parts = ast.Name | ast.Tuple | ast.List | ast.Starred | ast.expr_context
    return isinstance(node, ast.Assign) and all(isinstance(n, parts) for t in node.targets for n in ast.walk(t))


def is_text(node: ast.AST) -> bool:
    """Whether a statement is a string alone, such as a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def typing_only(node: ast.AST) -> bool:
    """Whether a statement is `if TYPE_CHECKING:`."""
    test = node.test if isinstance(node, ast.If) else None
    return "TYPE_CHECKING" in (getattr(test, "id", ""), getattr(test, "attr", ""))
