"""What `layout_counts` reads: a worktree's Python files, their names and signatures, and which imports which."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PACKAGE = "reproflow"


@dataclass(frozen=True)
class Source:
    """A file: its path relative to the root, with slashes, and its text."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """All nodes of the tree: every rule goes through them."""
        return list(ast.walk(self.tree))

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def line(self, node: ast.AST, what: str) -> str:
        return f"{self.path}:{getattr(node, 'lineno', 1)}: {what}"


def sources(root: Path, folder: str = PACKAGE) -> list[Source]:
    """The Python files of a folder of a worktree, sorted."""
    files = sorted((root / folder).rglob("*.py"))
    return [Source(file.relative_to(root).as_posix(), file.read_text(encoding="utf-8")) for file in files]


def strings(node: ast.AST) -> set[str]:
    """The text of a node that is a string, or of the strings that a literal collection holds directly."""
    nodes = node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else [node]
    return {each.value for each in nodes if isinstance(each, ast.Constant) and isinstance(each.value, str)}


def registered(files: list[Source], decorator: str) -> set[str]:
    """The names that a decorator registers: "a" of `@decorator("a", ..)`."""
    calls = (
        call
        for source in files
        for node in source.nodes
        if isinstance(node, ast.FunctionDef)
        for call in node.decorator_list
    )
    return {
        name
        for call in calls
        if isinstance(call, ast.Call) and ast.unparse(call.func) == decorator and call.args
        for name in strings(call.args[0])
    }


def names_of(node: ast.AST | None) -> set[str]:
    """Every name in an annotation, quoted annotations read too; metadata of Annotated is left out."""
    if node is None:
        return set()
    if isinstance(node, ast.Constant):
        return names_of(ast.parse(node.value, mode="eval").body) if isinstance(node.value, str) else {str(node.value)}
    if (
        isinstance(node, ast.Subscript)
        and ast.unparse(node.value).endswith("Annotated")
        and isinstance(node.slice, ast.Tuple)
    ):
        return names_of(node.slice.elts[0])
    if isinstance(node, ast.Name):
        return {node.id}
    if isinstance(node, ast.Attribute):
        return {node.attr}
    return {name for child in ast.iter_child_nodes(node) for name in names_of(child)}


def signatures(source: Source) -> Iterator[tuple[ast.AST, str, list[tuple[str, ast.expr | None]]]]:
    for node in source.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
            yield node, node.name, [(each.arg, each.annotation) for each in arguments]
        elif isinstance(node, ast.ClassDef):
            fields = [each for each in node.body if isinstance(each, ast.AnnAssign)]
            yield (
                node,
                node.name,
                [(each.target.id, each.annotation) for each in fields if isinstance(each.target, ast.Name)],
            )


def imports(source: Source, modules: set[str]) -> set[str]:
    """The modules among these that a file imports, at any depth of nesting and under TYPE_CHECKING too."""
    found: set[str] = set()
    for node in source.nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            submodules = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            found |= {each if each in modules else node.module or "" for each in submodules.values()}
    return (found & modules) - {source.module}


def circles_of(graph: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one node, sorted."""
    after = {node: _reached(graph, node) for node in graph}
    groups = {frozenset({a} | {b for b in after[a] if a in after[b]}) for a in graph}
    return sorted(sorted(group) for group in groups if len(group) > 1)


def _reached(graph: dict[str, set[str]], start: str) -> set[str]:
    """What can be reached from a module by one import or more."""
    reached: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting += graph[module]
    return reached
