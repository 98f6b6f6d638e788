"""The paired comparison: differences, p and verdicts against scipy; pairing; what is not compared."""

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

from reproflow.analysis.comparison import comparison_table
from reproflow.analysis.results import load_results
from reproflow.reporting.tables import write_tables


@pytest.fixture
def few(tmp_path: Path) -> Path:
    return write_results(tmp_path / "few", (0, 1))


def values(cells: pd.DataFrame, row: pd.Series, value: str) -> pd.Series:
    """The metric of one value of a comparison row's block by seed, straight from cells.csv."""
    own = cells[(cells[row["axis"]] == value) & (cells["status"] == "ok")]
    for key in {"dataset", "process", "target", "path", "time", "weighting"} - {row["axis"]}:
        own = own[own[key] == row[key]]
    return own.set_index("seed")[row["metric"]].sort_index()


def compared(ten_seeds: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The cells, and the comparison; `block` numbers its blocks."""
    cells = pd.read_csv(ten_seeds / "cells.csv")
    found = comparison_table(load_results(ten_seeds).cells)
    return cells, found.assign(block=(found["verdict"] == "reference").cumsum())


def test_differences_are_those_of_paired_data(ten_seeds: Path) -> None:
    cells, comparison = compared(ten_seeds)
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


def test_p_is_that_of_all_sign_flips_over_the_block(ten_seeds: Path) -> None:
    cells, comparison = compared(ten_seeds)
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


def test_a_block_varies_one_noun_and_nothing_else(ten_seeds: Path) -> None:
    cells, comparison = compared(ten_seeds)
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


def test_pairing_removes_what_a_seed_shares(ten_seeds: Path) -> None:
    """The synthetic seeds share noise much larger than the differences, which an unpaired error would show."""
    cells, comparison = compared(ten_seeds)
    row = comparison[(comparison["weighting"] == "sigmoid") & (comparison["metric"] == "fid_train")].iloc[0]
    a, b = values(cells, row, "sigmoid"), values(cells, row, "elbo")
    unpaired = stats.ttest_ind(a, b).confidence_interval(0.6827)
    assert row["difference_se"] < 0.5 * (unpaired.high - unpaired.low) / 2
    assert row["detectable"] < 0.5 * (unpaired.high - unpaired.low)


def test_holm_is_closed_testing_with_bonferroni(ten_seeds: Path) -> None:
    """Adjusted p of one hypothesis = the largest Bonferroni p over all sets of hypotheses that contain it."""
    _, comparison = compared(ten_seeds)
    for _, block in comparison[comparison["p"].notna()].groupby("block"):
        p = block["p"].to_list()
        sets = [s for n in range(1, len(p) + 1) for s in itertools.combinations(range(len(p)), n)]
        expected = [max(min(1.0, len(s) * min(p[j] for j in s)) for s in sets if i in s) for i in range(len(p))]
        np.testing.assert_allclose(block["p_holm"], expected, rtol=1e-12)


def test_verdicts_say_what_interval_and_p_say(ten_seeds: Path) -> None:
    _, comparison = compared(ten_seeds)
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


def test_best_is_lowest_and_separated_from_all_others(ten_seeds: Path) -> None:
    cells, comparison = compared(ten_seeds)
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
