"""Numbers by index as a user holds them: a column of a csv file, an array of a npy or npz file, or what his code gives.

=====================================  ===========================================================
`weights.csv`, `weights.csv:column`    the only column (beside one that counts from 0), or a named one
`weights.npy`                          the array
`weights.npz`, `weights.npz:key`       the only array, or a named one
`my.py:table`                          a function without arguments, or an array at the top of the file
=====================================  ===========================================================

Files of numbers are read here and run no code (no pickles); a name in a Python file is looked up by `judge.levels`, in
the process that may run it. A table has one dimension and holds numbers; a NaN is refused with its index.
"""

from __future__ import annotations

import ast
import contextlib
import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reproflow.foundation.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

_FILE = re.compile(r"(?P<file>.+\.(?:csv|npy|npz))(?::(?P<key>[^:]+))?", re.IGNORECASE)
_CODE = re.compile(r"(?P<file>.+\.py):(?P<name>[A-Za-z_]\w*)")
_UNIT = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 2.0**-24}


@dataclass(frozen=True)
class Table:
    """Numbers by index, (N,) in float64; each is known to `rounding` of itself (0 for double precision)."""

    name: str
    values: np.ndarray
    rounding: float = 0.0

    def __len__(self) -> int:
        return len(self.values)


def is_file(text: str) -> bool:
    """Whether a text names a file of numbers."""
    return _FILE.fullmatch(text.strip()) is not None


def is_code(text: str) -> bool:
    """Whether a text names a table in a Python file: a function without arguments, or a value that is no lambda.

    A name that the file assigns may hold a function all the same (`f = torch.exp`); its value shows that.
    """
    return is_constructor(text) or any(_assigns(node, name) for name, node in _statements(text))


def is_constructor(text: str) -> bool:
    """Whether a text names a function of a Python file that is called without arguments."""
    return any(_takes_nothing(node, name) for name, node in _statements(text))


def _statements(text: str) -> Iterator[tuple[str, ast.stmt]]:
    """The name that `FILE.py:NAME` names with every statement at the top of the file; none where it is no such text."""
    found = _CODE.fullmatch(text.strip())
    if found is None or not Path(found["file"]).is_file():
        return
    with contextlib.suppress(SyntaxError, ValueError, OSError, RecursionError):
        for node in ast.parse(Path(found["file"]).read_text(encoding="utf-8")).body:
            yield found["name"], node


def _takes_nothing(node: ast.stmt, name: str) -> bool:
    if not (isinstance(node, ast.FunctionDef) and node.name == name):
        return False
    taken = node.args
    plain = len(taken.posonlyargs) + len(taken.args) - len(taken.defaults)
    return plain == 0 and taken.vararg is None and None not in taken.kw_defaults


def _assigns(node: ast.stmt, name: str) -> bool:
    targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
    named = any(isinstance(each, ast.Name) and each.id == name for each in targets)
    return named and not isinstance(getattr(node, "value", None), ast.Lambda)


def read(text: str) -> Table:
    """The table in a file of numbers. Raises `UsageError` naming the file and what is wrong with it."""
    found = _FILE.fullmatch(text.strip())
    assert found is not None
    file, key = Path(found["file"]), found["key"]
    if not file.is_file():
        raise UsageError(f"no file {file} in {Path.cwd()}; paths are relative to the working directory.")
    if file.suffix.lower() == ".csv":
        return table(text, _column(file, key))
    if key and file.suffix.lower() == ".npy":
        raise UsageError(f"{file} holds one array; write it without {':' + key!r}.")
    return table(text, _array(file, key))


def real_numbers(values: object) -> np.ndarray | None:
    """Whatever holds numbers (a list, an array, a tensor) in float64; None where it holds no real ones."""
    import numpy as np

    if hasattr(values, "detach"):
        tensor: Tensor = values.detach().cpu()
        # bfloat16 is no type of numpy.
        values = tensor.resolve_conj().numpy() if tensor.is_complex() else tensor.double().numpy()
    try:
        found = np.asarray(values)
        return None if found.dtype.kind in "cOSUVmM" else found.astype(np.float64)
    except (TypeError, ValueError):
        return None


def table(name: str, values: object) -> Table:
    """A table of whatever holds numbers: a list, an array, a tensor. Raises `UsageError` for anything else."""
    import numpy as np

    dtype = str(getattr(values, "dtype", "")).removeprefix("torch.")
    numbers = real_numbers(values)
    if numbers is None:
        raise UsageError(f"table {name!r} holds no real numbers; give one number for each level.")
    shape = numbers.shape
    numbers = numbers.squeeze() if numbers.size > 1 else numbers
    if numbers.ndim != 1 or not len(numbers):
        raise UsageError(f"table {name!r} has the shape {shape}; give one number for each level, shape (N,).")
    if np.isnan(numbers).any():
        raise UsageError(f"table {name!r} is NaN at index {int(np.isnan(numbers).argmax())}; 0/0, or inf/inf?")
    with np.errstate(over="ignore"):
        single = bool((numbers == numbers.astype(np.float32)).all())
    return Table(name, numbers, _UNIT.get(dtype, _UNIT["float32"] if single else 0.0))


def _array(file: Path, key: str | None) -> np.ndarray:
    import numpy as np

    try:
        held = np.load(file, allow_pickle=False)
        if isinstance(held, np.ndarray):
            return held
        with held:
            name = _chosen(file, key, held.files, "array")
            return held[name]
    except UsageError:
        raise
    except Exception as error:  # damaged bytes: whatever numpy, zipfile and zlib raise of them
        why = str(error) or type(error).__name__
        raise UsageError(f"{file} cannot be read as numbers: {why[:300]}.") from None


def _chosen(file: Path, key: str | None, names: Iterable[str], what: str) -> str:
    """The one that is asked for, or the only one."""
    known = list(names)
    if key is not None and key not in known:
        raise UsageError(
            f"{file} has no {what} {key!r};{did_you_mean(key, known)} it has: {', '.join(known) or 'none'}"
        )
    if key is None and len(known) != 1:
        raise UsageError(f"{file} has the {what}s {', '.join(known)}; say which one, such as {file}:{known[0]}.")
    return key if key is not None else known[0]


def _column(file: Path, key: str | None) -> list[float]:
    """A column of a csv file, with or without a line of names."""
    try:
        rows = [row for row in csv.reader(file.read_text(encoding="utf-8-sig").splitlines()) if any(row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{file} cannot be read: {error}.") from None
    rows = [row for row in rows if not row[0].startswith("#")]
    if not rows:
        raise UsageError(f"{file} is empty; give one number for each level.")
    named = any(_number(each) is None for each in rows[0])
    names = [each.strip() for each in rows[0]] if named else [str(place) for place in range(len(rows[0]))]
    lines = rows[1:] if named else rows
    if key is None and len(names) == 2 and _counts(lines):
        return _numbers(file, lines, 1)
    return _numbers(file, lines, names.index(_chosen(file, key, names, "column")))


def _counts(lines: list[list[str]]) -> bool:
    return all(_number(row[0]) == place for place, row in enumerate(lines))


def _numbers(file: Path, lines: list[list[str]], place: int) -> list[float]:
    found = [_number(row[place]) if place < len(row) else None for row in lines]
    if None in found:
        raise UsageError(f"{file}: index {found.index(None)} holds no number.")
    return [each for each in found if each is not None]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
