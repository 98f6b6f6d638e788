"""How the page arranges a table: what all rows share is said once, a name comes first, then numbers, then words."""

from __future__ import annotations

import itertools
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from wide_results import write_wide_results

from reproflow.analysis.bound_cascade import read_cascade
from reproflow.analysis.bound_cascade import shown as shown_cascade
from reproflow.analysis.ranking import ranking_table, show_ranking
from reproflow.analysis.results import Results, load_results
from reproflow.reporting import sections
from reproflow.reporting.columns import Table, arranged, sort_key
from reproflow.reporting.tables import write_tables

ROWS = [
    {"Dataset": "toy", "Weighting": "elbo", "Verdict": "best", "Seed": "0", "n": "3", "FID": "3.10 ± 0.20", "Why": ""},
    {"Dataset": "toy", "Weighting": "elbo", "Verdict": "worse", "Seed": "1", "n": "3", "FID": "–", "Why": "–"},
    {"Dataset": "toy", "Weighting": "fm", "Verdict": "worse", "Seed": "0", "n": "3", "FID": "−0.02", "Why": "–"},
]
FRAME = pd.DataFrame(ROWS)
NAMES = ("Weighting", "Dataset", "Seed")


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = write_wide_results(tmp_path_factory.mktemp("columns") / "wide")
    write_tables(folder)
    return load_results(folder)


def titles(table: Table) -> list[str]:
    return [column.title for column in table.columns]


def test_what_all_rows_share_is_no_column_but_a_sentence() -> None:
    table = arranged(FRAME, NAMES)
    assert table.lead == "The same in every row: dataset toy, n 3. Empty in every row: why."
    assert table.names == ["Weighting", "Seed"]
    assert titles(table) == ["FID", "Verdict"]


def test_a_name_and_its_parts_tell_rows_apart() -> None:
    named = [(row.name, *row.parts) for row in arranged(FRAME, NAMES).rows]
    assert named == [("elbo", "seed\u00a00"), ("elbo", "seed\u00a01"), ("fm", "seed\u00a00")]


def test_a_table_of_one_row_and_an_empty_one_keep_their_columns() -> None:
    for frame in (FRAME[:1], FRAME[:0]):
        table = arranged(frame, NAMES)
        assert table.lead == ""
        assert {*table.names, *titles(table)} == set(FRAME)
        assert len(table.rows) == len(frame)


def test_measurements_that_agree_stay() -> None:
    """Two means of 1.90 are a finding, three seeds in each are not."""
    frame = pd.DataFrame({"Weighting": ["elbo", "fm"], "n": ["3", "3"], "Mean": ["1.90", "1.90"]})
    assert titles(arranged(frame, ["Weighting"])) == ["Mean"]


def test_rows_that_nothing_tells_apart_have_a_name() -> None:
    table = arranged(pd.DataFrame({"Weighting": ["elbo", "elbo"], "Mean": ["1.9", "2.0"]}), ["Weighting"])
    assert (table.names, table.lead) == (["Weighting"], "")
    assert [row.name for row in table.rows] == ["elbo", "elbo"]


@pytest.mark.parametrize(
    ("said", "key"),
    [("−0.02", "-0.02"), ("3.10 ± 0.20", "3.10"), ("<0.001", "0.001"), ("+0.05 [−3.59, +3.69]", "+0.05"),
     ("[−3.59, +3.69]", "-3.59"), ("∞", "1e308"), ("–", ""), ("tied", "tied")],
)  # fmt: skip
def test_numbers_sort_by_value_and_gaps_last(said: str, key: str) -> None:
    assert sort_key(said) == key


def test_the_full_digits_sort_where_there_are_any() -> None:
    table = arranged(FRAME, NAMES, pd.DataFrame({"FID": [3.1000000000000001, np.nan, -0.0199999]}))
    assert [row.sort["FID"] and float(row.sort["FID"]) for row in table.rows] == [3.1, "", -0.0199999]


def test_every_value_of_the_reading_tables_is_on_the_page(wide: Results) -> None:
    """Nothing is lost: a value that has no column any more stands in the sentence above, or is empty everywhere."""
    ranking, cascade = show_ranking(ranking_table(wide.cells)), shown_cascade(read_cascade(wide.folder)[0])
    tables = [(ranking, sections.ranking(wide, [])["table"]), (cascade, sections.cascade(wide))]
    for frame, table in tables:
        assert set(frame) == {*table.names, *titles(table), *dict(table.same), *table.empty}
        for row, record in zip(table.rows, frame.to_dict("records"), strict=True):
            here = {row.name, *row.parts, *row.cells.values(), *dict(table.same).values(), *table.empty, "–", ""}
            told = {word.split("\u00a0")[-1] for word in here}
            assert set(record.values()) <= here | told


def test_cells_show_their_metrics_right_after_their_names(wide: Results) -> None:
    table = sections.cells(wide.cells)
    metrics = ["FID, train", "FID, held out", "NLL, nats", "Bound, bits/dim", "Flow, bits/dim"]
    assert titles(table) == [*metrics, "Cell"]
    assert {"coupling independent", "divergence squared", "status ok"} <= {
        f"{title.lower()} {value}" for title, value in table.same
    }
    assert len({(row.name, *row.parts) for row in table.rows}) == len(wide.cells)


def test_numbers_come_before_words_in_every_table(wide: Results) -> None:
    ranked = sections.ranking(wide, [])
    for table in (sections.cells(wide.cells), ranked["table"], ranked["fid"], sections.cascade(wide)):
        assert any(column.number for column in table.columns)
        kinds = [kind for kind, _ in itertools.groupby(table.columns, lambda column: column.number)]
        assert kinds in ([True], [True, False])


class Boxes(HTMLParser):
    """The attributes of every element of a page that may scroll."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = dict(attrs)
        if tag == "pre" or {"box", "plate"} & set((own.get("class") or "").split()):
            self.found.append(own)


def test_what_scrolls_takes_the_keyboard_and_has_a_name(reported: Path) -> None:
    found = Boxes(reported / "report.html").found
    assert len(found) > 20
    for own in found:
        assert (own.get("role"), own.get("tabindex")) == ("region", "0")
        assert own.get("aria-label")
