"""Limits of user code: processor time after the imports, time by the clock, memory; and those of expressions."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from reproflow import cli, judge
from reproflow.foundation import child_process, code_limits
from reproflow.foundation.errors import UsageError

FILE = """
import time, threading
import numpy as np
import torch
def loops(t, lam):
    while True: pass
def loops_in_torch(t, lam):
    while True: torch.exp(t)
def recurs(t, lam): return recurs(t, lam)
def sleeps(t, lam): time.sleep(10**6)
def waits(t, lam): threading.Event().wait()
def list_(t, lam):
    held = []
    while True: held.append(bytearray(10**7))
def doubles(t, lam):
    while True: t = torch.cat([t, t])
def array(t, lam): return np.zeros(10**13)
def tensor(t, lam): return torch.zeros(10**13)[: len(t)]
def text(t, lam): return len("a" * 10**13)
def honest(t, lam): return 1 + torch.zeros(10**6)[: len(t)].sum() + t
def rests(t, lam):
    time.sleep(0.01)
    return 1 + t
"""


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(FILE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "word"),
    [
        ("loops", "did not come back within 2 s and was stopped; look for a loop"),
        ("loops_in_torch", "did not come back within 2 s and was stopped; look for a loop"),
        ("recurs", "raised RecursionError"),
        ("sleeps", "within 20 s by the clock and was stopped, with less than 2 s of processor time: it sleeps"),
        ("waits", "within 20 s by the clock"),
        ("list_", "raised MemoryError"),
        ("doubles", "raised RuntimeError"),
        ("array", "Unable to allocate"),
        ("tensor", "can't allocate memory"),
        ("text", "raised MemoryError"),
    ],
)
def test_what_is_ended(
    function: str, word: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(code_limits.TIME, "2")
    monkeypatch.setenv(code_limits.MEMORY, "1")
    assert cli.run(["check", "weighting", f"own.py:{function}", "--json", "-"]) == 2
    said = capfd.readouterr()
    assert word in said.err
    assert said.out == ""
    assert len(said.err.strip().splitlines()) <= 3
    if "emory" in word or function in ("doubles", "array"):
        assert "It may take 1 GiB of memory; REPROFLOW_MEMORY_LIMIT" in said.err


@pytest.mark.slow
@pytest.mark.parametrize("function", ["honest", "rests"])
def test_what_goes_on(function: str, capfd: pytest.CaptureFixture[str]) -> None:
    """The second sleeps longer than its limit of processor time, which it does not use."""
    assert cli.run(["check", "weighting", f"own.py:{function}", "--json", "-"]) in (0, 3)
    assert '"bound"' in capfd.readouterr().out


KINDS = [
    lambda: judge.weighting("expr:2 + sin(300*t)"),
    lambda: judge.weighting("elbo", path="expr:t, 1 - t"),
    lambda: judge.weighting("elbo", time="expr:u**2"),
    lambda: judge.path("expr:t, 1 - t"),
    lambda: judge.time("expr:u**2"),
    lambda: judge.divergence("expr:(a - b)**2"),
]


@pytest.mark.parametrize("judged", KINDS)
def test_an_expression_has_a_limit_in_any_thread(judged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(code_limits.TIME, "1e-9")
    found: list[BaseException] = []

    def ask() -> None:
        try:
            judged()
        except UsageError as error:
            found.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert "was not judged within 1e-09 s of processor time" in str(found[0])


def test_a_budget_counts_its_own_thread_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(code_limits.TIME, "0.05")
    budget, end = code_limits.Budget(), time.process_time() + 0.2

    def busy() -> None:
        while time.process_time() < end:
            pass

    thread = threading.Thread(target=busy)
    thread.start()
    thread.join()
    budget.ask("the weighting")
    busy_until = time.thread_time() + 0.1
    while time.thread_time() < busy_until:
        pass
    with pytest.raises(UsageError, match=r"the weighting was not judged within 0\.05 s"):
        budget.ask("the weighting")


def test_processor_time_is_what_ends_a_child() -> None:
    """Far under ten times as long by the clock, in which it could not even start."""
    with pytest.raises(UsageError, match=r"w\.py:f did not come back within 0\.001 s and was stopped; look for a loop"):
        child_process.run(["list"], "w.py:f", seconds=0.001)


@pytest.mark.parametrize(
    ("said", "variable", "limit"),
    [("0", code_limits.TIME, code_limits.seconds), ("much", code_limits.MEMORY, code_limits.gibibytes)],
)
def test_a_limit_that_is_none(said: str, variable: str, limit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, said)
    with pytest.raises(UsageError, match=f"{variable}='{said}'"):
        limit()


def test_memory_is_named_through_causes() -> None:
    outer = UsageError("weighting 'mine' raised it")
    outer.__cause__ = MemoryError()
    assert "8 GiB" in code_limits.cure(outer)
    assert code_limits.cure(UsageError("another")) == ""
