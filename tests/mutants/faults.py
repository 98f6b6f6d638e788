"""The table of faults: `faults/*.toml`, a file a layer, and what a result of one depends on."""

from __future__ import annotations

import functools
import hashlib
import json
import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).with_name("faults")
SHARED = ("tests/helpers", "tests/conftest.py", "pyproject.toml")
"""What every test depends on, besides the package and its own file."""


@dataclass(frozen=True)
class Checks:
    """What is run against a fault, in this order: claims by id, tests by path under tests/, or path::name."""

    claims: list[str] = field(default_factory=list)
    tests: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Mutant:
    """One fault: `find` is replaced by `put` in `file`; `breaks` says what that means, `missed` why nothing notices.

    `checks` are those of its file, or its own.
    """

    id: str
    file: str
    breaks: str
    find: str
    put: str
    checks: Checks = Checks()
    missed: str = ""
    layer: str = ""


@dataclass(frozen=True)
class Table:
    """All faults, the checks of each file that has any, and why the others have none (file or pattern -> reason)."""

    mutants: list[Mutant]
    files: dict[str, Checks]
    without: dict[str, str]


def read(folder: Path = FOLDER) -> Table:
    """The tables of a folder, in the order of their names. Raises `ValueError` for an id or file that stands twice."""
    table = Table([], {}, {})
    for path in sorted(folder.glob("*.toml")):
        layer = tomllib.loads(path.read_text(encoding="utf-8"))
        files = {name: Checks(**checks) for name, checks in layer.get("files", {}).items()}
        twice = (files.keys() & table.files) | (layer.get("mutants", {}).keys() & {each.id for each in table.mutants})
        if twice:
            raise ValueError(f"{path.name}: {', '.join(sorted(twice))} stands in another table too")
        table.files.update(files)
        table.without.update(layer.get("without", {}))
        for id, given in layer.get("mutants", {}).items():
            own = {kind: given.pop(kind) for kind in ("claims", "tests") if kind in given}
            checks = Checks(**own) if own else files[given["file"]]
            table.mutants.append(Mutant(id=id, checks=checks, layer=path.stem, **given))
    return table


def broken(text: str, mutant: Mutant) -> str:
    """The file's text with the fault. Raises `ValueError` where it does not fit exactly once."""
    if text.count(mutant.find) != 1:
        raise ValueError(f"mutant {mutant.id}: {mutant.find!r} occurs {text.count(mutant.find)} times in {mutant.file}")
    return text.replace(mutant.find, mutant.put)


def fault_digest(mutant: Mutant) -> str:
    """Of the fault and of what is run against it."""
    told = {name: value for name, value in asdict(mutant).items() if name not in ("missed", "layer", "breaks")}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def tree_digest(checks: Checks) -> str:
    """Of all that the outcome of checks depends on in this tree: the package, the tests run and what they share."""
    total = hashlib.sha256(_files_digest("reproflow").encode())
    for name in (*SHARED, *sorted({f"tests/{test.split('::')[0]}" for test in checks.tests})):
        total.update(_files_digest(name).encode())
    return total.hexdigest()[:16]


@functools.cache
def _files_digest(name: str) -> str:
    """Over names and bytes of a file, or of all files of a folder; of a test, its folder's conftest.py too."""
    path = ROOT / name
    files = sorted(path.rglob("*")) if path.is_dir() else [path, path.parent / "conftest.py"]
    total = hashlib.sha256()
    for file in files:
        if file.is_file() and "__pycache__" not in file.parts:
            total.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return total.hexdigest()
