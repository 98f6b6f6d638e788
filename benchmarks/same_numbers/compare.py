"""Comparing two folders of results: tensors bit for bit, CSV cells and JSON values as they are written."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from benchmarks.same_numbers import exceptions

# The folder of a fingerprint in the store.
STORED = re.compile(r"(store/[^/]+/[^/]+)/[0-9a-f]{16,}/")
ABSENT = "absent"


@dataclass(frozen=True)
class Difference:
    """One place where two sides differ; `relative` is None where no number is compared with a number."""

    place: str
    before: str
    after: str
    relative: float | None = None


def folders(before: Path, after: Path, part: str) -> tuple[list[Difference], int]:
    """The differences of a part of two sides' folders, by name of file, and how many values were compared.

    Raises `ValueError` for a file that cannot be compared, and for two fingerprints of one stage of a cell.
    """
    sides = [_files(before, part), _files(after, part)]
    differences, compared = [], 0
    for name in sorted(sides[0].keys() | sides[1].keys()):
        paths = [side.get(name) for side in sides]
        if paths[0] is None or paths[1] is None:
            words = [ABSENT if path is None else "a file" for path in paths]
            differences.append(Difference(name, words[0], words[1]))
        elif not exceptions.file_exception(name):
            values = [dict(leaves(name, path)) for path in paths if path]
            compared += len(values[0])
            differences += _of_leaves(*values)
    return differences, compared


def _files(folder: Path, part: str) -> dict[str, Path]:
    """The results of a part by their path in a side's folder, those of the store without the fingerprint."""
    files: dict[str, Path] = {}
    for path in sorted(path for path in (folder / part).rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if not exceptions.no_result(name):
            plain = STORED.sub(r"\1/", name)
            if plain in files:
                raise ValueError(f"{path} and {files[plain]} are one stage of one cell; start from an empty folder")
            files[plain] = path
    return files


def leaves(name: str, path: Path) -> Iterator[tuple[str, Any]]:
    """The places of a file and what stands there: text, a JSON value or an array. Excepted fields are left out."""
    if path.suffix == ".csv":
        yield from _csv(name, path)
    elif path.suffix == ".json":
        yield from _json(name, f"{name}:", json.loads(path.read_text(encoding="utf-8")))
    elif path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            yield from ((f"{name}:{key}", arrays[key]) for key in arrays.files)
    elif path.suffix == ".safetensors":
        with safe_open(path, framework="numpy") as stream:
            for key, text in sorted((stream.metadata() or {}).items()):
                yield from _json(name, f"{name}:{key}", json.loads(text))
            yield from ((f"{name}:{key}", stream.get_tensor(key)) for key in stream.keys())  # noqa: SIM118
    else:
        raise ValueError(f"{path}: no way to compare such a file; see exceptions.py")


def _csv(name: str, path: Path) -> Iterator[tuple[str, Any]]:
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    header = rows[0] if rows else []
    kept = [(index, column) for index, column in enumerate(header) if not exceptions.field_exception(name, column)]
    yield f"{name}:rows", len(rows) - 1
    yield from ((f"{name}:column/{column}", "a column") for _, column in kept)
    for number, row in enumerate(rows[1:], 1):
        cells = row + [""] * (len(header) - len(row))
        yield from ((f"{name}:{number}/{column}", cells[index]) for index, column in kept)


def _json(name: str, place: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield f"{place}/", "an object"
        for key, inner in value.items():
            if not exceptions.field_exception(name, key):
                yield from _json(name, f"{place}/{key}", inner)
    elif isinstance(value, list):
        yield f"{place}/length", len(value)
        for index, inner in enumerate(value):
            yield from _json(name, f"{place}/{index}", inner)
    else:
        yield place, value


def _of_leaves(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Difference]:
    columns = {place for place in before.keys() ^ after.keys() if ":column/" in place}
    for place in [*before, *(place for place in after if place not in before)]:
        if place in before and place in after:
            if (found := difference(place, before[place], after[place])) is not None:
                yield found
        elif place in columns or _column_of(place) not in columns:
            # A missing column is one difference, not one for each of its rows.
            yield Difference(place, *(_shown(side[place]) if place in side else ABSENT for side in (before, after)))


def _column_of(place: str) -> str:
    return re.sub(r":\d+/", ":column/", place, count=1)


def difference(place: str, before: Any, after: Any) -> Difference | None:
    """The difference of two values, or None where they are the same bit for bit."""
    if isinstance(before, np.ndarray) and isinstance(after, np.ndarray):
        return _of_arrays(place, before, after)
    if type(before) is type(after) and (before == after or (before != before and after != after)):
        signs = [math.copysign(1, value) for value in (before, after) if isinstance(value, float)]
        if len(set(signs)) < 2:
            return None
    return Difference(place, _shown(before), _shown(after), _relative(_numbers(before), _numbers(after)))


def _of_arrays(place: str, before: np.ndarray, after: np.ndarray) -> Difference | None:
    if (before.dtype, before.shape) != (after.dtype, after.shape):
        return Difference(place, _shown(before), _shown(after))
    if before.tobytes() == after.tobytes():
        return None
    size = before.dtype.itemsize
    bits = [np.frombuffer(array.tobytes(), np.uint8).reshape(-1, size) for array in (before, after)]
    rows = np.flatnonzero((bits[0] != bits[1]).any(1))
    numbers = [
        array.ravel()[rows].astype(np.float64) if array.dtype.kind in "fiub" else None for array in (before, after)
    ]
    first = [str(array.ravel()[rows[0]]) for array in (before, after)]
    where = f"{len(rows)} of {before.size} values, the first at {rows[0]}: "
    return Difference(place, where + first[0], first[1], _relative(*numbers))


def _numbers(value: Any) -> np.ndarray | None:
    """The numbers that a value or a text of numbers holds, or None."""
    if isinstance(value, bool) or value is None:
        return None
    words = re.split(r"[;,\s]+", value.strip()) if isinstance(value, str) else [value]
    try:
        return np.array([float(word) for word in words])
    except ValueError:
        return None


def _relative(before: np.ndarray | None, after: np.ndarray | None) -> float | None:
    """The largest difference of two arrays relative to the larger of the two; infinite where one is not finite."""
    if before is None or after is None or before.shape != after.shape:
        return None
    same = (before == after) | (np.isnan(before) & np.isnan(after))
    if not (np.isfinite(before) & np.isfinite(after) | same).all():
        return math.inf
    scale = np.maximum(np.abs(before), np.abs(after))
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.where(same, 0.0, np.abs(before - after) / scale)
    return float(relative.max(initial=0.0))


def _shown(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {list(value.shape)}"
    return repr(value)
