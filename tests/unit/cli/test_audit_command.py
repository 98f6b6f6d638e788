"""`reproflow audit` as it is called: which words reach the audit, what is written where, and the exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from repository import schema

from reproflow import cli
from reproflow.auditing.audit import audit
from reproflow.foundation import child_process
from reproflow.foundation.errors import UsageError

LOSS = """
import torch

seen = []


def loss(model, x1, gamma=1.0):
    seen.append((tuple(x1.shape), x1.dtype, gamma))
    t, eps = torch.rand(len(x1)), torch.randn_like(x1)
    s = t.view(-1, 1)
    return {detached}((model(s * x1 + (1 - s) * eps, t) - (x1 - eps)) ** 2).mean()


def sample(model, n):
    seen.append("sampler")
    x = torch.randn(n, 24)
    for k in range(20):
        x = x + model(x, torch.full((n,), k / 20)) / 20
    return x
"""


def called(monkeypatch: pytest.MonkeyPatch, folder: Path, *words: str, detached: str = "") -> tuple[int, list[Any]]:
    """The command in this process, and what the loss was called with."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(child_process, "inside", lambda: True)
    monkeypatch.setattr(child_process, "alive", lambda: None)
    Path("l.py").write_text(LOSS.replace("{detached}", detached))
    kept: list[Any] = []
    passed = {}

    def recorded(loss: Any, shape: tuple[int, ...], **options: Any) -> Any:
        passed.update(options, shape=shape)
        found = audit(loss, shape, **options)
        function = getattr(loss, "func", loss)
        kept.extend(function.__globals__["seen"])
        return found

    monkeypatch.setattr("reproflow.auditing.audit.audit", recorded)
    code = cli.run(["audit", *words])
    return code, [passed, *kept]


def test_words_reach_the_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    """Of a loss without a gradient, which is read at once: a defect, exit 3, and JSON alone on standard output."""
    words = ["l.py:loss:gamma=3", "--shape", "24", "--batch", "6", "--float64", "--strict", "--accept", "clamp, jvp"]
    words += ["--expect", "uniform", "--on", "x1", "--time", "logit_normal", "--path", "cosine", "--data", "0,2"]
    code, (passed, *seen) = called(monkeypatch, tmp_path, *words, "--json", "-", detached="0 * torch.ones(1) * ")
    said = capsys.readouterr()
    assert code == 3
    answer = json.loads(said.out)
    schema("audit").validate(answer)
    assert [each["id"] for each in answer["findings"]] == ["no-gradient"]
    assert answer["process"] == "gaussian"
    assert answer["data"]["range"] == [0.0, 2.0]
    assert {repr(each) for each in seen} == {"((6, 24), torch.float64, 3.0)"}
    expected = passed["expect"]
    assert (expected.weighting, expected.on, expected.path, expected.time) == (
        "uniform",
        "x1",
        "cosine",
        "logit_normal",
    )
    assert (passed["accept"], passed["strict"], passed["shape"]) == (("clamp", "jvp"), True, (24,))


@pytest.mark.slow
@pytest.mark.parametrize("words", [["--json", "a.json", "--html", "a.html"]])
def test_a_sampler_is_run_and_answers_are_written(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    code, (_, *seen) = called(monkeypatch, tmp_path, "l.py:loss", "--shape", "24", "--sampler", "l.py:sample", *words)
    assert code == 0
    assert "sampler" in seen
    assert "exit 0" in capsys.readouterr().out
    answer = json.loads((tmp_path / "a.json").read_text())
    assert answer["sampler"]["verdict"] == "right"
    assert (tmp_path / "a.html").read_text().startswith("<!doctype html>")


def test_a_function_is_refused_what_the_command_refuses() -> None:
    shapes = [(shape, (), "whole numbers above 0") for shape in ((3, 0), (), (2.5,))]
    for shape, accept, says in (*shapes, ((3,), ("time-reverse",), "did you mean")):
        with pytest.raises(UsageError, match=says):
            audit(lambda model, x1: model(x1).mean(), shape, accept=accept)
