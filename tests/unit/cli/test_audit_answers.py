"""An audit's answer on the terminal, as JSON and as a page; exit codes; and what of a command line is refused."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from repository import schema
from synthetic_audits import SAMPLED, audited, unread

from reproflow import cli
from reproflow.auditing.findings import LEVELS
from reproflow.cli import audit_html, audit_terminal, common


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (audited(), 0),
        (audited("time-constant"), 0),
        (audited("time-reversed"), 5),
        (audited("time-reversed", accepted=("time-reversed",)), 0),
        (audited("noise-mismatch", accepted=("noise-mismatch",)), 3),
        (audited(accepted=("clamp",)), 0),
        (audited("time-reversed", accepted=("clamp",)), 5),
        (audited("time-reversed", sampler=SAMPLED), 0),
        (audited("time-shift", sampler=SAMPLED), 5),
        (audited("time-reversed", "noise-mismatch", accepted=("time-reversed",)), 3),
        (unread("batch-coupled"), 5),
        (unread(), 5),
        (unread(accepted=("clamp",)), 5),
        (unread("batch-coupled", accepted=("batch-coupled",)), 0),
        (unread("batch-coupled", "clamp", accepted=("batch-coupled",)), 5),
    ],
)
def test_exit_codes(found, code: int) -> None:
    assert found.exit_code == code


@pytest.mark.parametrize(("verdict", "code"), [(0, 0), (3, 3), (5, 5)])
def test_strict_lets_the_verdicts_count(verdict: int, code: int) -> None:
    for strict in (False, True):
        found = audited(strict=strict)
        found.identification.judged["exit_code"] = verdict
        assert found.exit_code == (code if strict else 0)


@pytest.mark.parametrize(("verdict", "code"), [("same", 0), ("cannot", 5)])
def test_what_cannot_be_compared_is_open(verdict: str, code: int) -> None:
    found = audited()
    expected = {"spec": "uniform", "verdict": verdict}
    assert replace(found, identification=replace(found.identification, expected=expected)).exit_code == code


def test_strict_asks_for_a_verdict() -> None:
    for strict, code in ((False, 0), (True, 5)):
        found = audited(strict=strict)
        assert replace(found, identification=replace(found.identification, judged=None)).exit_code == code


@pytest.mark.parametrize(
    "found", [audited(), audited("noise-mismatch", "time-reversed", sampler=SAMPLED), unread("jvp")], ids=str
)
def test_json_keeps_to_its_schema(found, capsys: pytest.CaptureFixture) -> None:
    common.write_json("-", found.as_dict())
    answer = json.loads(capsys.readouterr().out)
    assert list(schema("audit").iter_errors(answer)) == []
    assert answer["exit_code"] == found.exit_code
    broken = {**answer, "findings": [{"id": "x"}]}
    assert list(schema("audit").iter_errors(broken))


def test_the_terminal_has_findings_first_and_fits_a_screen(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    audit_terminal.show(audited(*LEVELS))
    said = capsys.readouterr().out
    lines = said.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    assert lines[1].split()[0] == "defect"
    words = ("path", "time", "target", "coefficient", "weight", "same as", "judged", "draws", "exit 3")
    places = [said.index(f"\n {word} ") for word in words]
    assert places == sorted(places)
    assert "train.py:13: noise (normal 32x3x8x8)" in said
    assert f"and {len(LEVELS) - 6} more" in said


def test_what_is_accepted_or_settled_is_said(capsys: pytest.CaptureFixture) -> None:
    audit_terminal.show(audited("time-reversed", "clamp", accepted=("clamp",), sampler=SAMPLED))
    said = capsys.readouterr().out
    assert re.search(r"^ settled +time-reversed", said, re.MULTILINE)
    assert re.search(r"^ accepted +clamp", said, re.MULTILINE)
    assert "exit 0" in said
    assert "does not occur" not in said


def test_an_accepted_question_that_does_not_occur_is_said(capsys: pytest.CaptureFixture) -> None:
    audit_terminal.show(audited(accepted=("clamp",)))
    said = capsys.readouterr().out
    assert re.search(r"^ accepted +clamp does not occur: leave it out of --accept", said, re.MULTILINE)
    assert "exit 0" in said


@pytest.mark.parametrize("found", [audited("noise-mismatch"), unread("jvp")], ids=["read", "not read"])
def test_the_page_stands_alone_and_says_what_the_json_says(found, tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    audit_html.write(found, target)
    text = target.read_text(encoding="utf-8")
    assert text.count("<svg") == 1
    assert not re.search(r'(?:src|href)="(?!#|data:)', text)
    (answer,) = re.findall(r"<pre[^>]*>(.*?)</pre>", text, re.DOTALL)
    assert json.loads(html.unescape(answer)) == json.loads(json.dumps(found.as_dict()))
    assert found.findings[0].text in text


LOSS = "def loss(model, x1):\n    return model(x1).mean()\n\n\ndef other(a):\n    return a\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["l.py:loss", "--shape", "3,x"], "--shape '3,x' is not the shape of one sample"),
        (["l.py:loss", "--shape", "3,0"], "whole numbers above 0"),
        (["l.py:los", "--shape", "3"], "did you mean 'loss'"),
        (["none.py:loss", "--shape", "3"], "no file none.py"),
        (["l.py:other", "--shape", "3"], "cannot be called as other(model, x1)"),
        (["elbo", "--shape", "3"], "is not FILE.py:FUNCTION; the function is called as loss(model, x1)"),
        (["expr:lam", "--shape", "3"], "is not FILE.py:FUNCTION"),
        (["l.py:loss", "--shape", "3", "--vocab", "9"], "give --vocab and --mask"),
        (["l.py:loss", "--shape", "3", "--mask", "9"], "give --vocab and --mask"),
        (["l.py:loss", "--shape", "3", "--data", "1,0"], "LO below HI"),
        (["l.py:loss", "--shape", "3", "--on", "x1"], "give --expect too"),
        (["l.py:loss", "--shape", "3", "--expect", "min_snrr"], "did you mean 'min_snr"),
        (["l.py:loss", "--shape", "3", "--expect", "elbo", "--on", "noise"], "unknown gaussian target 'noise'"),
        (["l.py:loss", "--shape", "3", "--accept", "time-reverse"], "did you mean 'time-reversed'"),
        (["l.py:loss", "--shape", "3", "--accept", "clamp,noise-mismatch"], "'noise-mismatch' is a defect, and only"),
        (["l.py:loss", "--shape", "3", "--accept", "mask-logit"], "'mask-logit' is a note, and only questions may be"),
        (["l.py:loss", "--shape", "3", "--sampler", "l.py:sample"], "l.py has no function 'sample'"),
        (["l.py:loss", "--shape", "3", "--batch", "1"], "batch"),
    ],
)
def test_a_wrong_command_line_runs_nothing(
    words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("l.py").write_text(f"open('ran', 'w')\n{LOSS}")
    assert cli.run(["audit", *words]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert len(said.splitlines()) <= 3
    assert not Path("ran").exists()
