"""The doctor: what is broken is FAILED, check by check."""

from __future__ import annotations

import dataclasses
import platform
import shutil
from types import SimpleNamespace

import pytest

from reproflow.cli import doctor
from reproflow.theory.paths import Path


@pytest.mark.parametrize(
    ("version", "state"),
    [("3.10.9", "FAILED"), ("3.11.0", "ok"), ("3.13.2", "ok"), ("3.14.0", "FAILED"), ("4.0.0", "FAILED")],
)
def test_python(version: str, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "python_version_tuple", lambda: tuple(version.split(".")))
    assert doctor._python()[0] == state


@pytest.mark.parametrize(("gibibytes", "state"), [(2.5, "ok"), (1.5, "FAILED"), (0, "FAILED")])
def test_disk(gibibytes: float, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=gibibytes * 2**30))
    assert doctor._disk()[0] == state


def test_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor._arithmetic()[0] == "ok"
    right = Path.at

    def off(self: Path, t):
        c = right(self, t)
        return dataclasses.replace(c, dalpha=c.dalpha * (1 + 1e-6))

    monkeypatch.setattr(Path, "at", off)
    assert doctor._arithmetic()[0] == "FAILED"


def test_a_check_that_raises_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LIBRARIES", ("no_such_library",))
    found = {name: (state, detail) for name, state, detail in doctor.run()}
    assert found["no_such_library"][0] == "FAILED"
    assert "no_such_library" in found["no_such_library"][1]
    assert found["list of names"][0] == "ok"
