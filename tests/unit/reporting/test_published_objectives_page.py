"""Published objectives on their page and in the report, and `reproflow check field`."""

from __future__ import annotations

import html
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reproflow.cli import check
from reproflow.foundation.errors import ReproflowError, UsageError
from reproflow.judge import published_objectives as gallery
from reproflow.judge import published_objectives_table
from reproflow.reporting import published_objectives as table
from reproflow.reporting.html import write_report
from reproflow.reporting.sparklines import DECADES, HEIGHT, PAD, spark

ENTRIES = {entry.key: entry for entry in gallery.entries()}


class TestWords:
    def test_rising(self) -> None:
        def said(rises: str, low: str, high: str) -> str:
            return table.rising({"rises": rises, "t_low": low, "t_high": high})

        assert said("", "", "") == "–"
        assert said("-18.4205 -3.30778", "0.0001", "0.16") == "below −3.31"
        assert said("1.9e-07 18.4205", "0.5", "0.9999") == "above 0"
        assert said("-18.4205 18.4205", "0.0001", "0.9999") == "everywhere"
        assert said("-3 -1, 1 2.5", "0.1", "0.8") == "−3 to −1, 1 to 2.5"

    @pytest.mark.parametrize(
        ("minorant", "said"),
        [("", "–"), ("1", "100 %"), ("0.99987", ">99.5 %"), ("0.71", "71 %"), ("2e-11", "<0.01 %")],
    )
    def test_nearly_all_is_not_all(self, minorant: str, said: str) -> None:
        assert table.share({"minorant": minorant}) == said

    def test_summary_counts(self, published_table: published_objectives_table.Field) -> None:
        text = table.summary(list(published_table.rows.values()))
        certified = sum(row["bound"] == "certified" for row in published_table.rows.values())
        assert text.startswith(f"Of {len(ENTRIES)} objectives, {certified} are certified")

    def test_equal_names_no_more_than_it_must(self, published_table: published_objectives_table.Field) -> None:
        said = table.equal(published_table.rows["fm"], published_table.rows)
        assert said.startswith("v-prediction, SNR + 1; SiT, GVP path; sigma_sqrt on x1; ")
        assert said.endswith(" more")
        assert table.equal(published_table.rows["jit"] | {"same": "", "registered": ""}, published_table.rows) == "–"

    def test_a_spark_breaks_where_there_is_nothing_and_stays_inside(self) -> None:
        points = [(-8.0, 9.0), (-4.0, 1.0), (0.0, float("nan")), (4.0, -1.0), (8.0, float("-inf"))]
        root = ElementTree.fromstring(spark(points, [(-30.0, -6.0), (9.0, 12.0)], False, "a < b"))
        lines = [each.attrib["points"] for each in root if each.tag.endswith("polyline")]
        assert len(lines) == 4, "two axes and two pieces"
        heights = [float(pair.split(",")[1]) for line in lines[2:] for pair in line.split()]
        assert (min(heights), max(heights)) == (PAD, HEIGHT - PAD)
        assert heights[1] == pytest.approx(PAD + (HEIGHT - 2 * PAD) * (DECADES - 1) / (2 * DECADES), abs=0.05)
        assert len([each for each in root if each.tag.endswith("rect")]) == 1
        assert root.attrib["aria-label"] == "a < b"


class TestCommand:
    @pytest.mark.parametrize(("bound", "code"), [("certified", 0), ("not_representable", 3)])
    def test_it_judges_again_and_compares(
        self, bound: str, code: int, published_table: published_objectives_table.Field, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = published_objectives_table.Field(
            "", published_table.rows | {"fm": published_table.rows["fm"] | {"bound": bound}}
        )
        monkeypatch.setattr(published_objectives_table, "read", lambda: other)
        answer = CliRunner().invoke(check.app, ["field", "fm"])
        assert answer.exit_code == code
        assert "Flow matching, OT path" in answer.stdout
        assert ("fm: bound is 'certified'" in answer.output) == (code == 3)

    @pytest.mark.parametrize("arguments", [["edm", "--refresh"], ["no-such-objective"]])
    def test_bad_usage(self, arguments: list[str]) -> None:
        answer = CliRunner().invoke(check.app, ["field", *arguments])
        assert isinstance(answer.exception, UsageError)


def test_the_report_shows_the_field(reported: Path, published_table: published_objectives_table.Field) -> None:
    source = (reported / "report.html").read_text()
    section = html.unescape(source[source.index('<section id="field">') :])
    for row in published_table.rows.values():
        assert f"<summary>{row['name']}</summary>" in section
        assert row["source"] in section
    assert section.count("<svg") == len(published_table.rows)
    assert published_table.provenance in section


def test_a_report_without_the_table_says_so(reported_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ReproflowError(
            "published_objectives.csv cannot be read: No such file; run: reproflow check field --refresh"
        )

    monkeypatch.setattr(table, "content", missing)
    source = write_report(reported_copy).read_text()
    assert '<section id="field">' not in source
    assert "published_objectives.csv cannot be read" in source
