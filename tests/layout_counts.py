"""Counts of what the layout of the package should not have: python tests/layout_counts.py [ROOT] [--list RULE]

A file is named by what it is, not by where it lies, so that the counts of two layouts can be compared; the exceptions
are `theory/objective.py`, `theory/processes/` and `evaluation/measures.py`, the one place of each of three things.
Every rule is a function of `Source`s that returns lines `path:line: what`. Rules read the syntax tree of the
package's files, of tests only `long_tests`.

triples          a signature (of a def, not of a lambda) or the fields of a class that hold a path, a time law and a
                 weighting as three parameters: named path(s); law(s), time(s) or time_law(s); weighting(s) or
                 weight(s). Not counted: a parameter annotated as a tensor, array or number (a level of noise, times,
                 values of a weight), the file theory/objective.py, and doors
doors            (informational) such signatures where all three are annotated as text or specs (str, Spec, Named,
                 Specs, Written, with Annotated, list, | and None around them): there specs are parsed, or a row of
                 text is held. Typically the verb `check weighting`, `judge.weighting`, the grid's cell, the
                 experiment's fields, rows of published objectives and of equivalent combinations
triple_calls     (informational) a call that is given the three as neighbours: `f(path, law, weighting)`, `f(x.path,
                 x.law, x.weighting, t)`, `f(get_path(..), get_time_law(..), get_weighting(..))`
process_strings  a comparison with the name of a process: "gaussian" or "masked" as an operand of ==, != or in (also
                 within a literal tuple, list or set there), or as a case of match. Declarations are none of these:
                 `process="masked"` as an argument or a default, a Literal, a tuple of names, an argument of a call
                 (`get_path("cosine", "masked")`). Not counted: theory/processes/ and the module that generates
                 names.json (it has a function `snapshot` and speaks of names.json)
process_tables   a literal dict with the name of a process as a key (once each), and a lookup by it:
                 `POINTS["masked"]`, `POINTS.get("masked")`. Exceptions as for process_strings
process_classes  (informational) isinstance(x, C) where a C is named Gaussian.. or Masked..
head_kinds       (informational) a comparison of the attribute `kind` of something named head
metric_lists     a literal list, tuple, set, dict (its keys, or its values) or Literal[..] with two or more of
                 METRICS, outside evaluation/measures.py; a dict whose values under those keys are all True or False
                 is another library's options (torch-fidelity's) and none of them
circles          strongly connected components of more than one module in the graph of imports, at any depth of
                 nesting and under `if TYPE_CHECKING:` too: a type's home is a dependency, and one of the three first
                 circles is of types only. `from a import b` is an import of the module a.b where there is one, else
                 of a; the packages above an imported module are not imports. A line a component
nested_ternaries an `x if c else y` inside another one; the inner ones are counted
long_tests       test modules and helpers (tests/**/*.py) of over 300 lines; benchmarks/ is not tests
tuple_constants  `A, B = 1, 2` at the level of a module or a class: both sides literal tuples
any              (informational) `Any` in an annotation, also a quoted one
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Callable
from pathlib import Path

from layout_sources import Source, circles_of, imports, names_of, registered, signatures, sources, strings

# Besides these two, the processes that the files register with `@process`; of METRICS, the measures with `@measure`.
PROCESSES = {"gaussian", "masked"}
# Metric columns of cells.csv, the prefix that FID's have in common, and names that a table of metrics may use beside.
METRICS = {
    *("fid", "fid_train", "fid_test", "kid", "nll_nats", "nll_bits_per_dim", "bound_bits_per_dim", "ode_bits_per_dim"),
    *("energy_distance", "energy distance"),
}
TRIPLE = (
    re.compile(r"_?paths?"),
    re.compile(r"_?(time_)?laws?|_?times?"),
    re.compile(r"_?weight(ing)?s?"),
)
TEXT = {"str", "Spec", "Specs", "Named", "Written", "Annotated", "Optional", "Union", "list", "None"}
NUMBERS = {"Tensor", "ndarray", "float", "int", "Array", "NDArray"}
LONGEST = 300


Rule = Callable[[list[Source]], list[str]]


def _triples(files: list[Source], doors: bool) -> list[str]:
    found = []
    for source in files:
        if source.path.endswith("theory/objective.py"):
            continue
        for node, name, parameters in signatures(source):
            taken = [
                [names_of(annotation) for parameter, annotation in parameters if pattern.fullmatch(parameter)]
                for pattern in TRIPLE
            ]
            taken = [[names for names in group if not names & NUMBERS] for group in taken]
            if all(taken):
                text = all(any(names and names <= TEXT for names in group) for group in taken)
                found += [source.line(node, name)] if text == doors else []
    return found


def triples(files: list[Source]) -> list[str]:
    return _triples(files, doors=False)


def doors(files: list[Source]) -> list[str]:
    return _triples(files, doors=True)


def triple_calls(files: list[Source]) -> list[str]:
    found = []
    for source in files:
        for node in source.nodes:
            if isinstance(node, ast.Call):
                given = [*map(_last, node.args), *(keyword.arg or "" for keyword in node.keywords)]
                windows = zip(given, given[1:], given[2:], strict=False)
                if any(all(p.fullmatch(n) for p, n in zip(TRIPLE, window, strict=True)) for window in windows):
                    found.append(source.line(node, ast.unparse(node.func)))
    return found


def _last(node: ast.expr) -> str:
    """The last name of an argument: weighting of `x.weighting` and of `get_weighting(..)`."""
    if isinstance(node, ast.Call):
        return _last(node.func).removeprefix("get_")
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def process_strings(files: list[Source]) -> list[str]:
    return _outside_declarations(files, _comparison)


def process_tables(files: list[Source]) -> list[str]:
    return _outside_declarations(files, _table)


def _outside_declarations(files: list[Source], what_is: Callable[[ast.AST, set[str]], str]) -> list[str]:
    found = []
    known = PROCESSES | registered(files, "process")
    for source in files:
        if "/theory/processes/" not in f"/{source.path}" and not _generates_names(source):
            found += [source.line(node, what) for node in source.nodes if (what := what_is(node, known))]
    return found


def _generates_names(source: Source) -> bool:
    functions = [node.name for node in source.tree.body if isinstance(node, ast.FunctionDef)]
    return "names.json" in source.text and "snapshot" in functions


def _comparison(node: ast.AST, known: set[str]) -> str:
    """The comparison with a process's name that a node is, or nothing."""
    if isinstance(node, ast.Compare):
        return ast.unparse(node) if any(strings(each) & known for each in [node.left, *node.comparators]) else ""
    if isinstance(node, ast.MatchValue):
        return f"case {ast.unparse(node)}" if strings(node.value) & known else ""
    return ""


