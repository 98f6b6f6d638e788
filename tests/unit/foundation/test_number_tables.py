"""Tables of numbers: what a file of each form holds, and what is no table."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from reproflow.foundation import tables
from reproflow.foundation.errors import UsageError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "key", "wanted"),
    [
        ("0.5\n2\n", "", [0.5, 2.0]),
        ("w\n0.5\n2\n", "", [0.5, 2.0]),
        ("# of a run\n0,0.5\n1,2\n", "", [0.5, 2.0]),
        ("step,w\n0,0.5\n1,2\n", "", [0.5, 2.0]),
        ("a,b\n0.5,3\n2,4\n", ":a", [0.5, 2.0]),
        ("0.5,3\n2,4\n", ":1", [3.0, 4.0]),
    ],
)
def test_a_column(text: str, key: str, wanted: list[float]) -> None:
    Path("w.csv").write_text(text)
    assert tables.read(f"w.csv{key}").values.tolist() == wanted


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("a,b\n0.5,3\n2,4\n", "", r"w\.csv has the columns a, b; say which one"),
        ("a,b\n0.5,3\n2,4\n", ":c", r"no column 'c'"),
        ("a\n0.5\nnone\n", "", "index 1 holds no number"),
        ("a,b\n0.5,3\n2\n", ":b", "index 1 holds no number"),
        ("# nothing\n", "", "is empty"),
        ("1\nnan\n", "", "is NaN at index 1"),
    ],
)
def test_no_column(text: str, key: str, message: str) -> None:
    Path("w.csv").write_text(text)
    with pytest.raises(UsageError, match=message):
        tables.read(f"w.csv{key}")


def test_arrays() -> None:
    np.save("w.npy", [1.0, 2.0])
    np.savez("one.npz", w=[1.0, 2.0])
    np.savez("two.npz", v=[0.0], w=[1.0, 2.0])
    for text in ("w.npy", "one.npz", "two.npz:w"):
        assert tables.read(text).values.tolist() == [1.0, 2.0]
    for text, message in (("w.npy:w", "holds one array"), ("two.npz", "arrays v, w; say which"), ("no.npy", "no file")):
        with pytest.raises(UsageError, match=message):
            tables.read(text)


def test_a_pickle_is_not_opened() -> None:
    np.save("w.npy", np.array([1.0, 2.0], dtype=object))
    with pytest.raises(UsageError, match=r"cannot be read as numbers: .*allow_pickle"):
        tables.read("w.npy")


@pytest.mark.parametrize(
    ("values", "rounding"),
    [
        ([0.1, 0.2], 0.0),
        (np.float32([0.1, 0.2]).astype(float), 2.0**-24),
        (np.float32([0.1, 0.2]), 2.0**-24),
        (np.float16([0.1, 0.2]), 2.0**-11),
    ],
)
def test_digits_are_those_of_the_precision(values: object, rounding: float) -> None:
    assert tables.table("w", values).rounding == rounding


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1.0, 2.0], [3.0, 4.0]], r"shape \(2, 2\)"),
        ([], r"shape \(0,\)"),
        (["a"], "no real numbers"),
        ([1j], "no real numbers"),
        ([1.0, math.nan], "NaN at index 1"),
        (lambda: 1, "no real numbers"),
    ],
)
def test_what_is_no_table(values: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        tables.table("w", values)


@pytest.mark.parametrize(
    ("statement", "code", "constructor"),
    [
        ("def f(): return [1.0]", True, True),
        ("def f(n=3): return [1.0]", True, True),
        ("def f(n): return [1.0]", False, False),
        ("def f(*n): return [1.0]", False, False),
        ("def f(*, n): return [1.0]", False, False),
        ("f = [1.0]", True, False),
        ("f: list = [1.0]", True, False),
        ("f = lambda t: t", False, False),
        ("g = [1.0]", False, False),
    ],
)
def test_which_names_of_a_file_are_tables(statement: str, code: bool, constructor: bool) -> None:
    Path("own.py").write_text(statement + "\n")
    assert (tables.is_code("own.py:f"), tables.is_constructor("own.py:f")) == (code, constructor)
