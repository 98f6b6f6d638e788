"""Breaks the package on purpose, one small fault at a time, and reports which claim or test notices.

Each mutant of `mutants.toml` replaces one text of one file in a copy of the package. The copy runs the claims, then the
tests, that the same table declares for that file, and stops at the first that fails. Before anything is broken, all of
these have to pass on an unbroken copy. Writes docs/mutants.md; exits 1 where a mutant is missed that has no reason.

    python tests/mutants/mutation.py [ID ..]        (make mutants runs all; with ids, prints and writes nothing)
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import shutil
import sys
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path(__file__).with_name("mutants.toml")
PAGE = ROOT / "docs" / "mutants.md"
WORKERS = min(os.cpu_count() or 1, 8)

INTRODUCTION = """# Mutation test

What the ledger and the tests are worth: each line is one small fault put into a copy of the package (`make mutants`,
from [tests/mutants/mutants.toml](../tests/mutants/mutants.toml)), and the first of the claims and tests declared for
that file that noticed. Claims run before tests. An unbroken copy passes all of them.
"""


@dataclass(frozen=True)
class Mutant:
    """One fault: `find` is replaced by `put` in `file`; `breaks` says what that means, `missed` why nothing notices."""

    id: str
    file: str
    breaks: str
    find: str
    put: str
    missed: str = ""


def table() -> tuple[list[Mutant], dict[str, dict[str, list[str]]]]:
    """The mutants, and for each file the claims and tests that declare it."""
    read = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    mutants = [Mutant(id=id, **each) for id, each in read["mutants"].items()]
    return mutants, read["files"]


def main(wanted: list[str]) -> int:
    mutants, files = table()
    chosen = [each for each in mutants if not wanted or each.id in wanted]
    # What the copies import costs seconds each: loaded once here, and inherited by every child.
    import numpy  # noqa: F401
    import pytest  # noqa: F401
    import scipy.stats  # noqa: F401
    import torch

    torch.set_num_threads(1)
    sound = [
        {"claims": _union(files, chosen, "claims"), "tests": []},
        {"claims": [], "tests": _union(files, chosen, "tests")},
    ]
    failures = [each for each in _all([(None, checks) for checks in sound]) if each]
    if failures:
        print(f"an unbroken copy fails: {', '.join(failures)}", file=sys.stderr)
        return 2
    found = _all([(each, files[each.file]) for each in chosen])
    if not wanted:
        PAGE.write_text(page(chosen, found), encoding="utf-8")
    return int(any(not caught and not each.missed for each, caught in zip(chosen, found, strict=True)))


def _union(files: dict[str, dict[str, list[str]]], chosen: list[Mutant], kind: str) -> list[str]:
    return sorted({check for each in chosen for check in files[each.file][kind]})


def _all(jobs: list[tuple[Mutant | None, dict[str, list[str]]]]) -> list[str]:
    """What caught each job, told as it comes; every job has a process of its own, forked from this one."""
    context = multiprocessing.get_context("fork")

    def one(job: tuple[Mutant | None, dict[str, list[str]]]) -> str:
        caught = _forked(context, *job)
        if job[0]:
            print(f"{job[0].id:<24} {caught or 'MISSED'}", flush=True)
        return caught

    with ThreadPoolExecutor(WORKERS) as threads:
        return list(threads.map(one, jobs))


def _forked(context: Any, mutant: Mutant | None, checks: dict[str, list[str]]) -> str:
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=_try, args=(send, mutant, checks))
    child.start()
    send.close()
    try:
        answer = receive.recv() if receive.poll(600) else "does not end"
    except EOFError:
        answer = "the process dies"
    child.kill()
    child.join()
    return answer


def _try(send: Any, mutant: Mutant | None, checks: dict[str, list[str]]) -> None:
    """In the child: breaks a copy, imports it, runs the checks, sends the name of the first that fails."""
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
        copy = Path(folder)
        for name in ("reproflow", "tests", "configs", "docs", "results/baselines"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        if mutant:
            _break(copy / "reproflow" / mutant.file, mutant)
        os.chdir(copy)
        sys.path.insert(0, str(copy))
        sys.dont_write_bytecode = True
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            send.send(_claims(checks["claims"]) or _tests(checks["tests"]))


def _break(path: Path, mutant: Mutant) -> None:
    text = path.read_text(encoding="utf-8")
    if text.count(mutant.find) != 1:
        raise ValueError(f"mutant {mutant.id}: {mutant.find!r} occurs {text.count(mutant.find)} times in {mutant.file}")
    path.write_text(text.replace(mutant.find, mutant.put), encoding="utf-8")


def _claims(ids: list[str]) -> str:
    """The first claim that does not come out as it must, with its case, or nothing."""
    try:
        from reproflow.claims import ledger
        from reproflow.claims.policy import row_ok

        for id in ids:
            bad = [row for row in ledger.run([id]) if not row_ok(row)]
            if bad:
                return f"claim {id}" + (f" ({bad[0]['case']})" if bad[0]["case"] else "")
    except Exception as error:
        return f"import: {type(error).__name__}"
    return ""


class First:
    """A pytest plug-in that keeps the first failure."""

    failed = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid.replace("tests/", "", 1)

    def pytest_collectreport(self, report: Any) -> None:
        self.pytest_runtest_logreport(report)


def _tests(paths: list[str]) -> str:
    import pytest

    if not paths:
        return ""
    first = First()
    arguments = ["-x", "-q", "-p", "no:cacheprovider", *(f"tests/{path}" for path in paths)]
    with contextlib.redirect_stdout(io.StringIO()):
        code = pytest.main(arguments, plugins=[first])
    return f"test {first.failed or code}" if code else ""


def page(mutants: list[Mutant], found: list[str]) -> str:
    """docs/mutants.md."""
    caught = sum(bool(each) for each in found)
    lines = [INTRODUCTION, f"{caught} of {len(mutants)} mutants are caught.\n"]
    lines += ["| file | fault | caught by |", "|---|---|---|"]
    for mutant, by in zip(mutants, found, strict=True):
        said = f"`{by}`" if by else f"**missed**: {mutant.missed or 'no reason known'}"
        lines.append(f"| `{mutant.file}` | {mutant.breaks} | {said} |".replace("\n", " "))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