def _table(node: ast.AST, known: set[str]) -> str:
    """The dict by process, or the lookup by a process's name, that a node is, or nothing."""
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        type_of = ast.unparse(node.value).endswith("Literal")
        return ast.unparse(node) if strings(node.slice) & known and not type_of else ""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("get", "pop"):
        return ast.unparse(node) if len(node.args) in (1, 2) and strings(node.args[0]) & known else ""
    if isinstance(node, ast.Dict):
        keys = [ast.unparse(key) for key in node.keys if key and strings(key) & known]
        return f"a dict by {', '.join(keys)}" if keys else ""
    return ""


def process_classes(files: list[Source]) -> list[str]:
    found = []
    for source in files:
        for node in source.nodes:
            called = isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance"
            if called and any(re.match("Gaussian|Masked", name) for name in names_of(node.args[-1])):
                found.append(source.line(node, ast.unparse(node)))
    return found


def head_kinds(files: list[Source]) -> list[str]:
    found = []
    for source in files:
        for node in source.nodes:
            if isinstance(node, ast.Compare):
                sides = [ast.unparse(each) for each in [node.left, *node.comparators]]
                found += (
                    [source.line(node, ast.unparse(node))] if any(re.search(r"head\.kind$", s) for s in sides) else []
                )
    return found


def metric_lists(files: list[Source]) -> list[str]:
    found = []
    known = METRICS | registered(files, "measure")
    for source in files:
        if source.path.endswith("evaluation/measures.py"):
            continue
        for node in source.nodes:
            names = _metrics(node, known)
            found += [source.line(node, ", ".join(sorted(names)))] if len(names) > 1 else []
    return found


