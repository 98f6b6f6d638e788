"""Tables: the paired comparison against scipy, honest gaps, rounding, escaping, and the same bytes each time."""

from __future__ import annotations

import csv
import itertools
import json
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sign_flip_oracle import two_sided
from synthetic_results import CELL_COLUMNS, write_csv, write_results

from reproflow.foundation.errors import ReproflowError
from reproflow.reporting.comparison import comparison_table
from reproflow.reporting.results import load_results, natural
from reproflow.reporting.tables import number, write_tables

SEEDS = tuple(range(10))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_results(tmp_path_factory.mktemp("tables") / "synthetic", SEEDS)


@pytest.fixture
def few(tmp_path: Path) -> Path:
    return write_results(tmp_path / "few", (0, 1))


def values(cells: pd.DataFrame, row: pd.Series, value: str) -> pd.Series:
    """The metric of one value of a comparison row's block by seed, straight from cells.csv."""
    own = cells[(cells[row["axis"]] == value) & (cells["status"] == "ok")]
    for key in {"dataset", "process", "target", "path", "time", "weighting"} - {row["axis"]}:
        own = own[own[key] == row[key]]
    return own.set_index("seed")[row["metric"]].sort_index()


def compared(results: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The cells, and the comparison; `block` numbers its blocks."""
    cells = pd.read_csv(results / "cells.csv")
    found = comparison_table(load_results(results).cells)
    return cells, found.assign(block=(found["verdict"] == "reference").cumsum())


def test_differences_are_those_of_paired_data(results: Path) -> None:
    cells, comparison = compared(results)
    tested = comparison[comparison["p"].notna()]
    assert len(tested) >= 15
    for _, row in tested.iterrows():
        a, b = values(cells, row, row[row["axis"]]), values(cells, row, row["reference"])
        common = a.index.intersection(b.index)
        if (a[common] == b[common]).all():
            assert (row["difference"], row["p_adjusted"], row["verdict"]) == (0, 1, "not separated")
            continue
        expected = stats.ttest_rel(a[common], b[common])
        assert row["pairs"] == len(common)
        found = row[["difference", "difference_se", "p"]].to_numpy(float)
        differences = a[common] - b[common]
        np.testing.assert_allclose(found, [differences.mean(), stats.sem(differences), expected.pvalue], rtol=1e-7)


def test_p_is_that_of_all_sign_flips_over_the_block(results: Path) -> None:
    cells, comparison = compared(results)
    checked = 0
    for _, block in comparison[comparison["p"].notna()].groupby("block"):
        pairs = [
            (values(cells, row, row[row["axis"]]), values(cells, row, row["reference"])) for _, row in block.iterrows()
        ]
        if len({tuple(a.index.intersection(b.index)) for a, b in pairs}) == 1:
            differences = np.stack([(a - b).dropna().to_numpy() for a, b in pairs], axis=1)
            np.testing.assert_allclose(block["p_adjusted"], two_sided(differences))
            checked += 1
    assert checked >= 5


def test_a_block_varies_one_noun_and_nothing_else(results: Path) -> None:
    cells, comparison = compared(results)
    names = ["weighting", "path", "time", "target", "coupling", "divergence", "dataset", "process", "setup", "steps"]
    for _, block in comparison.groupby("block"):
        varies = {name for name in names if block[name].nunique() > 1}
        assert varies == {block["axis"].iloc[0]}
    axes = set(comparison["axis"])
    assert axes == {"weighting", "path", "time"}
    # Every pair of cells that differ in one noun alone is in a block of that noun.
    ok = cells[cells["status"] == "ok"].drop_duplicates(["dataset", "process", "path", "time", "weighting"])
    for a, b in itertools.combinations(ok.to_dict("records"), 2):
        differs = [name for name in ("dataset", "process", "path", "time", "weighting") if a[name] != b[name]]
        if len(differs) == 1 and differs[0] in axes:
            own = comparison[
                (comparison["axis"] == differs[0]) & (comparison[differs[0]].isin([a[differs[0]], b[differs[0]]]))
            ]
            for name in ("dataset", "process", "path", "time", "weighting"):
                own = own[(own[name] == a[name]) | (name == differs[0])]
            assert (own.groupby("block").size() == 2).any(), (a["cell"], b["cell"])


def test_cells_of_other_settings_are_not_compared(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "r", (0, 1, 2))
    config = json.loads((folder / "config.json").read_text())
    wide = next(each for each in config["experiments"] if each["name"] == "paths")
    wide["model"]["width"] *= 2
    (folder / "config.json").write_text(json.dumps(config))
    comparison = comparison_table(load_results(folder).cells)
    assert "path" not in set(comparison["axis"])
    cosine = comparison[(comparison["path"] == "cosine") & (comparison["axis"] == "weighting")]
    assert set(cosine["weighting"]) == {"elbo", "fm"}
    assert set(cosine["setup"]) == {"paths"}


def test_a_lone_cell_still_shows_its_mean(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "r", (0, 1, 2))
    rows = [row for row in csv.DictReader((folder / "cells.csv").open()) if row["weighting"] == "iddpm"]
    write_csv(folder / "cells.csv", CELL_COLUMNS, rows)
    comparison = comparison_table(load_results(folder).cells)
    assert (comparison["axis"] == "weighting").all()
    shown = comparison.set_index("metric")["mean"]
    assert math.isclose(shown["fid_train"], np.mean([float(row["fid_train"]) for row in rows]))


def test_pairing_removes_what_a_seed_shares(results: Path) -> None:
    """The synthetic seeds share noise much larger than the differences, which an unpaired error would show."""
    cells, comparison = compared(results)
    row = comparison[(comparison["weighting"] == "sigmoid") & (comparison["metric"] == "fid_train")].iloc[0]
    a, b = values(cells, row, "sigmoid"), values(cells, row, "elbo")
    unpaired = stats.ttest_ind(a, b).confidence_interval(0.6827)
    assert row["difference_se"] < 0.5 * (unpaired.high - unpaired.low) / 2
    assert row["detectable"] < 0.5 * (unpaired.high - unpaired.low)


def test_holm_is_closed_testing_with_bonferroni(results: Path) -> None:
    """Adjusted p of one hypothesis = the largest Bonferroni p over all sets of hypotheses that contain it."""
    _, comparison = compared(results)
    for _, block in comparison[comparison["p"].notna()].groupby("block"):
        p = block["p"].to_list()
        sets = [s for n in range(1, len(p) + 1) for s in itertools.combinations(range(len(p)), n)]
        expected = [max(min(1.0, len(s) * min(p[j] for j in s)) for s in sets if i in s) for i in range(len(p))]
        np.testing.assert_allclose(block["p_holm"], expected, rtol=1e-12)


def test_verdicts_say_what_interval_and_p_say(results: Path) -> None:
    _, comparison = compared(results)
    seen = set()
    for row in comparison.to_dict("records"):
        seen.add(row["verdict"])
        if math.isnan(row["p"]):
            assert row["verdict"] == "reference"
            continue
        separated = row["verdict"] in ("better", "worse")
        assert separated == (row["p_adjusted"] <= 0.05)
        assert separated == (row["difference_low"] >= 0 or row["difference_high"] <= 0) or row["difference"] == 0
        assert row["difference_low"] <= row["difference"] <= row["difference_high"]
        if separated:
            assert (row["difference"] < 0) == (row["verdict"] == "better")
    assert {"reference", "not separated", "better", "worse"} <= seen


def test_best_is_lowest_and_separated_from_all_others(results: Path) -> None:
    cells, comparison = compared(results)
    best = 0
    for _, block in comparison.groupby("block"):
        lowest = block.loc[block["mean"].idxmin()]
        axis = lowest["axis"]
        own = {name: values(cells, lowest, name) for name in block[axis]}
        names = [name for name in own if len(own[name])]
        common = sorted(set.intersection(*(set(own[name].index) for name in names)))
        pairs = list(itertools.combinations(names, 2))
        p = two_sided(np.stack([(own[a][common] - own[b][common]).to_numpy() for a, b in pairs], axis=1))
        with_lowest = [value for pair, value in zip(pairs, p, strict=True) if lowest[axis] in pair]
        if all(len(own[name]) == len(common) for name in names):
            separated = len(names) > 1 and max(with_lowest) <= 0.05
            assert block["best"].sum() == separated
            assert bool(lowest["best"]) == separated
            best += separated
    assert 0 < best < len(comparison.groupby("block"))


def test_two_seeds_give_a_mean_and_no_interval(few: Path) -> None:
    comparison = comparison_table(load_results(few).cells)
    others = comparison[comparison["verdict"] != "reference"]
    assert set(others["verdict"]) == {"too few seeds"}
    assert others[["difference_low", "difference_high", "p", "p_holm", "p_adjusted"]].isna().all(axis=None)
    assert others["difference"].notna().all()
    assert not comparison["best"].any()
    write_tables(few)
    lines = [line for line in (few / "tables" / "comparison.md").read_text().splitlines() if "too few seeds" in line]
    assert len(lines) == len(others)
    assert all(line.count("| –") == 3 for line in lines)
    assert all(re.search(r"too few seeds \([12] of 8\)", line) for line in lines)


def test_diverged_and_failed_cells_are_rows_and_are_counted(results: Path) -> None:
    write_tables(results)
    table = pd.read_csv(results / "tables" / "cells.csv")
    assert len(table) == len(pd.read_csv(results / "cells.csv"))
    assert sorted(table["status"].unique()) == ["diverged", "failed", "ok"]
    assert "loss is NaN at step 412" in (results / "tables" / "cells.md").read_text()
    comparison = comparison_table(load_results(results).cells)
    simple = comparison[comparison["weighting"] == "simple"]
    assert (simple["n"] == len(SEEDS) - 1).all()
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


def test_csv_keeps_every_bit(results: Path) -> None:
    write_tables(results)
    original = {row["cell"]: row for row in csv.DictReader((results / "cells.csv").open())}
    for row in csv.DictReader((results / "tables" / "cells.csv").open()):
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
    assert len(list((first / "tables").iterdir())) == 21


def test_bold_rows_are_the_best_rows(results: Path) -> None:
    write_tables(results)
    best = comparison_table(load_results(results).cells)["best"].sum()
    assert (results / "tables" / "comparison.md").read_text().split("\n\n")[0].count("**") == 4 * best
    assert (results / "tables" / "comparison.tex").read_text().count(r"\textbf{") == 2 * best


def test_markup_in_names_is_escaped(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "r", (0, 1, 2))
    text = (folder / "cells.csv").read_text()
    (folder / "cells.csv").write_text(text.replace(",fm,", ",50%_a|b&c#{d},"))
    write_tables(folder)
    markdown = (folder / "tables" / "comparison.md").read_text().splitlines()
    columns = {len(re.split(r"(?<!\\)\|", line)) for line in markdown if line.startswith("|")}
    assert len(columns) == 1
    assert r"50\%\_a|b\&c\#\{d\}" in (folder / "tables" / "comparison.tex").read_text()


def test_claims_in_natural_order_with_their_outcome(results: Path) -> None:
    write_tables(results)
    rows = list(csv.DictReader((results / "tables" / "claims.csv").open()))
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
