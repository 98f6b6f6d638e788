"""How long a child is waited for: its clock starts afresh with each word, and before the first it imports."""

from __future__ import annotations

import signal
import subprocess
from typing import Any

import pytest

from reproflow.foundation import child_process, code_limits


class Child:
    """A child that says a word every `beat` seconds and ends at `end`, on a clock that waiting alone moves."""

    args = "child"

    def __init__(self, end: float, beat: float) -> None:
        self.now, self.end, self.beat, self.heard = 0.0, end, beat, 0.0

    def wait(self, timeout: float) -> int:
        self.now += max(timeout, 1e-3)
        if self.now < self.end:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return 3

    def says(self, reading: int) -> bytes:
        if self.now - self.heard < self.beat:
            return b"." if self.now >= self.end else b""
        self.heard = self.now
        return b"+"


def waited(monkeypatch: pytest.MonkeyPatch, child: Child) -> tuple[int, bytes]:
    process: Any = child
    monkeypatch.setattr(child_process.time, "monotonic", lambda: child.now)
    monkeypatch.setattr(child_process, "_heard", child.says)
    return child_process._wait(process, 0, 10.0)


def test_a_child_that_goes_on_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert waited(monkeypatch, Child(end=95.0, beat=6.0))[0] == 3


def test_one_that_falls_silent_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    child = Child(end=1e6, beat=6.0)
    child.says = lambda reading: b"+" if child.now < 20 else b""  # type: ignore[method-assign]
    with pytest.raises(subprocess.TimeoutExpired):
        waited(monkeypatch, child)
    assert 29 < child.now < 32


def test_before_its_first_word_it_may_import(monkeypatch: pytest.MonkeyPatch) -> None:
    child = Child(end=1e6, beat=1e9)
    with pytest.raises(subprocess.TimeoutExpired):
        waited(monkeypatch, child)
    assert child.now == pytest.approx(code_limits.BY_THE_CLOCK * code_limits.SECONDS, abs=2)


def test_what_it_has_started_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its whole group, though it has come to its end by itself."""
    killed: list[tuple[int, int]] = []
    child: Any = Child(end=0.0, beat=1.0)
    child.pid, child.kill = 12345, lambda: None
    child.wait = lambda: 0
    monkeypatch.setattr(subprocess, "Popen", lambda *arguments, **options: child)
    monkeypatch.setattr(child_process, "_wait", lambda *arguments: (0, b"."))
    monkeypatch.setattr(child_process.os, "killpg", lambda *arguments: killed.append(arguments))
    assert child_process.run(["list"], "my.py") == 0
    assert killed == [(12345, signal.SIGKILL)]
