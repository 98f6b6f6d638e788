"""Rewriting a copy of the package: a module under another name, a definition in another module."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

NAME = "reproflow"


def move_module(package: Path, old: str, new: str, plainly: bool = False) -> None:
    """Renames a module, both by its dotted name below the package, with every reference to it.

    `from parent import old` becomes `from newparent import new as old`, or `plainly` without `as`, where the uses in
    the file get the new name too.
    """
    target = _file(package, new)
    target.parent.mkdir(parents=True, exist_ok=True)
    if not (target.parent / "__init__.py").exists():
        (target.parent / "__init__.py").write_text("")
    _file(package, old).rename(target)
    for file in [*package.rglob("*.py"), package / "foundation/names.json"]:
        text = file.read_text()
        changed = re.sub(rf"\b{NAME}\.{re.escape(old)}\b(?!\.)", f"{NAME}.{new}", text)
        changed = changed.replace(f'"{old}"', f'"{new}"')  # the tables of what is imported on first use
        if file.suffix == ".py":
            changed = _import_from_parent(changed, old, new, plainly)
        if changed != text:
            file.write_text(changed)


def _import_from_parent(text: str, old: str, new: str, plainly: bool) -> str:
    parent, _, leaf = old.rpartition(".")
    new_parent, _, new_leaf = new.rpartition(".")
    module = ".".join(filter(None, (NAME, parent)))
    if f"from {module} import" not in text:
        return text
    tree = ast.parse(text)
    lines, uses = text.splitlines(keepends=True), set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or node.module != module:
            continue
        moved = [alias for alias in node.names if alias.name == leaf]
        if not moved:
            continue
        name = new_leaf if plainly and not moved[0].asname else moved[0].asname or leaf
        uses |= {leaf} if plainly and not moved[0].asname else set()
        imported = f"from {NAME}.{new_parent} import {new_leaf}" + (f" as {name}" if name != new_leaf else "")
        rest = [alias for alias in node.names if alias.name != leaf]
        kept = f"{ast.unparse(ast.ImportFrom(node.module, rest, 0))}; " if rest else ""
        indent = " " * node.col_offset
        for number in range(node.lineno - 1, node.end_lineno or node.lineno):
            lines[number] = ""
        lines[node.lineno - 1] = f"{indent}{kept}{imported}\n"
    text = "".join(lines)
    return _renamed(text, leaf, new_leaf) if uses else text


def _renamed(text: str, old: str, new: str) -> str:
    """Every `old.something` as `new.something`."""
    lines = [line.encode() for line in text.splitlines(keepends=True)]
    owners = [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)]
    names = [node for node in owners if isinstance(node, ast.Name) and node.id == old]
    for node in sorted(names, key=lambda node: (node.lineno, node.col_offset), reverse=True):
        line, end = lines[node.lineno - 1], node.col_offset + len(old.encode())
        lines[node.lineno - 1] = line[: node.col_offset] + new.encode() + line[end:]
    return b"".join(lines).decode()


def move_definitions(package: Path, module: str, names: set[str], new: str) -> None:
    """Takes definitions out of a module into a new one, from which the module and everyone else imports them."""
    file = _file(package, module)
    text = file.read_text()
    lines, tree = text.splitlines(keepends=True), ast.parse(text)
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    taken = []
    for node in tree.body:
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        if getattr(node, "name", None) in names or any(getattr(target, "id", None) in names for target in targets):
            first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))]) - 1
            taken.append("".join(lines[first : node.end_lineno]))
            lines[first : node.end_lineno] = [""] * ((node.end_lineno or node.lineno) - first)
    assert len(taken) >= len(names)
    heading = "".join(f"{ast.unparse(node)}\n" for node in imports)
    target = _file(package, new)
    target.write_text('"""New."""\n' + heading + "\n\n" + "\n\n".join(taken))
    lines[imports[-1].end_lineno or 0] += f"from {NAME}.{new} import {', '.join(sorted(names))}\n"
    file.write_text("".join(lines))
    listed = package / "foundation/names.json"
    rows = json.loads(listed.read_text())
    for row in rows:
        for name in names & {row["where"].partition(":")[2]}:
            if row["where"] == f"{NAME}.{module}:{name}":
                row["where"] = f"{NAME}.{new}:{name}"
    listed.write_text(json.dumps(rows))


def _file(package: Path, module: str) -> Path:
    return package.joinpath(*module.split(".")).with_suffix(".py")
