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
    nodes = [*_definitions(module)[definition], *_loose(module)] if definition else [_tree(module)]
    stripped = [_strip(node) for node in nodes]
    text = "\n".join(ast.unparse(node) for node in stripped)
    reached = {name for node in stripped for name in _references(node, module)}
    return hashlib.sha256(text.encode()).hexdigest()[:16], tuple(sorted(reached - {unit}))


def _references(node: ast.AST, module: str) -> Iterator[str]:
    """`module:name` for every name and module attribute in the node that leads into this package."""
    imported = _imports(module)
    skipped = {id(name) for name in _decorator_names(node)}
    for child in ast.walk(node):
        if isinstance(child, ast.Name) and id(child) not in skipped:
            yield imported.get(child.id, f"{module}:{child.id}")
        elif isinstance(child, ast.Attribute) and isinstance(child.value, ast.Name) and child.value.id in imported:
            yield f"{_as_module(imported[child.value.id])}:{child.attr}"
        elif isinstance(child, ast.ImportFrom) and not by_definition(module):
            yield from (f"{child.module}:{alias.name}" for alias in child.names)
            yield from (f"{child.module}.{alias.name}" for alias in child.names)


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


def _strip(node: ast.AST) -> ast.AST:
    """A copy without docstrings, citations, and imports that serve type checking only."""
    return ast.fix_missing_locations(_Stripper().visit(ast.parse(ast.unparse(node))))


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
    for node in ast.walk(_tree(module)):
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


def _beside(module: str, name: str | None) -> str | None:
    """The module of that name in the folder of a user's file."""
    file = Path(module).parent / f"{name}.py"
    return str(file) if file.is_file() else None


@functools.cache
def _definitions(module: str) -> dict[str, list[ast.stmt]]:
    """Top-level functions, classes and assignments of a module, by name."""
    table: dict[str, list[ast.stmt]] = {}
    for node in _tree(module).body:
        for name in _defined(node):
            table.setdefault(name, []).append(node)
    return table


def _loose(module: str) -> list[ast.stmt]:
    """The statements of a user's file that define nothing by themselves but may change what was defined."""
    kept = ast.Import | ast.ImportFrom
    return [n for n in _tree(module).body if module.endswith(".py") and not _defined(n) and not isinstance(n, kept)]


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [child.id for target in targets for child in ast.walk(target) if isinstance(child, ast.Name)]


@functools.cache
def _noun_modules() -> frozenset[str]:
    return frozenset(name.where.partition(":")[0] for name in names.known())


@functools.cache
def _tree(module: str) -> ast.Module:
    file = _file(module)
    assert file is not None, module
    return ast.parse(file.read_text(encoding="utf-8"))


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
