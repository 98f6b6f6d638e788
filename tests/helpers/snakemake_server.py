"""Snakemake loaded once, for calls that run no job: each is a fork of one process, as loading costs more than planning.

Run as a program it answers requests, a line of JSON each: a folder, arguments and variables; exit status and what was
printed come back. It has one thread, numpy's libraries being told so, and that is looked at: forking is safe then. A
fork leaves nothing behind for the next, and is ended after five minutes. The package's sources are read before the
first fork: they do not change while tests run.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
SECONDS = 300


def plan(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """What `snakemake --dry-run ARGUMENTS` answers in a folder; `variables` as for `forked`."""
    return forked(folder, "--dry-run", *arguments, **variables)


def forked(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """What `snakemake ARGUMENTS` answers in a folder, with this repository's package.

    It has these environment variables; a site's own, for the Slurm profile, are left out.
    """
    server = _server()
    assert server.stdin
    assert server.stdout
    kept = {name: value for name, value in os.environ.items() if not name.startswith("REPROFLOW_")}
    environment = kept | {"PYTHONPATH": str(ROOT)} | variables
    call = {"folder": str(folder), "arguments": arguments, "environment": environment}
    server.stdin.write(json.dumps(call) + "\n")
    server.stdin.flush()
    answer = server.stdout.readline()
    assert answer, f"the server of plans has ended: {server.poll()}"
    return subprocess.CompletedProcess(arguments, **json.loads(answer))


@functools.cache
def _server() -> subprocess.Popen[str]:
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = os.environ | one | {"PYTHONPATH": str(ROOT)}
    server = subprocess.Popen(
        [sys.executable, __file__], env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    atexit.register(server.communicate)
    return server


def _serve() -> None:
    from snakemake import cli

    from reproflow.foundation import fingerprint, run  # noqa: F401
    from reproflow.reporting import figures  # noqa: F401

    assert Path(fingerprint.__file__).is_relative_to(ROOT)
    fingerprint.claims()
    fingerprint.source("reproflow.reporting.html")
    threads = Path("/proc/self/task")
    assert not threads.exists() or len(list(threads.iterdir())) == 1
    for line in sys.stdin:
        call = json.loads(line)
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            child = os.fork()
            if not child:
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                _call(cli.main, **call)
            _, status = os.waitpid(child, 0)
            out.seek(0)
            err.seek(0)
            answer = {"returncode": os.waitstatus_to_exitcode(status), "stdout": out.read(), "stderr": err.read()}
        print(json.dumps(answer), flush=True)


def _call(main: Callable[[list[str]], object], folder: str, arguments: list[str], environment: dict[str, str]) -> None:
    """In the child: as `python -m snakemake` in that folder."""
    code: object = 1
    signal.alarm(SECONDS)
    try:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.path[0] = folder
        sys.argv[1:] = arguments
        main(arguments)
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    _serve()
