"""The page: self-contained, whole, true to its files, and honest about what is missing."""

from __future__ import annotations

import json
import re
from collections import Counter
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from synthetic_results import CLAIM_COLUMNS, claims, write_csv

from reproflow.claims import ledger
from reproflow.claims.losses import conversions
from reproflow.foundation.errors import VerdictError
from reproflow.reporting import html, plates
from reproflow.reporting.figures import figures
from reproflow.reporting.gate import judge
from reproflow.reporting.html import write_report
from reproflow.reporting.ledger import DECADES, code, groups, place, said
from reproflow.reporting.results import load_results
from reproflow.reporting.summary import gate_state
from reproflow.reporting.tables import claims_table, write_tables

INPUTS = ("cells.csv", "claims.csv", "curves.csv", "timings.csv", "provenance.json", "config.json")


class Page(HTMLParser):
    """The parts of a page that tests look at."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


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


def test_the_ledger_has_one_row_a_claim_and_tier_and_keeps_every_case(copy: Path) -> None:
    first = claims()[0]
    cases = [first | {"id": "ST-9", "case": f"case_{i}", "statistic": 1e-14 * i} for i in range(9)]
    rows = [*claims(), *cases, first | {"id": "ST-9", "case": "odd_one", "verdict": "refuted", "statistic": 0.3}]
    write_csv(copy / "claims.csv", CLAIM_COLUMNS, rows)
    shown = {
        (row["id"], row["tier"]): row for row in groups(claims_table(load_results(copy).claims).to_dict("records"))
    }
    assert set(shown) == {(row["id"], row["tier"]) for row in rows}
    many = shown["ST-9", "exact"]
    assert [case["case"] for case in many["cases"]] == [*(f"case_{i}" for i in range(9)), "odd_one"]
    assert (many["verdict"], many["status"]) == ("9 supported, 1 refuted", "surprise")
    assert shown["E04", "exact"]["status"] == "as expected"
    assert shown["LOSS-1", "mc"]["status"] == "undecided"
    assert shown["E25", "exact"]["status"] == "nothing to compute"
    page = Page(write_report(copy))
    for row in rows:
        assert row["case"] in page.text
        assert row["reason"][1:] in page.text
    assert f"The ledger has {len(rows)} rows" in page.text


def test_the_ledger_can_be_filtered_by_source_family_and_status(reported: Path) -> None:
    page = Page(reported / "report.html")
    rows = {a["id"]: a for tag, a in page.tags if tag == "tr" and a.get("id", "").startswith("claim-")}
    assert rows["claim-LOSS-1-mc"]["data-status"] == "undecided"
    assert {a["data-family"] for a in rows.values()} == {"LOSS", "E"}
    assert rows["claim-LOSS-1"]["data-source"].split("|") == ["002 FM and DM 3", "004 loss formulation"]
    own = [a["data-key"] for tag, a in page.tags if tag == "select" and a["data-filters"] == "claims-table"]
    assert own == ["source", "family", "status"]


def test_a_claim_shows_its_statement_and_names_its_code(reported: Path) -> None:
    text = Page(reported / "report.html").text
    assert "Proof idea." in text
    assert "reproflow/claims/losses/matching.py:" in text


def test_a_report_within_the_clone_links_to_the_code() -> None:
    (entry,) = ledger.find(["LOSS-5"])
    folder = Path(html.__file__).parents[2] / "results" / "some"
    file, _, line = code(entry, folder)["href"].partition("#")
    assert (folder / file).resolve() == Path(conversions.__file__)
    assert Path(conversions.__file__).read_text().splitlines()[int(line[1:]) - 1].startswith("@claim")
    assert code(entry, folder)["href"].startswith("../../reproflow/")


def test_what_is_said_of_a_case_ends_where_its_controls_begin() -> None:
    row = {"reason": "gap 1e-16; no control: none; control L1 loss: refuted at 0.3", "control": "L1 loss"}
    assert said(row) == "gap 1e-16; no control: none"
    assert said(row | {"control": ""}) == row["reason"]
    assert said({"reason": "control L1 loss: refuted at 0.3", "control": "prior;L1 loss"}) == ""


@pytest.mark.parametrize(("value", "decade"), [(1e-17, -17), (1e-12, -12), (0.1, -1), (1.0, 0), (1e7, 7)])
def test_evidence_lies_on_a_logarithmic_axis(value: float, decade: int) -> None:
    low, high = DECADES
    assert place(value) == pytest.approx((decade - low) / (high - low))


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (-3, 0), (1e-30, 0), ("inf", 1), (1e9, 1), ("", None)])
def test_evidence_beyond_the_axis_lies_at_its_ends(value: object, expected: float | None) -> None:
    assert place(value) == expected
    assert place(float("nan")) is None


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


@pytest.mark.parametrize(
    ("keep", "cells_ok", "state"),
    [
        (("supported", "refuted", "not_applicable"), True, "passes"),
        (("supported", "refuted", "not_applicable"), False, "fails"),
        (("supported", "inconclusive"), True, "undecided"),
        ((), True, "undecided"),
    ],
)
def test_gate_state(copy: Path, keep: tuple[str, ...], cells_ok: bool, state: str) -> None:
    rows = [row for row in claims() if row["verdict"] in keep and row["id"] != "LOSS-2"]
    write_csv(copy / "claims.csv", CLAIM_COLUMNS, rows)
    read = load_results(copy)
    if cells_ok:
        read.cells["status"] = "ok"
    found, reasons = gate_state(read, claims_table(read.claims))
    assert found == state
    assert bool(reasons) == (state != "passes")


def test_a_control_without_effect_fails_the_gate(copy: Path) -> None:
    rows = [row for row in claims() if row["id"] == "LOSS-10"]
    write_csv(copy / "claims.csv", CLAIM_COLUMNS, [rows[0] | {"control_verdict": "supported"}])
    read = load_results(copy)
    read.cells["status"] = "ok"
    assert gate_state(read, claims_table(read.claims))[0] == "fails"


def test_a_bound_that_a_network_contradicts_fails_the_gate(copy: Path) -> None:
    right = [row for row in claims() if row["verdict"] == row["expected"]]
    write_csv(copy / "claims.csv", CLAIM_COLUMNS, right)
    cells = pd.read_csv(copy / "cells.csv")
    cells[cells["status"] == "ok"].to_csv(copy / "cells.csv", index=False)
    judge(copy)
    rows = pd.read_csv(copy / "cascade.csv")
    rows.loc[rows["at"] == "simple", ["value", "verdict"]] = [9.0, "refuted"]
    rows.to_csv(copy / "cascade.csv", index=False)
    with pytest.raises(VerdictError, match=r"1 bound contradicted by a network: .* weighted_sum simple"):
        judge(copy)
    assert "1 bound contradicted by a network" in Page(write_report(copy)).text


@pytest.mark.parametrize("damage", ["gone", "empty", "cut", ""])
def test_a_cascade_that_is_asked_for_and_cannot_be_read_leaves_the_gate_undecided(copy: Path, damage: str) -> None:
    write_csv(copy / "claims.csv", CLAIM_COLUMNS, [row for row in claims() if row["verdict"] == row["expected"]])
    config, path = json.loads((copy / "config.json").read_text()), copy / "cascade.csv"
    (copy / "config.json").write_text(json.dumps(config | {"cascade": {"images": 16}}))
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes({"empty": b"", "cut": content[:30], "": content}[damage])
    read = load_results(copy)
    read.cells["status"] = "ok"
    state, reasons = gate_state(read, claims_table(read.claims))
    assert state == ("undecided" if damage else "passes")
    assert bool(damage) == any("cascade.csv" in reason for reason in reasons)


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("damage", ["gone", "empty", "cut"])
def test_page_renders_and_names_what_is_broken(copy: Path, name: str, damage: str) -> None:
    path = copy / name
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(b"" if damage == "empty" else content[: len(content) * 2 // 3 - 1])
    text = Page(write_report(copy)).text
    assert "Missing, or broken and left out" in text
    assert name in text
    assert "How to read a verdict" in text


def test_page_of_an_empty_folder_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "timings.csv").touch()
    text = Page(write_report(tmp_path)).text
    assert "timings.csv : empty" in text
    for name in (*(each for each in INPUTS if each != "timings.csv"), *(f"figures/{figure}" for figure in figures())):
        assert f"{name} : not there" in text
    assert "There is no ledger of claims." in text
    assert "passes" not in text


def test_a_clean_run_misses_nothing(reported: Path) -> None:
    assert not [
        attributes for _, attributes in Page(reported / "report.html").tags if attributes.get("id") == "missing"
    ]


def test_large_figures_go_in_as_png(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plates, "LARGEST_SVG", 60_000)
    large = [name for name in figures() if (copy / "figures" / f"{name}.svg").stat().st_size > 60_000]
    images = [a for tag, a in Page(write_report(copy)).tags if tag == "img"]
    assert 0 < len(images) == len(large)
    assert all((image["src"] or "").startswith("data:image/png;base64,") for image in images)


def test_a_comparison_with_a_baseline_has_its_section(copy: Path) -> None:
    """Rows of regression.json stand in the page, the worse one marked; without the file there is no such section."""
    assert "Regression</h2>" not in write_report(copy).read_text()
    row = {"what": "digits8 masked, mean of all", "metric": "fid_test", "cells": 5, "before": 0.39, "after": 0.44}
    row |= {"difference": 0.05, "margin": 0.02, "p": 0.028, "alarm_at": None, "verdict": "worse"}
    row |= {"low": 0.02, "high": None, "detectable": 0.06}
    found = {"baseline": "demo", "run": "demo", "paired": True, "seeds": [3, 3], "alpha": 0.05, "rows": [row]}
    found |= {"new": [], "vanished": ["toy fm"], "broken": [], "incomparable": [], "exit_code": 4}
    (copy / "regression.json").write_text(json.dumps(found))
    page = write_report(copy).read_text()
    assert "digits8 masked, mean of all" in page
    assert "toy fm" in page
    (copy / "regression.json").write_text(json.dumps({"exit_code": 5, "reason": "device cuda against cpu"}))
    assert "device cuda against cpu" in write_report(copy).read_text()


def test_bounds_on_trained_networks_are_told_where_there_are_any(copy: Path) -> None:
    write_report(copy)
    page = Page(copy / "report.html")
    assert ("section", {"id": "cascade"}) in page.tags
    for words in ("Theorem 2: integral of gaps | weighted excess loss", "4 ± 0.1", "supported", "not representable"):
        assert words in page.text, words
    (copy / "cascade.csv").unlink()
    write_report(copy)
    assert ("section", {"id": "cascade"}) not in Page(copy / "report.html").tags
