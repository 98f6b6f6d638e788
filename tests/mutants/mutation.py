"""Breaks the package on purpose, one small fault at a time, and reports which claim or test notices.

Each mutant of `faults/*.toml` replaces one text of one file in a copy of the package. The copy runs the claims, then
the tests, that its table declares, and stops at the first that fails. Before anything is broken, all of these have to
pass on an unbroken copy. Results are kept as they come in build/mutants.jsonl, under digests of the fault and of what
its outcome depends on, so that a run that was stopped goes on, and nothing is run twice on one tree.

    python tests/mutants/mutation.py [ID ..] [--jobs N] [--again] [--unchecked] [--page]

Without ids all mutants are run (`make mutants`) and docs/mutants.md is written. `--again` runs what has a result, too;
`--unchecked` takes it that an unbroken copy passes, to try new faults; `--page` runs nothing and writes the page from
the newest results of these faults, whatever the tree, and from the committed page for those that have none here. Exits
1 where a mutant is missed that has no reason, 2 where an unbroken copy fails.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

import faults
import outcomes
import pytest
from faults import ROOT, Checks, Mutant
from outcomes import Outcome

COPIED = ("reproflow", "tests", "configs", "docs", "benchmarks", "results/baselines", "workflow", ".ci")
SLOW_TOO = ("-m", "not gpu and not slurm and not network and not browser")
"""A case of a test that is named with its parameters is run though it is slow."""
LONGEST = 300
"""Seconds of processor time after which a mutant counts as one that does not end; by the clock, ten times that."""


def main(arguments: list[str]) -> int:
    given = _arguments(arguments)
    mutants = faults.read().mutants
    if given.page:
        before = outcomes.committed(mutants)
        return outcomes.write_page(mutants, {each.id: outcomes.newest(each) or before.get(each.id) for each in mutants})
    chosen = [each for each in mutants if not given.ids or each.id in given.ids]
    if unknown := set(given.ids) - {each.id for each in chosen}:
        print(f"no such mutants: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    kept = {each.id: None if given.again else outcomes.kept(each) for each in chosen}
    todo = [each for each in chosen if kept[each.id] is None]
    with tempfile.TemporaryDirectory() as folder:
        sound, unseen = Path(folder) / "sound", [] if given.unchecked else _unseen(chosen)
        if todo or unseen:
            _copy(ROOT, sound)
            _load()
        if failures := _unbroken(sound, unseen, given.jobs):
            print(f"an unbroken copy fails: {', '.join(failures)}", file=sys.stderr)
            return 2
        found = kept | {each.id: outcome for each, outcome in zip(todo, _all(sound, todo, given.jobs), strict=True)}
    missed = [each.id for each in chosen if not found[each.id].caught and not each.missed]
    print(f"{len(todo)} run now, {len(chosen) - len(todo)} before; missed without a reason: {missed or 'none'}")
    return int(bool(missed)) if given.ids else max(outcomes.write_page(mutants, found), int(bool(missed)))


def _arguments(given: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ids", nargs="*")
    parser.add_argument("--jobs", type=int, default=min(os.cpu_count() or 1, 8))
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--unchecked", action="store_true")
    parser.add_argument("--page", action="store_true")
    return parser.parse_args(given)


def _load() -> None:
    """What the copies import costs seconds each: loaded once here, and inherited by every child."""
    import hypothesis  # noqa: F401
    import jinja2  # noqa: F401
    import jsonschema  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import pandas  # noqa: F401
    import pydantic  # noqa: F401
    import rich.console  # noqa: F401
    import scipy.interpolate
    import scipy.optimize
    import scipy.stats  # noqa: F401
    import sklearn.datasets  # noqa: F401
    import torch
    import typer  # noqa: F401
    import yaml  # noqa: F401

    torch.set_num_threads(1)
    # Forward derivatives and optimisers load torch's compiler at their first use.
    torch.func.jvp(torch.sin, (torch.ones(1),), (torch.ones(1),))
    torch.optim.SGD([torch.zeros(1, requires_grad=True)])


def _copy(source: Path, target: Path) -> Path:
    for name in COPIED:
        shutil.copytree(source / name, target / name, ignore=shutil.ignore_patterns(".pytest_cache"))
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy2(source / name, target)
    return target


def _unseen(chosen: list[Mutant]) -> list[tuple[str, str]]:
    """The checks (kind, name) of these mutants that are not known to pass on this tree without a fault."""
    declared = {("claims", claim) for each in chosen for claim in each.checks.claims}
    declared |= {("tests", test) for each in chosen for test in each.checks.tests}
    return sorted(check for check in declared if not outcomes.passed(*check))


def _unbroken(sound: Path, unseen: list[tuple[str, str]], jobs: int) -> list[str]:
    """Those of these checks that fail without a fault. Each that passes is kept as it comes.

    They leave compiled modules in the copy, which the broken copies take over.
    """

    def one(check: tuple[str, str]) -> str:
        kind, name = check
        failed = _forked(sound, Checks(**{kind: [name]}), longest=3600)
        if not failed:
            outcomes.keep_passed(kind, [name])
        print(f"unbroken {name:<60} {failed or 'passes'}", flush=True)
        return failed

    with ThreadPoolExecutor(jobs) as threads:
        return [failed for failed in threads.map(one, unseen) if failed]


def _all(sound: Path, mutants: list[Mutant], jobs: int) -> list[Outcome]:
    """What became of each, told and kept as it comes; every one has a process of its own, forked from this one."""

    def one(mutant: Mutant) -> Outcome:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            copy = _copy(sound, Path(folder) / "broken")
            path = copy / "reproflow" / mutant.file
            path.write_text(faults.broken(path.read_text(encoding="utf-8"), mutant), encoding="utf-8")
            caught = _forked(copy, mutant.checks)
        seconds = time.monotonic() - began
        print(f"{mutant.id:<28} {caught or 'MISSED'}  ({seconds:.0f} s)", flush=True)
        return outcomes.keep(mutant, caught, seconds)

    with ThreadPoolExecutor(jobs) as threads:
        return list(threads.map(one, mutants))


def _forked(copy: Path, checks: Checks, longest: float = LONGEST) -> str:
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=_try, args=(send, copy, checks, longest))
    child.start()
    send.close()
    try:
        answer = str(receive.recv()) if receive.poll(10 * longest) else "does not end"
    except EOFError:
        child.join()
        answer = "does not end" if child.exitcode == -signal.SIGXCPU else "the process dies"
    child.kill()
    child.join()
    return answer


def _try(send: Connection, copy: Path, checks: Checks, longest: float) -> None:
    """In the child: imports the copy, runs the checks, sends the name of the first that fails.

    A busy machine must not make a fault look like one that was noticed: the limit is on processor time.
    """
    resource.setrlimit(resource.RLIMIT_CPU, (int(longest), int(longest) + 10))
    os.chdir(copy)
    sys.path.insert(0, str(copy))
    # What a test starts as a command is the broken copy too.
    os.environ["PYTHONPATH"] = str(copy)
    # What is compiled goes with the copies.
    os.environ.pop("PYTHONPYCACHEPREFIX", None)
    sys.pycache_prefix = None
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        send.send(_claims(checks.claims) or _tests(checks.tests))


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

    def pytest_runtest_logreport(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid.replace("tests/", "", 1)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.pytest_runtest_logreport(report)


def _tests(paths: list[str]) -> str:
    for named, group in itertools.groupby(paths, key=lambda path: path.endswith("]")):
        first = First()
        arguments = ["-x", "-q", "-p", "no:cacheprovider", *(f"tests/{path}" for path in group)]
        with contextlib.redirect_stdout(io.StringIO()):
            code = pytest.main([*arguments, *(SLOW_TOO if named else ())], plugins=[first])
        if code:
            return f"test {first.failed or code}"
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
