"""A command whose parent is killed: the child in which a user's function sleeps, and what that has started, end too."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from repository import ROOT

# Both processes hold the pipe open as long as they live, and would sleep for half an hour.
FILE = """
import os, subprocess, time
def sleeps(t, lam):
    held = open("held", "w")
    started = subprocess.Popen(["sleep", "1800"], stdout=held)
    print(os.getpid(), started.pid, file=held, flush=True)
    time.sleep(1800)
"""
PATIENCE = 120.0
"""Seconds by the clock after which the test gives up, on however busy a machine."""


class Held:
    """What is read of a named pipe, and whether somebody holds its other end."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.reading, self.said = os.open(path, os.O_RDONLY | os.O_NONBLOCK), b""

    def by_somebody(self) -> bool:
        """Of a pipe that nobody holds nothing is read; one that is held and empty would block."""
        with contextlib.suppress(BlockingIOError):
            if not (part := os.read(self.reading, 4096)):
                return False
            self.said += part
        return True


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_it_ends_with_its_parent(tmp_path: Path, by: signal.Signals) -> None:
    (tmp_path / "own.py").write_text(FILE)
    held = Held(tmp_path / "held")
    command = [sys.executable, "-m", "reproflow", "check", "weighting", "own.py:sleeps"]
    parent = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    given_up = time.monotonic() + PATIENCE
    try:
        while not (held.by_somebody() and held.said.endswith(b"\n")) and time.monotonic() < given_up:
            time.sleep(0.05)
        assert held.said.endswith(b"\n"), "the function was never asked"
        parent.send_signal(by)
        assert parent.wait(PATIENCE) == -by
        while held.by_somebody() and time.monotonic() < given_up:
            time.sleep(0.05)
        assert not held.by_somebody()
    finally:
        parent.kill()
        parent.wait()
        for pid in map(int, held.said.split()) if held.by_somebody() else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        os.close(held.reading)
