"""A child process for user code: the same command once more, under the limits of `foundation.code_limits`.

Whatever user code does there (loop for ever, sleep, exit, crash the interpreter, take all memory), the parent stays
and says so. The child reports over a pipe that it reached its end, so that code that calls `os._exit(0)` is not taken
for success. Its limits begin when its imports are done; work that is long by nature reports between its steps that it
goes on, and they then hold for each step.

The limit by the clock is the parent's to keep. So the child ends with its parent, however that ends: the parent holds
the other end of a second pipe, which the system closes with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from reproflow.foundation import code_limits
from reproflow.foundation.errors import UsageError

PIPE = "REPROFLOW_CHILD_PIPE"
PARENT = "REPROFLOW_PARENT_PIPE"
BEAT = 1.0
PACKAGE = Path(__file__).resolve().parents[2]


def inside() -> bool:
    """Whether this process is such a child."""
    return PIPE in os.environ


def end_with_parent() -> None:
    """Called by the child at its start: it is killed, with all that it starts, as soon as its parent is gone.

    The variable is taken away, so that what the child starts does not take the number of a pipe for its own.
    """
    if reading := os.environ.pop(PARENT, ""):
        threading.Thread(target=_die_at_the_end_of, args=(int(reading),), daemon=True).start()


def _die_at_the_end_of(reading: int) -> None:
    """Nothing is ever written to the pipe: it ends when the parent does. The group is that which this process leads."""
    os.read(reading, 1)
    os.killpg(os.getpid(), signal.SIGKILL)


def finished() -> None:
    """Said by the child when it has come to its end by itself."""
    _say(b".")


def begin() -> None:
    """Said by the child when its imports are done: its limits begin."""
    code_limits.begin()
    _say(b"+")


def alive() -> None:
    """Said by the child between the steps of long work; the limits of time start afresh."""
    code_limits.renew()
    _say(b"+")


def _say(word: bytes) -> None:
    if inside():
        with contextlib.suppress(OSError, ValueError):
            os.write(int(os.environ[PIPE]), word)


def run(arguments: Sequence[str], what: str, seconds: float | None = None) -> int:
    """The exit code of `reproflow <arguments>` in a child, which shares this process's output.

    `what` names the user's file in messages. `seconds` are those of processor time in place of what the environment
    says. Raises `UsageError` when the child was stopped at a limit or did not reach its end; the whole process group is
    killed then.
    """
    seconds = seconds or code_limits.seconds()
    reading, writing = os.pipe()
    of_parent, held = os.pipe()
    pipes = {PIPE: str(writing), PARENT: str(of_parent)}
    path = os.pathsep.join(filter(None, [str(PACKAGE), os.environ.get("PYTHONPATH", "")]))
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "reproflow", *arguments],
        env=os.environ | pipes | {"PYTHONPATH": path, code_limits.TIME: str(seconds)},
        pass_fds=(writing, of_parent),
        start_new_session=True,
    )
    os.close(writing)
    os.close(of_parent)
    os.set_blocking(reading, False)
    said = b""
    try:
        code, said = _wait(process, reading, code_limits.BY_THE_CLOCK * seconds)
    except subprocess.TimeoutExpired:
        raise UsageError(code_limits.asleep(what, seconds)) from None
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(reading)
        os.close(held)
    if code == -code_limits.EXPIRED:
        raise UsageError(code_limits.out_of_time(what, seconds))
    if not said.endswith(b"."):
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        how += ", as the system does when memory is short" if code == -signal.SIGKILL else ""
        raise UsageError(f"{what} ended the process ({how}) instead of returning a value.")
    return code


def _wait(process: subprocess.Popen[bytes], reading: int, seconds: float) -> tuple[int, bytes]:
    """The child's exit code and the last it said. Raises `TimeoutExpired` after `seconds` by the clock without a word.

    Before its first word it imports, which ends by itself, however busy the machine is.
    """
    last, since = b"", time.monotonic()
    while True:
        patience = seconds if last else max(seconds, code_limits.BY_THE_CLOCK * code_limits.SECONDS)
        left = since + patience - time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = process.wait(timeout=max(0.0, min(left, BEAT)))
            return code, _heard(reading) or last
        if word := _heard(reading):
            last, since = word, time.monotonic()
        elif left <= 0:
            raise subprocess.TimeoutExpired(process.args, seconds)


def _heard(reading: int) -> bytes:
    """What the pipe holds now."""
    found = b""
    with contextlib.suppress(BlockingIOError):
        while part := os.read(reading, 4096):
            found += part
    return found
