"""Equal objectives: which cells are one objective, against closed forms; differences against scipy; honest verdicts."""

from __future__ import annotations

import csv
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sign_flip_oracle import one_sided
from synthetic_results import write_csv, write_results

from reproflow.analysis.results import load_results, records
from reproflow.analysis.trained_equivalence import equivalence_table, summary
from reproflow.reporting.html import write_report
from reproflow.reporting.tables import write_tables

# log w up to a constant, by (process, weighting, path, time law): Kingma & Gao (2023), table 1; 001, Fig. 2.
CLOSED = {
    "elbo": lambda lam: 0 * lam,
    "fm": lambda lam: -lam / 2,
    "sigmoid": lambda lam: -np.log1p(np.exp(lam)),
    "iddpm": lambda lam: -np.log(np.cosh(lam / 2)),
    "simple": lambda lam: -np.log1p(np.exp(lam)),  # masked linear path: (1 - alpha)/|alpha'| = sigmoid(-lam)
}


def log_weight(row: dict[str, str]) -> np.ndarray:
    """log w on a grid of log-SNRs, normalised at 0."""
    lam = np.linspace(-6, 6, 25)
    if row["weighting"] != "uniform":
        return CLOSED[row["weighting"]](lam) - CLOSED[row["weighting"]](np.zeros(1))
    # Uniform weight on the linear path's velocity is fm's w times the density of the time law, of logit t = lam/2.
    law = {"uniform": 0 * lam, "logit_normal": stats.norm.logpdf(lam / 2) - np.log(special(lam))}[row["time"]]
    return -lam / 2 + law - law[12]


def special(lam: np.ndarray) -> np.ndarray:
    """t (1 - t) at logit t = lam/2."""
    t = 1 / (1 + np.exp(-lam / 2))
    return t * (1 - t)


SEEDS = tuple(range(10))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_results(tmp_path_factory.mktemp("equal") / "synthetic", SEEDS)


@pytest.fixture(scope="module")
def equal(results: Path) -> pd.DataFrame:
    return equivalence_table(load_results(results))


def side(row: dict[str, str], which: str) -> dict[str, str]:
    return {noun: row[f"{noun}_{which}"] for noun in ("weighting", "path", "time")}


def of_cells(cells: pd.DataFrame, row: dict[str, str], which: str) -> pd.Series:
    """The metric of one side of a row by seed, straight from cells.csv."""
    own = cells[cells["status"] == "ok"]
    for key, value in {**side(row, which), "dataset": row["dataset"], "process": row["process"]}.items():
        own = own[own[key] == value]
    return own.set_index("seed")[row["metric"]].sort_index()


def test_classes_are_those_of_the_closed_forms(results: Path, equal: pd.DataFrame) -> None:
    """Every two objectives of a data set and process with proportional closed forms share a class; no others do."""
    nouns = ["dataset", "process", "weighting", "path", "time"]
    cells = pd.read_csv(results / "cells.csv").drop_duplicates(nouns)
    classes: dict[tuple[str, ...], int] = {}
    for row in records(equal):
        for which in "ab":
            classes[(row["dataset"], row["process"], *side(row, which).values())] = row["class"]
    together = 0
    for a, b in itertools.combinations(records(cells), 2):
        if (a["dataset"], a["process"]) == (b["dataset"], b["process"]):
            same = np.allclose(log_weight(a), log_weight(b), atol=1e-9)
            keys = [tuple(each[noun] for noun in nouns) for each in (a, b)]
            assert same == (keys[0] in classes and classes[keys[0]] == classes.get(keys[1])), keys
            together += same
    assert together == 6


def test_differences_are_those_of_paired_data(results: Path, equal: pd.DataFrame) -> None:
    cells = pd.read_csv(results / "cells.csv")
    tested = records(equal[equal["p"].notna()])
    assert len(tested) >= 5
    for row in tested:
        a, b = (of_cells(cells, row, which) for which in "ab")
        common = a.index.intersection(b.index)
        found = [row[key] for key in ("difference", "difference_se", "mean_a", "mean_b")]
        np.testing.assert_allclose(found, [(a - b).mean(), stats.sem((a - b).dropna()), a.mean(), b.mean()], rtol=1e-7)
        assert row["pairs"] == len(common)


