"""A child process for user code: the same command once more, with a time limit.

Whatever a guest does there (loop for ever, exit, crash the interpreter), its host stays and says so. The child reports
over a pipe that it reached its end, so that a guest that calls `os._exit(0)` is not taken for success. Work that is
long by nature reports between its steps that it goes on, and the limit then holds for each step.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from reproflow.foundation.errors import UsageError

PIPE = "REPROFLOW_CHILD_PIPE"
LIMIT = "REPROFLOW_TIME_LIMIT"
SECONDS = 60.0
BEAT = 1.0
PACKAGE = Path(__file__).resolve().parents[2]


def inside() -> bool:
    """Whether this process is such a child."""
    return PIPE in os.environ


def finished() -> None:
    """Said by the child when it has come to its end by itself."""
    _say(b".")


def alive() -> None:
    """Said by the child between the steps of long work; the time limit starts afresh."""
    _say(b"+")


def _say(word: bytes) -> None:
    if inside():
        with contextlib.suppress(OSError, ValueError):
            os.write(int(os.environ[PIPE]), word)


def run(arguments: Sequence[str], what: str, seconds: float | None = None) -> int:
    """The exit code of `reproflow <arguments>` in a child, which shares this process's output.

    `what` names the user's file in messages. The limit is `seconds`, else the environment's REPROFLOW_TIME_LIMIT, else
    60 s, from the start or from the last time the child said that it is `alive`. Raises `UsageError` when the child was
    stopped at the limit or did not reach its end; the whole process group is killed then.
    """
    seconds = seconds or limit()
    reading, writing = os.pipe()
    path = os.pathsep.join(filter(None, [str(PACKAGE), os.environ.get("PYTHONPATH", "")]))
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "reproflow", *arguments],
        env={**os.environ, PIPE: str(writing), "PYTHONPATH": path},
        pass_fds=(writing,),
        start_new_session=True,
    )
    os.close(writing)
    os.set_blocking(reading, False)
    said = b""
    try:
        code, said = _wait(process, reading, seconds)
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"{what} did not come back within {seconds:g} s and was stopped; look for a loop without an end "
            f"({LIMIT} sets the limit in seconds)."
        ) from None
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(reading)
    if not said.endswith(b"."):
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise UsageError(f"{what} ended the process ({how}) instead of returning a value.")
    return code


def limit() -> float:
    """The seconds that the environment allows a child. Raises `UsageError` that names the variable and its value."""
    said = os.environ.get(LIMIT) or str(SECONDS)
    with contextlib.suppress(ValueError):
        if (seconds := float(said)) > 0:
            return seconds
    raise UsageError(
        f"{LIMIT}={said!r}: a number of seconds above 0 is needed; set it so, or unset {LIMIT} for {SECONDS:g} s."
    )


def _wait(process: subprocess.Popen[bytes], reading: int, seconds: float) -> tuple[int, bytes]:
    """The child's exit code and the last it said. Raises `TimeoutExpired` after `seconds` without a word."""
    last, since = b"", time.monotonic()
    while True:
        left = since + seconds - time.monotonic()
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
