"""A definition as text without what only people read, in which the names that it takes from outside are left open.

Comments, docstrings, `pass`, citations (`cite=`), what a function declares of itself for tables (`facts=`), imports,
annotations of functions and variables, and the definition's own name are left out. A name that the module, an import or
the interpreter defines becomes a `Reference`, which `foundation.sources` resolves: so neither where a definition lies
nor how it is imported is part of its text.
"""

from __future__ import annotations

import ast
import re

from reproflow.foundation.syntax import Module, Reference, Role, Scope, bound, imported, is_text, typing_only

Piece = str | Reference
DOTTED = re.compile(r"[A-Za-z_]\w*(\.\w+)+\.?")
LOOKS = {"ctx", "type_comment", "kind"}
UNCOUNTED = {"cite", "facts"}
"""Arguments that only people and tables read."""


def pieces(module: Module, name: str) -> tuple[Piece, ...]:
    """The text of a definition of a module, or for an empty name that of its loose statements."""
    if name not in module.written:
        writer = _Writer(name)
        writer.write(module.definitions[name] if name else module.statements)
        if name in module.imports:
            writer.pieces.append(module.imports[name])  # imported, and then defined anew from what was imported
        module.written[name] = tuple(writer.pieces)
    return module.written[name]


def _chain(node: ast.expr) -> tuple[str, ...]:
    """`("a", "b", "c")` of `a.b.c`, and nothing of any other expression."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return (node.id, *reversed(names)) if isinstance(node, ast.Name) else ()


class _Writer(ast.NodeVisitor):
    """Writes nodes as pieces. `own` is the name that is defined, whose own spelling does not count."""

    def __init__(self, own: str) -> None:
        self.own = own
        self.pieces: list[Piece] = []
        self.scope: Scope = {}
        self.in_function = self.in_class = False

    def write(self, value: object) -> None:
        if isinstance(value, ast.AST):
            self.visit(value)
        elif isinstance(value, list):
            self.pieces.append("[")
            for item in value:
                self.write(item)
            self.pieces.append("]")
        else:
            self.pieces.append(f"{value!r},")

    def generic_visit(self, node: ast.AST) -> None:
        self.pieces.append(f"{type(node).__name__}(")
        for name in node._fields:
            if name not in LOOKS:
                self.write(getattr(node, name, None))
        self.pieces.append(")")

    def _name(self, names: tuple[str, ...], role: Role = "value") -> None:
        if names[0] not in self.scope:
            self.pieces.append(Reference("", names, role))
        elif (meaning := self.scope[names[0]]) is not None:
            self.pieces.append(Reference(meaning.module, meaning.names + names[1:], role))
        else:
            self.pieces.append(f"{'.'.join(names)},")

    def _defined(self, name: str) -> None:
        is_own = name == self.own and not self.in_function and not self.in_class
        self.pieces.append("=" if is_own else f"{name},")

    def visit_Name(self, node: ast.Name) -> None:
        # Within a function what is assigned to without being bound there is declared `global`.
        if isinstance(node.ctx, ast.Load) or node.id in self.scope or (self.in_function and not self.in_class):
            self._name((node.id,))
        else:
            self._defined(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        names = _chain(node)
        if names:
            self._name(names)
        else:
            self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and DOTTED.fullmatch(node.value):
            self.pieces.append(Reference(node.value, (), "module name"))
        else:
            self.pieces.append(f"{node.value!r},")

    def visit_Call(self, node: ast.Call) -> None:
        self.pieces.append("Call(")
        self.write(node.func)
        self._arguments(node)
        self.pieces.append(")")

    def _arguments(self, call: ast.Call) -> None:
        self.write(call.args)
        self.write([keyword for keyword in call.keywords if keyword.arg not in UNCOUNTED])

    def visit_Expr(self, node: ast.Expr) -> None:
        if not is_text(node):
            self.generic_visit(node)

    def visit_Pass(self, node: ast.Pass) -> None:
        return

    def visit_If(self, node: ast.If) -> None:
        if typing_only(node):
            self.write(node.orelse)
        else:
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        """A name is written where it is used; only what a loose statement such as `try` imports is written here."""
        if not self.in_function:
            self.pieces.extend(imported(node).values())

    visit_ImportFrom = visit_Import

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if self.in_class:
            self.generic_visit(node)  # a field of a dataclass, or of a checked model
        elif node.value is not None:
            self.visit(ast.Assign([node.target], node.value))
            self._annotation(node.annotation)

    def _annotation(self, node: ast.expr | None) -> None:
        """Of an annotation only the definitions that it names count: what is called on an argument may be theirs."""
        start = len(self.pieces)
        self.write(node)
        named = [piece for piece in self.pieces[start:] if isinstance(piece, Reference)]
        self.pieces[start:] = [piece._replace(role="annotation") for piece in named if piece.role == "value"]

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.pieces.append(f"{type(node).__name__}(")
        self._defined(node.name)
        self._decorators(node.decorator_list)
        self._annotation(node.returns)
        self._function(node.args, node.body, bound(node.body))

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.pieces.append("Lambda(")
        self._function(node.args, node.body, {})

    def _function(self, arguments: ast.arguments, body: object, local: Scope) -> None:
        self.write(arguments)
        named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        before = self.scope, self.in_function, self.in_class
        self.scope = self.scope | {argument.arg: None for argument in named if argument} | local
        self.in_function, self.in_class = True, False
        self.write(body)
        self.scope, self.in_function, self.in_class = before
        self.pieces.append(")")

    def visit_arg(self, node: ast.arg) -> None:
        self.pieces.append(f"{node.arg},")
        self._annotation(node.annotation)

    def _decorators(self, nodes: list[ast.expr]) -> None:
        for node in nodes:
            if isinstance(node, ast.Call) and (names := _chain(node.func)):
                self._name(names, "decorator")
                self._arguments(node)
            else:
                self.write(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.pieces.append("ClassDef(")
        self._defined(node.name)
        self._decorators(node.decorator_list)
        self.write(node.bases)
        self.write(node.keywords)
        # The scope stays: names of a class's body are no variables of its methods.
        before, self.in_class = self.in_class, True
        self.write(node.body)
        self.in_class = before
        self.pieces.append(")")

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        outer = self.scope
        targets = (child for part in node.generators for child in ast.walk(part.target))
        inner = outer | {child.id: None for child in targets if isinstance(child, ast.Name)}
        self.pieces.append(f"{type(node).__name__}(")
        for position, part in enumerate(node.generators):
            # The first iterable is the only part that does not see the comprehension's own variables.
            self.scope = inner if position else outer
            self.write(part.iter)
            self.scope = inner
            self.write([part.target, *part.ifs])
            self.write(part.is_async)
        self.write([node.key, node.value] if isinstance(node, ast.DictComp) else node.elt)
        self.scope = outer
        self.pieces.append(")")

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension
