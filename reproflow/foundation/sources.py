"""What a function is made of: the digests of every piece of this package that it reaches.

Reading is static (`ast`), so nothing is imported and torch is not needed. Comments, docstrings, blank lines and
citations do not count. A module that registers nouns is taken definition by definition, so that adding a weighting
leaves the others alone, and so is a user's file (`FILE.py:FUNCTION`) with the modules beside it that it imports; any
other module is taken whole. Modules that cannot change a number (`PASSIVE`) are left out.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from reproflow.foundation import names

PACKAGE = Path(__file__).resolve().parents[1]
PASSIVE = {
    f"reproflow.foundation.{name}"
    for name in (
        "config",
        "errors",
        "expressions",
        "explain",
        "files",
        "fingerprint",
        "grid",
        "names",
        "provenance",
        "registry",
        "run",
        "schema",
        "sources",
        "specs",
        "store",
        "usercode",
    )
} | {"reproflow.learning.training.checkpoint"}


def closure(roots: Iterable[str]) -> dict[str, str]:
    """The units reached from `module` or `module:definition` roots, each with its digest, sorted by name."""
    found: dict[str, str] = {}
    pending = list(roots)
    while pending:
        unit = _unit(pending.pop())
        if unit is None or unit in found:
            continue
        found[unit], reached = _read(unit)
        pending.extend(reached)
    # A user's file is named without its folder: results do not depend on where it lies.
    return dict(sorted((unit.rpartition("/")[2], value) for unit, value in found.items()))


def _unit(name: str) -> str | None:
    """The unit that holds a reference, or None where it is passive or not ours."""
    module, _, definition = name.partition(":")
    if module in PASSIVE or not _file(module):
        return None
    if not by_definition(module):
        return module
    return f"{module}:{definition}" if definition in _definitions(module) else None


@functools.cache
def _read(unit: str) -> tuple[str, tuple[str, ...]]:
    """A unit's digest, and the names it refers to."""
    module, _, definition = unit.partition(":")
    text, named = _content(_text(module), definition, module.endswith(".py"))
    reached = {name for node in named for name in _references(node, module)}
    return hashlib.sha256(text.encode()).hexdigest()[:16], tuple(sorted(reached - {unit}))


@functools.cache
def _content(text: str, definition: str, user: bool) -> tuple[str, tuple[ast.AST, ...]]:
    """The source of a definition, or of a whole module, without its looks, and the nodes in it that name something.

    With a definition of a user's file goes what else stands in it.
    """
    tree = _bare(text)
    nodes = [*_top_level(tree)[definition], *(_loose(tree) if user else ())] if definition else [tree]
    skipped = {id(name) for node in nodes for name in _decorator_names(node)}
    named = (child for node in nodes for child in ast.walk(node) if isinstance(child, NAMING))
    return "\n".join(map(ast.unparse, nodes)), tuple(child for child in named if id(child) not in skipped)


NAMING = ast.Name | ast.Attribute | ast.ImportFrom


@functools.cache
def _bare(text: str) -> ast.Module:
    """A module without docstrings, citations, and imports that serve type checking only."""
    return ast.fix_missing_locations(_Stripper().visit(ast.parse(text)))


def _references(node: ast.AST, module: str) -> Iterator[str]:
    """`module:name` for a name, a module's attribute or an import that leads into this package."""
    imported = _imports(module)
    if isinstance(node, ast.Name):
        yield imported.get(node.id, f"{module}:{node.id}")
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imported:
        yield f"{_as_module(imported[node.value.id])}:{node.attr}"
    elif isinstance(node, ast.ImportFrom) and not by_definition(module):
        yield from (f"{node.module}:{alias.name}" for alias in node.names)
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def by_definition(module: str) -> bool:
    """Whether a module is taken definition by definition: it registers nouns, or is a user's."""
    return module in _noun_modules() or module.endswith(".py")


def _as_module(name: str) -> str:
    return name if name.endswith(".py") else name.replace(":", ".")


def _decorator_names(node: ast.AST) -> Iterator[ast.Name]:
    """The decorators' own names: `weighting` in `@weighting("elbo", ..)` enters the noun but is no part of it."""
    for child in ast.walk(node):
        for decorator in getattr(child, "decorator_list", []):
            if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name):
                yield decorator.func


class _Stripper(ast.NodeTransformer):
    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return ast.Pass() if is_text else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        node.keywords = [keyword for keyword in node.keywords if keyword.arg != "cite"]
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | None:
        typing_only = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        return ast.Pass() if typing_only else self.generic_visit(node)


@functools.cache
def _imports(module: str) -> dict[str, str]:
    """Local name -> `module:name` (or the module) of what a module imports from this package."""
    table: dict[str, str] = {}
    for node in _import_nodes(_text(module)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("reproflow"):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                table[alias.asname or alias.name] = inner if _file(inner) else f"{node.module}:{alias.name}"
        elif module.endswith(".py") and isinstance(node, ast.ImportFrom) and (beside := _beside(module, node.module)):
            table |= {alias.asname or alias.name: f"{beside}:{alias.name}" for alias in node.names}
        elif module.endswith(".py") and isinstance(node, ast.Import):
            found = {alias.asname or alias.name: _beside(module, alias.name) for alias in node.names}
            table |= {name: beside for name, beside in found.items() if beside}
    return table


@functools.cache
def _import_nodes(text: str) -> tuple[ast.Import | ast.ImportFrom, ...]:
    return tuple(node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom))


def _beside(module: str, name: str | None) -> str | None:
    """The module of that name in the folder of a user's file."""
    file = Path(module).parent / f"{name}.py"
    return str(file) if file.is_file() else None


@functools.cache
def _definitions(module: str) -> dict[str, list[ast.stmt]]:
    """Top-level functions, classes and assignments of a module, by name."""
    return _top_level(_bare(_text(module)))


def _top_level(tree: ast.Module) -> dict[str, list[ast.stmt]]:
    table: dict[str, list[ast.stmt]] = {}
    for node in tree.body:
        for name in _defined(node):
            table.setdefault(name, []).append(node)
    return table


def _loose(tree: ast.Module) -> list[ast.stmt]:
    """The statements of a user's file that define nothing by themselves but may change what was defined."""
    return [n for n in tree.body if not _defined(n) and not isinstance(n, ast.Import | ast.ImportFrom)]


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [child.id for target in targets for child in ast.walk(target) if isinstance(child, ast.Name)]


@functools.cache
def _noun_modules() -> frozenset[str]:
    return frozenset(name.where.partition(":")[0] for name in names.known())


@functools.cache
def _text(module: str) -> str:
    file = _file(module)
    assert file is not None, module
    return file.read_text(encoding="utf-8")


@functools.cache
def _file(module: str) -> Path | None:
    if module.endswith(".py"):
        return Path(module) if Path(module).is_file() else None
    first, *rest = module.split(".")
    if first != PACKAGE.name:
        return None
    stem = PACKAGE.joinpath(*rest)
    for candidate in (stem.with_suffix(".py"), stem / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None
