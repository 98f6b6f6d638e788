"""An audit's answer part by part: JSON under its own names, words as they are counted, and what a sampler adds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic_audits import SAMPLED, audited

from reproflow.auditing.plain_values import plain
from reproflow.auditing.reading import Argument
from reproflow.cli import audit_html, audit_terminal, audit_words

WRONG = SAMPLED | {
    "verdict": "wrong",
    "settled": [],
    "findings": [{"id": "sampler-mismatch", "text": "the data do not come out", "evidence": "mean 1 for 0"}],
}


def test_what_a_sampler_does_wrong_is_a_finding() -> None:
    found = audited(sampler=WRONG)
    assert found.exit_code == 3
    assert [each.id for each in found.findings] == ["sampler-mismatch"]


@pytest.mark.parametrize(("code", "exits"), [(0, 0), (3, 3), (5, 5)])
def test_strict_asks_for_the_verdict(code: int, exits: int) -> None:
    for strict in (False, True):
        found = audited(strict=strict)
        found.identification.judged.update(exit_code=code)
        assert found.exit_code == (exits if strict else 0)


def test_json_holds_what_was_read() -> None:
    """Each part under its own name, in Python's own numbers."""
    found = audited("clamp", accepted=("clamp",), data=(0.0, 1.0), sampler=SAMPLED)
    form = replace(found.reading.form, value_gap=0.5)
    read = replace(found.reading, calls=3, graded=1, coupled=True, limits=(np.float32(2),), form=form)
    answer = replace(found, reading=read).as_dict()
    assert answer["process"] == "gaussian"
    assert (answer["calls"]["count"], answer["calls"]["graded"], answer["evaluations"]) == (3, 1, 105)
    assert (answer["coupled"], answer["accepted"], answer["data"]["range"]) == (True, ["clamp"], [0.0, 1.0])
    assert answer["loss"] == {"form": "squared", "profile": [], "value_gap": 0.5}
    assert answer["target"]["name"] == "velocity"
    (finding,) = answer["findings"]
    assert finding == {"id": "clamp", "level": "question", "text": "about clamp", "evidence": "train.py:13"}
    assert audited("noise-mismatch").as_dict()["findings"][0]["level"] == "defect"
    assert type(answer["limits"][0]) is float
    assert plain((np.arange(2), [np.bool_(True)])) == [[0, 1], [True]]


def test_the_terminal_shows_numbers_and_evidence(capsys: pytest.CaptureFixture) -> None:
    audit_terminal.show(audited("noise-mismatch"))
    said = capsys.readouterr().out
    for words in ("x 32x3x8x8: state", "[train.py:13]", "1 at -8, 0.135 at -4", "bound certified"):
        assert words in said


def test_words_are_those_of_a_reader() -> None:
    """The graded call and arguments are counted from one; the ends of a ratio, and what a verdict is of, are named."""
    found = audited()
    read = replace(found.reading, calls=3, graded=1, arguments=(Argument("arg0", "state", (32, 8)),))
    assert "3 calls, of which number 2 counts" in audit_words.summary(replace(found, reading=read))
    ratio = {"noise": 2.0, "middle": 1.0, "data": 0.5}
    expected = {"spec": {"weighting": "edm"}, "verdict": "different", "ratio": ratio}
    named = replace(found.identification, expected=expected, judged={**found.identification.judged, "by": "table"})
    not_run = {**SAMPLED, "verdict": "not run", "reason": "why", "steps": None}
    words = dict(audit_words.parts(replace(found, reading=read, identification=named, sampler=not_run)))
    assert words["input"] == "argument 1 32x8: state"
    assert words["expected"] == "edm: different; measured/stated: 2 at the noise end, 1 at λ = 0, 0.5 at the data end"
    assert words["judged"].endswith("bound certified (from the measured table)")
    assert words["sampler"] == "not run: why"


def test_the_page_says_what_was_accepted_and_how_it_ends(tmp_path: Path) -> None:
    found = audited("clamp", "jvp", accepted=("clamp",))
    audit_html.write(found, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "exit code 5:" in text
    assert text.count(">accepted<") == 1
    assert text.count(">question<") == 1
