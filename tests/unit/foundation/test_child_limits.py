"""The limits that a child sets itself: memory beyond what it holds, and processor time that is renewed."""

from __future__ import annotations

import resource
import signal

import pytest

from reproflow.foundation import code_limits


@pytest.fixture
def set_timers(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float]]:
    """The interval timers that are asked for; this process gets none."""
    asked: list[tuple[int, float]] = []
    monkeypatch.setattr(signal, "setitimer", lambda which, seconds: asked.append((which, seconds)))
    return asked


def test_memory_is_limited_beyond_what_the_imports_have_taken(
    set_timers: list[tuple[int, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (-1, -1))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: asked.append((which, limits)))
    monkeypatch.setenv(code_limits.MEMORY, "1")
    monkeypatch.setenv(code_limits.TIME, "7")
    code_limits.begin()
    assert set_timers == [(signal.ITIMER_PROF, 7.0)]
    [(which, (soft, hard))] = asked
    assert (which, hard) == (resource.RLIMIT_AS, -1)
    assert soft > 2**30 + 2**24, "an interpreter with its libraries has taken more than 16 MiB"


@pytest.mark.parametrize(("left", "renewed"), [(3.0, True), (0.0, False)])
def test_processor_time_is_renewed_where_it_is_limited(
    left: float, renewed: bool, set_timers: list[tuple[int, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal, "getitimer", lambda which: (left, 0.0))
    monkeypatch.setenv(code_limits.TIME, "7")
    code_limits.renew()
    assert set_timers == ([(signal.ITIMER_PROF, 7.0)] if renewed else [])
