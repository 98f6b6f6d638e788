"""The page: self-contained, whole, and true to its files."""

from __future__ import annotations

import json
import re
from collections import Counter
from html import unescape
from pathlib import Path

import pandas as pd
import pytest
from html_page import Page
from synthetic_results import claims

from reproflow.analysis.results import load_results
from reproflow.claims import ledger
from reproflow.claims.losses import conversions
from reproflow.reporting import html, inline_figures
from reproflow.reporting.claim_evidence import code
from reproflow.reporting.figures import figures
from reproflow.reporting.html import write_report
from reproflow.reporting.tables import write_tables


def test_page_asks_for_nothing_from_elsewhere(reported: Path) -> None:
    page = Page(reported / "report.html")
    for tag, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, name, value)
    source = (reported / "report.html").read_text()
    assert not re.search(r"@import|url\((?!#)|fetch\(|XMLHttpRequest|import\(", source)
    assert "link" not in {tag for tag, attributes in page.tags if attributes.get("rel") == "stylesheet"}


def test_page_is_well_formed_and_its_ids_are_unique(reported: Path) -> None:
    page = Page(reported / "report.html")
    ids = Counter(attributes["id"] for _, attributes in page.tags if "id" in attributes)
    assert [name for name, n in ids.items() if n > 1] == []
    targets = {a["href"][1:] for tag, a in page.tags if tag in ("a", "use") and (a.get("href") or "").startswith("#")}
    targets |= {(a.get("xlink:href") or "#")[1:] for tag, a in page.tags if tag == "use"} - {""}
    assert targets <= set(ids)


def test_page_shows_every_claim_cell_figure_and_the_provenance(reported: Path) -> None:
    page = Page(reported / "report.html")
    source = (reported / "report.html").read_text()
    for row in claims():
        assert row["title"] in page.text
    for cell in pd.read_csv(reported / "cells.csv")["cell"]:
        assert cell in page.text
    assert sum(tag == "figure" for tag, _ in page.tags) == len(figures())
    assert "made by reproflow figures --config configs/synthetic.yaml losses , fingerprint feedfacefeed" in page.text
    for fact in ("snakemake --cores all --configfile configs/synthetic.yaml", "torch 2.6.0"):
        assert fact in page.text
    assert "<b>not markup</b>" not in source
    assert "&lt;b&gt;not markup&lt;/b&gt;" in source
    assert "<of>" not in source


def test_figure_list_of_the_page_is_the_registry() -> None:
    assert set(html.FIGURES) == set(figures())


def test_a_report_within_the_clone_links_to_the_code() -> None:
    (entry,) = ledger.find(["LOSS-5"])
    folder = Path(html.__file__).parents[2] / "results" / "some"
    file, _, line = code(entry, folder)["href"].partition("#")
    assert (folder / file).resolve() == Path(conversions.__file__)
    assert Path(conversions.__file__).read_text().splitlines()[int(line[1:]) - 1].startswith("@claim")
    assert code(entry, folder)["href"].startswith("../../reproflow/")


def test_page_compares_along_every_noun_that_varies(reported: Path) -> None:
    text = Page(reported / "report.html").text
    comparison = load_results(reported).comparison()
    for axis, words in (("weighting", "Weightings"), ("time", "Time laws"), ("path", "Paths")):
        assert f"{words} compared" in text
        blocks = comparison[(comparison["axis"] == axis) & (comparison["verdict"] == "reference")]
        assert len(blocks)
    assert "Targets compared" not in text
    worse = comparison.query("axis == 'path' and path == 'cosine' and weighting == 'fm'").iloc[0]
    assert worse["verdict"] == "worse"
    assert f"+{worse['difference']:.3f}" in text


def test_page_ranks_weightings_and_says_what_the_fid_is_of(reported: Path) -> None:
    """The tables ranking and fid_by_weighting are on the page: values of a row in its row, or in the line above."""
    page, _ = Page(reported / "report.html"), write_tables(reported)
    assert ("section", {"id": "ranking"}) in page.tags
    source = (reported / "report.html").read_text()
    section = source[source.index('<section id="ranking">') :].split("</section>")[0]
    by_weighting, by_metric = section.split("<h3>By every metric</h3>")
    for name, part in (("fid_by_weighting", by_weighting), ("ranking", by_metric)):
        above, *shown = (words(row) for row in re.split("<tr", part)[1:])
        above |= words(part.split("<table")[0])
        rows = [line for line in (reported / "tables" / f"{name}.md").read_text().splitlines() if line.startswith("|")]
        assert len(shown) == len(rows) - 2
        for row, own in zip(rows[2:], shown, strict=True):
            assert words(row.replace("*", "").replace("\\", "").replace("|", " ")) <= own | above | {"–"}, row
    assert "digits8 gaussian: class-conditional MLP" in page.text
    assert "N = 5000 samples, features digits_cnn" in page.text
    assert "Shi & Titsias report 1.92 on ImageNet 64 x 64" in page.text


