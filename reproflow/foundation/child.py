"""A child process for user code: the same command once more, with a time limit.

Whatever a guest does there (loop for ever, exit, crash the interpreter), its host stays and says so. The child reports
over a pipe that it reached its end, so that a guest that calls `os._exit(0)` is not taken for success.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from reproflow.foundation.errors import UsageError

PIPE = "REPROFLOW_CHILD_PIPE"
LIMIT = "REPROFLOW_TIME_LIMIT"
SECONDS = 60.0
PACKAGE = Path(__file__).resolve().parents[2]


def inside() -> bool:
    """Whether this process is such a child."""
    return PIPE in os.environ


def finished() -> None:
    """Said by the child when it has come to its end by itself."""
    if inside():
        with contextlib.suppress(OSError, ValueError):
            os.write(int(os.environ[PIPE]), b".")


def run(arguments: Sequence[str], what: str, seconds: float | None = None) -> int:
    """The exit code of `reproflow <arguments>` in a child, which shares this process's output.

    `what` names the user's file in messages. The limit is `seconds`, else the environment's REPROFLOW_TIME_LIMIT, else
    60 s. Raises `UsageError` when the child was stopped at the limit or did not reach its end; the whole process group
    is killed then.
    """
    seconds = seconds or float(os.environ.get(LIMIT, SECONDS))
    reading, writing = os.pipe()
    path = os.pathsep.join(filter(None, [str(PACKAGE), os.environ.get("PYTHONPATH", "")]))
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "reproflow", *arguments],
        env={**os.environ, PIPE: str(writing), "PYTHONPATH": path},
        pass_fds=(writing,),
        start_new_session=True,
    )
    os.close(writing)
    ended = False
    try:
        code = process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"{what} did not come back within {seconds:g} s and was stopped; look for a loop without an end "
            f"({LIMIT} sets the limit in seconds)."
        ) from None
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.set_blocking(reading, False)
        with contextlib.suppress(BlockingIOError):
            ended = os.read(reading, 1) == b"."
        os.close(reading)
    if not ended:
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise UsageError(f"{what} ended the process ({how}) instead of returning a value.")
    return code