def test_verdicts_are_those_of_sign_flips_beyond_the_margin(results: Path, equal: pd.DataFrame) -> None:
    """Over all comparisons of a class: differ where a side is rejected at the margin, by enumeration."""
    cells, sizes = pd.read_csv(results / "cells.csv"), set()
    for _, rows in equal[equal["p"].notna()].groupby("class"):
        pairs = [[of_cells(cells, row, which) for which in "ab"] for row in records(rows)]
        if len({tuple((a - b).dropna().index) for a, b in pairs}) > 1:
            continue
        differences = np.stack([(a - b).dropna().to_numpy() for a, b in pairs], axis=1)
        margins = rows["margin"].to_numpy()
        p = 2 * np.minimum(one_sided(differences, margins), one_sided(-differences, margins))
        np.testing.assert_allclose(rows["p_adjusted"], np.minimum(1, p))
        assert ((rows["verdict"] == "differ") == (p <= 0.05)).all()
        inside = (-margins < rows["difference_low"]) & (rows["difference_high"] < margins)
        assert ((rows["verdict"] == "equal within the margin") == inside).all()
        assert set(rows["verdict"]) <= {"differ", "equal within the margin", "not separated"}
        sizes.add(len(rows))
    assert max(sizes) >= 3


def test_the_oracles_are_two_one_sided_t_tests_to_the_margin_of_regression_checks(
    results: Path, equal: pd.DataFrame
) -> None:
    cells = pd.read_csv(results / "cells.csv")
    for _, rows in equal[equal["p"].notna()].groupby("class"):
        plain, opposite = [], []
        for row in records(rows):
            a, b = (of_cells(cells, row, which) for which in "ab")
            share = {"fid_train": 0.05, "fid_test": 0.05}.get(row["metric"])
            absolute = {"nll_nats": 0.01, "bound_bits_per_dim": 0.002, "ode_bits_per_dim": 0.002}.get(row["metric"])
            margin = absolute if share is None else share * (a.mean() + b.mean()) / 2
            assert row["margin"] == pytest.approx(margin, rel=1e-9)
            common = a.index.intersection(b.index)
            below = stats.ttest_rel(a[common] - margin, b[common], alternative="less").pvalue
            above = stats.ttest_rel(a[common] + margin, b[common], alternative="greater").pvalue
            plain.append(max(below, above))
            tails = [
                sum(stats.ttest_rel(a[common] + sign * margin, b[common], alternative=side).pvalue for sign in (1, -1))
                for side in ("greater", "less")
            ]
            opposite.append(min(1.0, *tails))
        for column, p in (("p_equivalence", plain), ("p_beyond", opposite)):
            order = np.argsort(p)
            adjusted = np.empty(len(p))
            adjusted[order] = np.minimum(1, np.maximum.accumulate(np.array(p)[order] * np.arange(len(p), 0, -1)))
            np.testing.assert_allclose(rows[column], adjusted, rtol=1e-6, atol=1e-12)


def test_equivalence_takes_the_configurations_margins(results: Path, tmp_path: Path) -> None:
    folder = write_results(tmp_path / "wide", SEEDS)
    config = json.loads((folder / "config.json").read_text())
    wide = {"fid_train": 9.0, "fid_test": 9.0, "nll_nats": 50.0, "bound_bits_per_dim": 50.0}
    (folder / "config.json").write_text(json.dumps(config | {"regression": {"margins": wide}}))
    table = equivalence_table(load_results(folder))
    assert set(table.loc[table["p"].notna(), "equivalence"]) == {"supported"}
    strict = dict.fromkeys(wide, 0.0)
    (folder / "config.json").write_text(json.dumps(config | {"regression": {"margins": strict}}))
    table = equivalence_table(load_results(folder))
    assert "supported" not in set(table["equivalence"])
    assert set(table.loc[table["verdict"] == "differ", "equivalence"]) == {"refuted"}


def test_networks_that_came_out_the_same_are_said_to_be_and_tested_once(equal: pd.DataFrame) -> None:
    """fm under the logit-normal law has the numbers of fm under the uniform one, at every seed."""
    same = equal[equal["verdict"] == "identical"]
    assert same[["weighting_a", "time_a", "weighting_b", "time_b"]].to_numpy().tolist() == [
        ["fm", "uniform", "fm", "logit_normal"]
    ]
    assert (same["difference"] == 0).all()
    assert same["p"].isna().all()
    again = equal[(equal["time_a"] == "logit_normal") | (equal["time_b"] == "logit_normal")]
    assert len(again) == 1


def test_the_log_snrs_of_training_stand_beside_each_member(results: Path, equal: pd.DataFrame) -> None:
    low, high = json.loads((results / "config.json").read_text())["experiments"][0]["training"]["t_range"]
    linear = equal[(equal["path_a"] == "linear") & (equal["process"] == "gaussian")]
    np.testing.assert_allclose(linear["lam_low_a"], 2 * math.log(low / (1 - low)), rtol=1e-9)
    cosine = equal[equal["path_b"] == "cosine"]
    np.testing.assert_allclose(cosine["lam_high_b"], 2 * math.log(math.tan(math.pi * high / 2)), rtol=1e-9)
    masked = equal[equal["process"] == "masked"]
    np.testing.assert_allclose(masked["lam_low_a"], math.log(low / (1 - low)), rtol=1e-9)