def words(text: str) -> set[str]:
    """The words of a text without its tags and the marks between them."""
    return {word.strip(",.:;") for word in unescape(re.sub(r"<[^>]*>", " ", text)).split()} - {"·", ""}


def test_page_says_of_equal_objectives_what_the_table_says(reported: Path) -> None:
    text = Page(reported / "report.html").text
    table = load_results(reported).equivalence()
    assert "Equal objectives: do they agree?" in text
    fm = table[(table["weighting_a"] == "fm") & (table["dataset"] == "eight_gaussians")]
    counts = fm["verdict"].value_counts()
    assert f"{len(fm)} comparisons: 1 identical and {counts['differ']} differ" in text
    for row in table.to_dict("records"):
        if row["verdict"] in ("not separated", "differ"):
            decimals = {"nll_nats": 3, "bound_bits_per_dim": 4}.get(row["metric"], 2)
            assert f"{row['difference']:+.{decimals}f}".replace("-", "−") in text


def test_page_is_small_enough_to_send(reported: Path) -> None:
    assert (reported / "report.html").stat().st_size < 3_000_000


def test_head_counts_are_those_of_the_files(reported: Path) -> None:
    text = Page(reported / "report.html").text
    cells, ledger = pd.read_csv(reported / "cells.csv"), pd.DataFrame(claims())
    decided = ledger[ledger["verdict"].isin(["supported", "refuted"])]
    surprises = decided[decided["verdict"] != decided["expected"]]
    right = decided[decided["verdict"] == decided["expected"]]["verdict"].value_counts()
    said = (
        f"The ledger has {len(ledger)} rows: {right['supported']} supported and {right['refuted']} refuted as expected"
    )
    assert said in text
    assert f"{len(surprises)} claim other than expected: LOSS-2" in text
    assert f"Of {len(cells)} training cells, {(cells['status'] == 'ok').sum()} ended well" in text


def test_large_figures_go_in_as_png(reported_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inline_figures, "LARGEST_SVG", 60_000)
    large = [name for name in figures() if (reported_copy / "figures" / f"{name}.svg").stat().st_size > 60_000]
    images = [a for tag, a in Page(write_report(reported_copy)).tags if tag == "img"]
    assert 0 < len(images) == len(large)
    assert all((image["src"] or "").startswith("data:image/png;base64,") for image in images)


def test_a_comparison_with_a_baseline_has_its_section(reported_copy: Path) -> None:
    """Rows of regression.json stand in the page, the worse one marked; without the file there is no such section."""
    assert "Regression</h2>" not in write_report(reported_copy).read_text()
    row = {"what": "digits8 masked, mean of all", "metric": "fid_test", "cells": 5, "before": 0.39, "after": 0.44}
    row |= {"difference": 0.05, "margin": 0.02, "p": 0.028, "alarm_at": None, "verdict": "worse"}
    row |= {"low": 0.02, "high": None, "detectable": 0.06}
    found = {"baseline": "demo", "run": "demo", "paired": True, "seeds": [3, 3], "alpha": 0.05, "rows": [row]}
    found |= {"new": [], "vanished": ["toy fm"], "broken": [], "incomparable": [], "exit_code": 4}
    (reported_copy / "regression.json").write_text(json.dumps(found))
    page = write_report(reported_copy).read_text()
    assert "digits8 masked, mean of all" in page
    assert "toy fm" in page
    (reported_copy / "regression.json").write_text(json.dumps({"exit_code": 5, "reason": "device cuda against cpu"}))
    assert "device cuda against cpu" in write_report(reported_copy).read_text()


def test_bounds_on_trained_networks_are_told_where_there_are_any(reported_copy: Path) -> None:
    write_report(reported_copy)
    page = Page(reported_copy / "report.html")
    assert ("section", {"id": "cascade"}) in page.tags
    for words in ("Theorem 2: integral of gaps | weighted excess loss", "4 ± 0.1", "supported", "not representable"):
        assert words in page.text, words
    (reported_copy / "cascade.csv").unlink()
    write_report(reported_copy)
    assert ("section", {"id": "cascade"}) not in Page(reported_copy / "report.html").tags
