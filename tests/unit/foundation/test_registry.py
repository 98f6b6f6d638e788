"""Registries: what a user's file registers stays with that file; what a notebook registers is listed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from reproflow.foundation import registry
from reproflow.theory.weightings import get_weighting, weighting

FILE = """
from reproflow import path, weighting

@weighting("mine", on="{on}", cite="-")
def mine(t, lam):
    return {value} * t

@path("elbo", cite="-")
def bent(t):
    return t**2, 1 - t
"""


@pytest.fixture(autouse=True)
def _in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "BUILT_IN", registry.BUILT_IN.copy())


def file(name: str, **values: object) -> str:
    Path(name).write_text(FILE.format(**values))
    return f"{name}:mine"


def test_two_files_may_register_one_name() -> None:
    first, second = file("first.py", on="x1", value=1), file("second.py", on="eps", value=2)
    loaded = [get_weighting(spec) for spec in (first, second, first)]
    assert [each.on for each in loaded] == ["x1", "eps", "x1"]
    t = torch.tensor([0.5], dtype=torch.float64)
    assert [float(each.function(t, t)) for each in loaded] == [0.5, 1.0, 0.5]


def test_the_built_in_list_does_not_change_when_a_users_file_is_loaded() -> None:
    before = registry.entries()
    assert get_weighting(file("own.py", on="x1", value=1)).on == "x1"
    assert registry.entries() == before
    with pytest.raises(Exception, match="unknown gaussian weighting 'mine'"):
        get_weighting("mine")
    # The name is free for a notebook, whose decorator enters the built-in registry.

    @weighting("mine", on="canonical", cite="-")
    def mine(t: torch.Tensor, lam: torch.Tensor) -> torch.Tensor:
        return t

    assert get_weighting("mine").on == "canonical"
    assert get_weighting("own.py:mine").on == "x1"


def test_one_file_may_not_register_a_name_twice() -> None:
    Path("twice.py").write_text(
        "from reproflow import weighting\n"
        "@weighting('a', on='x1', cite='-')\ndef one(t, lam): return t\n"
        "@weighting('a', on='x1', cite='-')\ndef two(t, lam): return t\n"
    )
    with pytest.raises(Exception, match=r"weighting 'a' .* is registered twice: at .*twice\.py:2 and at .*twice\.py:4"):
        get_weighting("twice.py:one")


def test_two_files_share_what_a_module_alongside_them_registers() -> None:
    """The module is imported once, by the first; the second finds the same `on`."""
    Path("alongside_registered.py").write_text(
        "from reproflow import weighting\n@weighting('shared', on='eps', cite='-')\ndef shared(t, lam): return t\n"
    )
    for name in ("one.py", "two.py"):
        Path(name).write_text("from alongside_registered import shared\n")
    before = registry.entries()
    assert [get_weighting(f"{name}:shared").on for name in ("one.py", "two.py")] == ["eps", "eps"]
    assert registry.entries() == before


def test_a_function_of_the_package_keeps_what_it_multiplies_in_a_users_file() -> None:
    Path("again.py").write_text("from reproflow.theory.weightings import min_snr as mine\n")
    assert get_weighting("again.py:mine").on == get_weighting("min_snr").on


def test_modules_of_the_package_that_a_users_file_is_the_first_to_import_are_built_in(tmp_path: Path) -> None:
    Path("first.py").write_text("import reproflow.learning.data\ndef own(t, lam): return t\n")
    code = (
        "from reproflow.foundation import registry\nfrom reproflow.theory.weightings import get_weighting\n"
        "assert not registry.entries('dataset')\nget_weighting('first.py:own')\nassert registry.entries('dataset')\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_a_copy_is_independent() -> None:
    copy = registry.BUILT_IN.copy()
    copy.add(registry.Entry("weighting", "gaussian", "new", len, "-", "here"))
    assert copy.get("weighting", "new").name == "new"
    with pytest.raises(Exception, match="unknown gaussian weighting 'new'"):
        registry.get("weighting", "new")
