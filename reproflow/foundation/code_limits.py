"""What anybody's code may use: processor time, time by the clock, memory. All limits of user code are here.

=================  =====================================  ==========================================================
processor time     60 s, or REPROFLOW_TIME_LIMIT seconds  from when our own imports are done; for each step of long work
time by the clock  ten times that                         for what sleeps or waits; a busy machine stays far below
memory             8 GiB, or REPROFLOW_MEMORY_LIMIT GiB   beyond what the imports have taken
=================  =====================================  ==========================================================

A function of a user's file runs in a child process (`foundation.child_process`), where the system keeps the limits:
`begin` sets an interval timer of processor time, whose signal ends the process, and the size of its memory. An
expression runs in the caller's process and thread and cannot loop by itself; what may take long is a judgement that
asks for it again and again. It asks its `Budget` each time, which counts the processor time of its own thread.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from reproflow.foundation.errors import UsageError

TIME = "REPROFLOW_TIME_LIMIT"
MEMORY = "REPROFLOW_MEMORY_LIMIT"
SECONDS = 60.0
GIBIBYTES = 8.0
BY_THE_CLOCK = 10.0
"""Times the limit of processor time."""
EXPIRED = signal.SIGPROF
"""The signal that ends a process whose processor time is spent."""


def seconds() -> float:
    """The processor time that is allowed. Raises `UsageError` that names the variable and its value."""
    return _number(TIME, SECONDS, "seconds", "s")


def gibibytes() -> float:
    """The memory that is allowed. Raises `UsageError` that names the variable and its value."""
    return _number(MEMORY, GIBIBYTES, "GiB", "GiB")


def _number(variable: str, usual: float, unit: str, short: str) -> float:
    said = os.environ.get(variable) or str(usual)
    with contextlib.suppress(ValueError):
        if (found := float(said)) > 0:
            return found
    raise UsageError(
        f"{variable}={said!r}: a number of {unit} above 0 is needed; set it so, or unset {variable} for {usual:g} "
        f"{short}."
    )


def begin() -> None:
    """Limits this process from now on: a child, when its imports are done. Raises `UsageError` as `seconds` does."""
    import resource  # none on Windows

    signal.setitimer(signal.ITIMER_PROF, seconds())
    with contextlib.suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        wanted = pages * resource.getpagesize() + int(gibibytes() * 2**30)
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (wanted if hard < 0 else min(wanted, hard), hard))


def renew() -> None:
    """The processor time of a process that is limited counts from now on."""
    if signal.getitimer(signal.ITIMER_PROF)[0]:
        signal.setitimer(signal.ITIMER_PROF, seconds())


def out_of_time(what: str, allowed: float) -> str:
    """Of what has spent its processor time."""
    return (
        f"{what} did not come back within {allowed:g} s and was stopped; look for a loop without an end "
        f"(processor time, after all imports; {TIME} sets the limit in seconds)."
    )


def asleep(what: str, allowed: float) -> str:
    """Of what has spent ten times as much by the clock."""
    return (
        f"{what} did not come back within {BY_THE_CLOCK * allowed:g} s by the clock and was stopped, with less than "
        f"{allowed:g} s of processor time: it sleeps or waits ({TIME}={allowed:g} sets both limits)."
    )


def cure(error: BaseException) -> str:
    """What to add to the message of an error that comes of too little memory; nothing of any other."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError) or "can't allocate memory" in str(seen):
            return f"\nIt may take {gibibytes():g} GiB of memory; {MEMORY} sets the limit in GiB."
        seen = seen.__cause__
    return ""


class Budget:
    """The processor time that this thread may spend on what is in its own process and cannot be ended from outside."""

    def __init__(self) -> None:
        self.allowed = seconds()
        self.started = time.thread_time()

    def ask(self, what: str) -> None:
        """Raises `UsageError` where the time is spent."""
        if time.thread_time() - self.started > self.allowed:
            raise UsageError(
                f"{what} was not judged within {self.allowed:g} s of processor time, and was given up; it changes too "
                f"often, or too fast ({TIME} sets the limit in seconds)."
            )
