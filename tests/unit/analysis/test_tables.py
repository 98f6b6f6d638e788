"""Tables: every cell a row, rounding, escaping, broken inputs, and the same bytes each time."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pandas as pd
import pytest
from synthetic_results import CELL_COLUMNS, write_csv, write_results

from reproflow.analysis.comparison import comparison_table
from reproflow.analysis.results import load_results, natural
from reproflow.foundation.errors import ReproflowError
from reproflow.reporting.tables import number, write_tables


def test_diverged_and_failed_cells_are_rows_and_are_counted(ten_seeds: Path) -> None:
    write_tables(ten_seeds)
    table = pd.read_csv(ten_seeds / "tables" / "cells.csv")
    assert len(table) == len(pd.read_csv(ten_seeds / "cells.csv"))
    assert sorted(table["status"].unique()) == ["diverged", "failed", "ok"]
    assert "loss is NaN at step 412" in (ten_seeds / "tables" / "cells.md").read_text()
    comparison = comparison_table(load_results(ten_seeds).cells)
    simple = comparison[comparison["weighting"] == "simple"]
    assert (simple["n"] == 9).all(), "ten seeds but the one that diverged"
    assert (simple["not_ok"] == 1).all()


def test_a_weighting_without_any_result_is_still_a_row(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "r", (0, 1, 2))
    rows = list(csv.DictReader((folder / "cells.csv").open()))
    for row in rows:
        if row["weighting"] == "elbo" and row["process"] == "masked":
            row.update(status="diverged", fid_train="", fid_test="", bound_bits_per_dim="")
    write_csv(folder / "cells.csv", CELL_COLUMNS, rows)
    comparison = comparison_table(load_results(folder).cells)
    masked = comparison[comparison["process"] == "masked"]
    assert set(masked["reference"]) == {"fm"}
    elbo = masked[masked["weighting"] == "elbo"]
    assert (elbo["n"] == 0).all()
    assert (elbo["not_ok"] == 3).all()
    assert set(elbo["verdict"]) == {"no result"}


def test_one_seed_twice_is_refused(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "r", (0, 1, 2))
    rows = list(csv.DictReader((folder / "cells.csv").open()))
    write_csv(folder / "cells.csv", CELL_COLUMNS, [*rows, rows[0] | {"nfe": 64}])
    with pytest.raises(ReproflowError, match=rf"seed 0 more than once.*{re.escape(rows[0]['cell'])}"):
        comparison_table(load_results(folder).cells)


def test_csv_keeps_every_bit(ten_seeds: Path) -> None:
    write_tables(ten_seeds)
    original = {row["cell"]: row for row in csv.DictReader((ten_seeds / "cells.csv").open())}
    for row in csv.DictReader((ten_seeds / "tables" / "cells.csv").open()):
        for name in ("fid_train", "bound_bits_per_dim", "nll_nats"):
            before, after = original[row["cell"]][name], row[name]
            assert before == after == "" or float(before) == float(after)


def test_same_bytes_whatever_the_order_of_rows(tmp_path: Path) -> None:
    first, second = (write_results(tmp_path / name, (0, 1, 2)) for name in ("a", "b"))
    for name in ("cells", "claims"):
        rows = list(csv.DictReader((second / f"{name}.csv").open()))
        write_csv(second / f"{name}.csv", list(rows[0]), rows[::-1])
    for one, other in zip(write_tables(first), write_tables(second), strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name
    assert len(list((first / "tables").iterdir())) == 22


def test_bold_rows_are_the_best_rows(ten_seeds: Path) -> None:
    write_tables(ten_seeds)
    best = comparison_table(load_results(ten_seeds).cells)["best"].sum()
    assert (ten_seeds / "tables" / "comparison.md").read_text().split("\n\n")[0].count("**") == 4 * best
    assert (ten_seeds / "tables" / "comparison.tex").read_text().count(r"\textbf{") == 2 * best


def test_markup_in_names_is_escaped(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "r", (0, 1, 2))
    text = (folder / "cells.csv").read_text()
    (folder / "cells.csv").write_text(text.replace(",fm,", ",50%_a|b&c#{d},"))
    write_tables(folder)
    markdown = (folder / "tables" / "comparison.md").read_text().splitlines()
    columns = {len(re.split(r"(?<!\\)\|", line)) for line in markdown if line.startswith("|")}
    assert len(columns) == 1
    assert r"50\%\_a|b\&c\#\{d\}" in (folder / "tables" / "comparison.tex").read_text()


def test_claims_in_natural_order_with_their_outcome(ten_seeds: Path) -> None:
    write_tables(ten_seeds)
    rows = list(csv.DictReader((ten_seeds / "tables" / "claims.csv").open()))
    assert [row["id"] for row in rows] == ["E04", "E04", "E25", "LOSS-1", "LOSS-1", "LOSS-2", "LOSS-10"]
    assert [row["ok"] for row in rows] == ["True"] * 4 + ["False", "False", "True"]
    assert sorted(["BIL-10", "BIL-9", "BIL-1"], key=natural) == ["BIL-1", "BIL-9", "BIL-10"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("cells.csv", None, "not there"),
        ("cells.csv", "", "empty"),
        ("cells.csv", "cell,status\na,ok\n", "lacks the columns"),
        ("claims.csv", None, "not there"),
    ],
)
@pytest.mark.default_cases(2)
def test_a_broken_input_is_named_and_the_rest_is_written(
    tmp_path: Path, name: str, content: str | None, said: str
) -> None:
    folder = write_results(tmp_path / "r", (0, 1, 2))
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    assert len(write_tables(folder)) == 21
    table = (folder / "tables" / name.replace("csv", "md")).read_text()
    assert name in table
    assert said in table
    other = "claims" if name.startswith("cells") else "cells"
    assert "Missing" not in (folder / "tables" / f"{other}.md").read_text()


def test_a_file_cut_off_in_mid_row_loses_that_row_only_and_says_so(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "r", (0, 1, 2))
    text = (folder / "cells.csv").read_text()
    (folder / "cells.csv").write_text(text[:-40])
    read = load_results(folder)
    assert len(read.cells) == text.count("\n") - 2
    assert "last line is not finished" in read.why_missing("cells.csv")


def test_a_folder_that_is_not_there_is_a_users_fault(tmp_path: Path) -> None:
    with pytest.raises(ReproflowError, match="no results folder"):
        write_tables(tmp_path / "nowhere")


@pytest.mark.parametrize("value", [-0.004, 0.0049, 1e-9, -3e-5])
def test_a_small_number_never_reads_as_zero(value: float) -> None:
    shown = number(value, 2, signed=True)
    assert float(shown.replace("−", "-")) != 0
    assert (shown[0] == "−") == (value < 0)
