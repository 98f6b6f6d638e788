"""The page of a judgement in a browser: every kind has one, it is self-contained, and it says what the JSON says."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest

from reproflow import cli

CASES = [
    ("weighting", ["expr:min(snr, 5)", "--target", "velocity"]),
    ("path", ["expr:1 - t, t"]),
    ("time", ["expr:max(u, 0.2)"]),
    ("divergence", ["l1"]),
]


@pytest.mark.parametrize(("kind", "arguments"), CASES, ids=lambda value: value if isinstance(value, str) else value[0])
@pytest.mark.default_cases(2)
def test_every_kind_has_a_page(kind: str, arguments: list[str], tmp_path: Path) -> None:
    page, answer = tmp_path / "page.html", tmp_path / "answer.json"
    code = cli.run(["check", kind, *arguments, "--html", str(page), "--json", str(answer)])
    found, text = json.loads(answer.read_text()), page.read_text(encoding="utf-8")
    assert code in (0, 3)
    assert f"<code>{html.escape(found['spec'], quote=False)}</code>" in text
    asked = {key: each for key, each in found.items() if isinstance(each, dict) and {"verdict", "reason"} <= set(each)}
    assert asked
    for each in asked.values():
        assert html.escape(each["reason"], quote=False) in html.unescape(text) or each["reason"] in html.unescape(text)
    assert text.count("<svg") == 1
    assert json.loads(html.unescape(re.findall(r"<pre[^>]*>(.*?)</pre>", text, re.DOTALL)[0])) == found
    assert not re.search(r'(?:src|href)="(?!#|data:)', text)


def test_a_page_that_cannot_be_written_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "taken").mkdir()
    assert cli.run(["check", "time", "uniform", "--html", str(tmp_path / "taken")]) not in (0, 3)
    assert "taken" in capsys.readouterr().err