def _metrics(node: ast.AST, known: set[str]) -> set[str]:
    """The metrics that a literal collection names."""
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return strings(node) & known
    if isinstance(node, ast.Dict):
        pairs = [(strings(key) & known, value) for key, value in zip(node.keys, node.values, strict=True) if key]
        keys = {name for names, _ in pairs for name in names}
        switches = all(isinstance(value, ast.Constant) and isinstance(value.value, bool) for k, value in pairs if k)
        values = {name for value in node.values for name in strings(value) & known if isinstance(value, ast.Constant)}
        return values if switches or len(values) > len(keys) else keys
    return set()


def circles(files: list[Source]) -> list[str]:
    paths = {source.module: source.path for source in files}
    graph = {source.module: imports(source, set(paths)) for source in files}
    return [f"{paths[group[0]]}:1: {', '.join(group)}" for group in circles_of(graph)]


def nested_ternaries(files: list[Source]) -> list[str]:
    found = []
    for source in files:
        outer = [node for node in source.nodes if isinstance(node, ast.IfExp)]
        inner = {each for node in outer for each in ast.walk(node) if isinstance(each, ast.IfExp) and each is not node}
        found += [source.line(node, ast.unparse(node)) for node in inner]
    return sorted(found)


def long_tests(files: list[Source]) -> list[str]:
    lengths = [(source, len(source.text.splitlines())) for source in files]
    return [f"{source.path}:1: {length} lines" for source, length in lengths if length > LONGEST]


def tuple_constants(files: list[Source]) -> list[str]:
    found = []
    for source in files:
        bodies = [source.tree.body, *(node.body for node in source.nodes if isinstance(node, ast.ClassDef))]
        for node in (node for body in bodies for node in body if isinstance(node, ast.Assign)):
            if isinstance(node.value, ast.Tuple) and any(isinstance(target, ast.Tuple) for target in node.targets):
                found.append(source.line(node, ast.unparse(node)))
    return found


def any_annotations(files: list[Source]) -> list[str]:
    found = []
    for source in files:
        for node in source.nodes:
            for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None)):
                if annotation is not None:
                    text = annotation.value if isinstance(annotation, ast.Constant) else ast.unparse(annotation)
                    found += [source.line(node, str(text))] * len(re.findall(r"\bAny\b", str(text)))
    return found


PACKAGE_RULES: dict[str, Rule] = {
    "triples": triples,
    "doors": doors,
    "triple_calls": triple_calls,
    "process_strings": process_strings,
    "process_tables": process_tables,
    "process_classes": process_classes,
    "head_kinds": head_kinds,
    "metric_lists": metric_lists,
    "circles": circles,
    "nested_ternaries": nested_ternaries,
    "tuple_constants": tuple_constants,
    "any": any_annotations,
}
TEST_RULES: dict[str, Rule] = {"long_tests": long_tests}
INFORMATIONAL = {"doors", "triple_calls", "process_classes", "head_kinds", "any"}


def counts(root: Path) -> dict[str, list[str]]:
    """The lines of every rule for a worktree, by the rule's name."""
    package, tests = sources(root), sources(root, "tests")
    of_package = {name: rule(package) for name, rule in PACKAGE_RULES.items()}
    return of_package | {name: rule(tests) for name, rule in TEST_RULES.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).parents[1], help="a worktree; this one")
    parser.add_argument("--list", nargs="*", default=[], metavar="RULE", help="print these rules' lines too")
    arguments = parser.parse_args()
    found = counts(arguments.root)
    if unknown := set(arguments.list) - found.keys():
        parser.error(f"unknown rules {', '.join(sorted(unknown))}; known: {', '.join(found)}")
    print(f"{'rule':<18}{'count':>6}{'files':>7}")
    for name, lines in found.items():
        files = len({line.partition(":")[0] for line in lines})
        print(f"{name:<18}{len(lines):>6}{files:>7}{'  informational' if name in INFORMATIONAL else ''}")
    for name in arguments.list:
        print(f"\n{name}", *found[name], sep="\n")


if __name__ == "__main__":
    main()