def test_two_seeds_decide_nothing(tmp_path: Path) -> None:
    few = equivalence_table(load_results(write_results(tmp_path / "few", (0, 1))))
    assert set(few["verdict"]) == {"too few seeds", "identical"}
    undecided = few[few["verdict"] == "too few seeds"]
    assert undecided[["difference_low", "p", "p_holm"]].isna().all(axis=None)
    assert undecided["difference"].notna().all()
    assert set(few["equivalence"]) == {""}


def test_cells_under_another_divergence_coupling_or_setting_are_not_set_beside_these(tmp_path: Path) -> None:
    def other(change: dict[str, str], name: str) -> pd.DataFrame:
        folder = write_results(tmp_path / name, (0, 1, 2))
        rows = list(csv.DictReader((folder / "cells.csv").open()))
        for row in rows:
            row.update(change if row["path"] == "cosine" else {})
        write_csv(folder / "cells.csv", list(rows[0]), rows)
        return equivalence_table(load_results(folder))

    assert "cosine" in set(other({}, "alike")["path_b"])
    for i, change in enumerate(({"divergence": "huber"}, {"coupling": "ot"}, {"steps": "500"}, {"target": "x1"})):
        table = other(change, f"other{i}")
        assert "cosine" not in {*table["path_a"], *table["path_b"]}, change
        assert len(table)


def test_merged_cells_are_rows_and_are_listed(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "r", (0, 1, 2))
    key = "eight_gaussians.gaussian.linear.logit_normal.{}.velocity.s{}"
    config = json.loads((folder / "config.json").read_text())
    times = next(each for each in config["experiments"] if each["name"] == "times")
    times |= {"dedupe": True, "times": ["logit_normal", "mode"], "weightings": ["fm"]}
    kept = {seed: key.format("fm", seed) for seed in (0, 1, 2)}
    times["merged"] = {name.replace("logit_normal", "mode"): name for name in kept.values()}
    (folder / "config.json").write_text(json.dumps(config))
    read = load_results(folder)
    assert read.missing == ()
    once = equivalence_table(read).query("verdict == 'trained once'")
    assert once[["time_a", "time_b", "pairs"]].to_numpy().tolist() == [["logit_normal", "mode", 3]]
    write_tables(folder)
    page = write_report(folder).read_text()
    assert "3 cells not trained" in page
    for name, other in times["merged"].items():
        assert f"<code>{name}</code>: see <code>{other}</code>" in page
    assert "trained once" in (folder / "tables" / "equivalence.md").read_text()


def test_a_class_of_merged_cells_alone_is_shown(tmp_path: Path) -> None:
    """One trained member, and two that it stands for: no row of the class has a metric."""
    folder = write_results(tmp_path / "r", (0, 1, 2))
    rows = list(csv.DictReader((folder / "cells.csv").open()))
    kept = [row for row in rows if (row["weighting"], row["path"], row["time"]) == ("fm", "linear", "logit_normal")]
    write_csv(folder / "cells.csv", list(kept[0]), kept)
    config = json.loads((folder / "config.json").read_text())
    times = next(experiment for experiment in config["experiments"] if experiment["name"] == "times")
    others = ("mode", "cosine_map")
    times |= {"dedupe": True, "times": ["logit_normal", *others], "weightings": ["fm"]}
    times["merged"] = {row["cell"].replace("logit_normal", law): row["cell"] for law in others for row in kept}
    (folder / "config.json").write_text(json.dumps(config))
    assert list(equivalence_table(load_results(folder))["verdict"]) == ["trained once"] * 2
    write_tables(folder)
    assert "6 cells not trained" in write_report(folder).read_text()


def test_an_objective_that_cannot_be_placed_is_named(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "r", (0, 1, 2))
    text = (folder / "cells.csv").read_text()
    (folder / "cells.csv").write_text(text.replace(",iddpm,", ",home_made,").replace(".iddpm.", ".home_made."))
    unplaced: list[str] = []
    equivalence_table(load_results(folder), unplaced)
    assert [each.partition(" (")[0] for each in unplaced] == ["home_made"]
    write_tables(folder)
    assert "not placed: home_made" in write_report(folder).read_text()


def test_the_sentence_counts_the_rows(equal: pd.DataFrame) -> None:
    for _, own in equal.groupby("class"):
        rows = records(own)
        said = summary(rows)
        for verdict in {row["verdict"] for row in rows}:
            n = sum(row["verdict"] == verdict for row in rows)
            words = "agree within the interval" if verdict == "agree" else verdict
            assert (f"{n} {words}" in said) or (len(rows) == 1 and words in said)
        for verdict in {row["equivalence"] for row in rows} - {""}:
            n = sum(row["equivalence"] == verdict for row in rows)
            assert f"{n} {verdict}" in said.partition("equivalent within the margin: ")[2]
