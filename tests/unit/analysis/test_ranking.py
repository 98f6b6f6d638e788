"""Rankings and FID as papers print them: against scipy, closed testing by enumeration, closed forms on tiny data."""

from __future__ import annotations

import csv
import itertools
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sign_flip_oracle import two_sided
from statsmodels.stats.multitest import multipletests
from synthetic_results import CELL_COLUMNS, write_csv, write_results

from reproflow.analysis.fid_table import fid_table, head
from reproflow.analysis.ranking import ranking_table, show_ranking
from reproflow.analysis.results import load_results
from reproflow.foundation.errors import ReproflowError
from reproflow.reporting.tables import write_tables

SEEDS = tuple(range(10))
# NLL by weighting and seed, lowest mean `fm`: snr is close to it, elbo clearly above, uniform far above.
TINY = {
    "fm": [1.00, 1.10, 0.90, 1.05, 0.95, 1.02, 0.98, 1.07],
    "snr": [1.02, 1.09, 0.93, 1.04, 0.98, 1.01, 1.00, 1.06],
    "elbo": [1.21, 1.29, 1.12, 1.24, 1.17, 1.20, 1.19, 1.28],
    "uniform": [2.00, 2.15, 1.87, 2.06, 1.93, 2.04, 1.95, 2.09],
}


def cell(weighting: str, seed: int, nll: float | str, status: str = "ok") -> dict[str, object]:
    key = f"eight_gaussians.gaussian.linear.uniform.{weighting}.velocity.s{seed}"
    return {
        "process": "gaussian", "dataset": "eight_gaussians", "path": "linear", "time": "uniform",
        "weighting": weighting, "target": "velocity", "seed": seed, "steps": 100, "cell": key, "status": status,
        "nll_nats": nll, "nll_nats_se": 0.01, "coupling": "independent", "divergence": "squared",
    }  # fmt: skip


def ranked(folder: Path, rows: list[dict[str, object]]) -> pd.DataFrame:
    """The ranking of these cells, indexed by weighting."""
    write_csv(folder / "cells.csv", CELL_COLUMNS, rows)
    return ranking_table(load_results(folder).cells).set_index("weighting")


@pytest.fixture
def tiny(tmp_path: Path) -> pd.DataFrame:
    return ranked(tmp_path, [cell(name, seed, nll) for name, own in TINY.items() for seed, nll in enumerate(own)])


def test_the_lowest_mean_is_first_and_numbers_are_those_of_paired_data(tiny: pd.DataFrame) -> None:
    assert list(tiny.index) == ["fm", "snr", "elbo", "uniform"]
    assert list(tiny["place"]) == [1, 2, 3, 4]
    assert set(tiny["best"]) == {"fm"}
    for name, own in TINY.items():
        row = tiny.loc[name]
        assert math.isclose(row["mean"], sum(own) / 8)
        assert math.isclose(row["sd"], float(stats.tstd(own)))
        assert row["n"] == 8
        if name == "fm":
            assert math.isnan(row["difference"])
            continue
        expected = stats.ttest_rel(own, TINY["fm"])
        found = row[["p", "difference", "difference_se"]].to_numpy(float)
        difference = np.array(own) - TINY["fm"]
        np.testing.assert_allclose(found, [expected.pvalue, difference.mean(), stats.sem(difference)], rtol=1e-9)
        # t = sqrt(n) d_z for paired data (Rosenthal 1991)
        assert math.isclose(row["d_z"], expected.statistic / math.sqrt(8), rel_tol=1e-9)


def test_the_family_is_all_pairs_because_the_best_was_found_by_the_same_numbers(tiny: pd.DataFrame) -> None:
    pairs = list(itertools.combinations(tiny.index, 2))
    differences = np.stack([np.subtract(TINY[b], TINY[a]) for a, b in pairs], axis=1)
    p = dict(zip(pairs, two_sided(differences), strict=True))
    holm = dict(zip(pairs, multipletests(stats.ttest_1samp(differences, 0).pvalue, method="holm")[1], strict=True))
    for name in ("snr", "elbo", "uniform"):
        assert math.isclose(tiny.loc[name, "p_adjusted"], p["fm", name])
        assert math.isclose(tiny.loc[name, "p_holm"], holm["fm", name])
    assert list(tiny["rank"]) == ["1", "not separated", "3", "4"]
    assert list(tiny["verdict"]) == ["best", "not separated", "worse", "worse"]
    # Where the difference is rejected the interval ends at zero; the other holds zero.
    assert (tiny.loc[["elbo", "uniform"], "difference_low"] == 0).all()
    assert tiny.loc["snr", "difference_low"] < 0 < tiny.loc["snr", "difference_high"]


def test_what_one_comparison_alone_would_separate_is_not_separated_in_a_block(tmp_path: Path) -> None:
    own = np.random.default_rng(1)
    base, noise = own.normal(1, 0.1, 8), own.normal(0, 0.01, 8)
    noise -= noise.mean()
    shifted = base + noise + stats.t.isf(0.02, 7) * noise.std(ddof=1) / math.sqrt(8)
    others = {f"w{i}": base + 0.005 * i + own.normal(0, 0.05, 8) for i in range(4)}
    values = {"fm": base, "a": shifted, **others}
    rows = [cell(name, seed, float(nll)) for name, numbers in values.items() for seed, nll in enumerate(numbers)]
    found = ranked(tmp_path, rows)
    assert two_sided((shifted - base)[:, None])[0] < 0.1
    assert set(found["verdict"]) == {"best", "not separated"}
    assert (found.loc[found["verdict"] == "not separated", "detectable"] > 0).all()


@pytest.mark.parametrize("seeds", [3, 7])
def test_fewer_than_eight_pairs_say_how_many_are_needed(tmp_path: Path, seeds: int) -> None:
    rows = [cell(name, seed, nll) for name, own in TINY.items() for seed, nll in enumerate(own[:seeds])]
    found = ranked(tmp_path, rows)
    assert list(found["verdict"]) == ["best", *["too few seeds"] * 3]
    assert found[["difference_low", "p_adjusted"]].isna().all(axis=None)
    assert found["difference"].notna().sum() == 3
    assert list(show_ranking(found.reset_index())["Verdict"])[1] == f"too few seeds ({seeds} of 8)"


def test_two_seeds_give_neither_interval_nor_rank(tmp_path: Path) -> None:
    rows = [cell(name, seed, nll) for name, own in TINY.items() for seed, nll in enumerate(own[:2])]
    found = ranked(tmp_path, rows)
    assert set(found["verdict"]) == {"too few seeds"}
    assert set(found["rank"]) == {""}
    assert found[["difference", "difference_low", "d_z", "p", "p_holm", "p_adjusted"]].isna().all(axis=None)
    assert found["mean"].notna().all()
    shown = show_ranking(found.reset_index())
    assert set(shown["Rank"]) == {"–"}
    assert set(shown["95 % interval"]) == {"–"}


def test_a_weighting_with_two_seeds_left_is_not_ranked_though_its_mean_is_lowest(tmp_path: Path) -> None:
    rows = [cell(name, seed, nll) for name, own in TINY.items() for seed, nll in enumerate(own)]
    rows += [cell("iddpm", seed, 0.1) for seed in (0, 1)]
    rows += [cell("iddpm", seed, "", "diverged") for seed in range(2, 8)]
    rows += [cell("edm", seed, "", "failed") for seed in range(8)]
    found = ranked(tmp_path, rows)
    assert found.index[0] == "iddpm"
    assert (found.loc["iddpm", "verdict"], found.loc["iddpm", "rank"]) == ("too few seeds", "")
    assert (found.loc["iddpm", "not_ok"], found.loc["fm", "verdict"]) == (6, "best")
    assert found.index[-1] == "edm"
    assert (found.loc["edm", "verdict"], found.loc["edm", "n"]) == ("no result", 0)
    assert math.isnan(found.loc["edm", "mean"])


def test_lower_is_better_in_every_metric(tmp_path: Path) -> None:
    found = ranking_table(load_results(write_results(tmp_path / "r", SEEDS)).cells)
    assert {"fid_train", "fid_test", "nll_nats", "bound_bits_per_dim"} == set(found["metric"])
    keys = ["dataset", "process", "path", "time", "metric"]
    for _, block in found.groupby(keys):
        assert block["mean"].is_monotonic_increasing
        assert (block["verdict"] == "best").sum() == 1
        assert not (block["verdict"] == "better").any()
    # the synthetic `sigmoid` has the lowest FID at every seed
    assert set(found.loc[(found["metric"] == "fid_train") & (found["rank"] == "1"), "weighting"]) == {"sigmoid"}


def test_identical_weightings_are_not_separated_and_have_no_effect(tmp_path: Path) -> None:
    rows = [cell(name, seed, nll) for name in ("a", "b") for seed, nll in enumerate(TINY["fm"])]
    found = ranked(tmp_path, rows)
    assert list(found["rank"]) == ["1", "not separated"]
    assert (found.loc["b", "difference"], found.loc["b", "p_adjusted"]) == (0, 1)
    assert math.isnan(found.loc["b", "d_z"])


def test_one_seed_twice_is_refused(tmp_path: Path) -> None:
    rows = [cell(name, seed, nll) for name, own in TINY.items() for seed, nll in enumerate(own)]
    with pytest.raises(ReproflowError, match="seed 0 more than once"):
        ranked(tmp_path, [*rows, rows[0]])


# -- FID ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_results(tmp_path_factory.mktemp("ranking") / "synthetic", SEEDS)
    rows = list(csv.DictReader((folder / "cells.csv").open()))
    for row in rows:
        if row["weighting"] == "fm" and row["fid_train"]:
            row["fid_train_se"] = "0.5"  # far more than the seeds differ
    write_csv(folder / "cells.csv", CELL_COLUMNS, rows)
    write_tables(folder)
    return folder


def test_fid_and_its_error_hold_both_variances(results: Path) -> None:
    cells, found = pd.read_csv(results / "cells.csv"), pd.read_csv(results / "tables" / "fid_by_weighting.csv")
    larger = set()
    assert len(found) == 9
    for row in found.to_dict("records"):
        own = cells[(cells["weighting"] == row["weighting"]) & (cells["process"] == row["process"])]
        own = own[(own["dataset"] == "digits8") & (own["status"] == "ok")]
        for metric in ("fid_train", "fid_test"):
            assert math.isclose(row[metric], own[metric].mean(), rel_tol=1e-12)
            between, within = own[metric].var(ddof=1), (own[f"{metric}_se"] ** 2).mean()
            assert math.isclose(row[f"{metric}_error"], math.sqrt(max(between, within) / len(own)), rel_tol=1e-9)
            larger.add(between > within)
    assert (found["not_ok"] == (found["weighting"] == "simple")).all()
    assert larger == {True, False}, "both kinds of variance are the larger one somewhere"


def test_the_error_is_that_of_a_simulated_mean() -> None:
    """Seeds of variance 1 with samples of variance 0.25 on top: the mean of n = 4 has the variance 1.25 / 4."""
    generator = np.random.default_rng(0)
    numbers = generator.normal(0, 1, (20_000, 4)) + generator.normal(0, 0.5, (20_000, 4))
    between = numbers.var(axis=1, ddof=1)
    claimed = np.maximum(between, 0.25) / 4
    assert math.isclose(claimed.mean(), numbers.mean(axis=1).var(), rel_tol=0.05)


def test_the_head_says_what_a_fid_depends_on(results: Path) -> None:
    text = (results / "tables" / "fid_by_weighting.md").read_text()
    first = text.splitlines()[0]
    for word in ("digits8 masked", "3 x 64 units", "1000 training steps", "N = 5000", "digits_cnn", "32 function eval"):
        assert word in first
    note = text.rsplit("\n\n", 1)[1]
    assert "never with FID on Inception features" in note
    assert "1.92" in note
    assert "324M" in note


def test_latex_has_booktabs_and_says_the_same(results: Path) -> None:
    for name in ("ranking", "fid_by_weighting"):
        latex = (results / "tables" / f"{name}.tex").read_text()
        assert latex.count(r"\toprule") == latex.count(r"\midrule") == latex.count(r"\bottomrule") == 1
        rows = [line for line in latex.splitlines() if line.endswith(r"\\")]
        assert len({len(re.split(r"(?<!\\)&", row)) for row in rows}) == 1
        markdown = [line for line in (results / "tables" / f"{name}.md").read_text().splitlines() if line[:1] == "|"]
        assert len(rows) == len(markdown) - 1
    assert r"\caption{FID by weighting" in latex


def test_bold_is_the_best_and_what_is_not_separated_from_it(results: Path) -> None:
    rows = pd.read_csv(results / "tables" / "fid_by_weighting.csv")
    good = sum(
        int(rows[f"{metric}_verdict"].isin(["best", "not separated"]).sum()) for metric in ("fid_train", "fid_test")
    )
    assert (results / "tables" / "fid_by_weighting.md").read_text().count("**") == 2 * good
    assert good >= 4


def test_without_fid_the_table_says_so(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "r", (0, 1, 2))
    rows = [row for row in csv.DictReader((folder / "cells.csv").open()) if row["dataset"] != "digits8"]
    write_csv(folder / "cells.csv", CELL_COLUMNS, rows)
    assert len(write_tables(folder)) == 21
    assert "these results have none" in (folder / "tables" / "fid_by_weighting.md").read_text()


def test_a_folder_without_configuration_names_no_network(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "r", (0, 1, 2))
    (folder / "config.json").unlink()
    read = load_results(folder)
    assert "network not recorded" in head(fid_table(read, ranking_table(read.cells)))


def test_two_seeds_give_a_fid_without_error(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "r", (0, 1))
    write_tables(folder)
    found = pd.read_csv(folder / "tables" / "fid_by_weighting.csv")
    assert found["fid_train"].notna().all()
    assert found[["fid_train_error", "fid_test_error"]].isna().all(axis=None)
    table = [line for line in (folder / "tables" / "fid_by_weighting.md").read_text().splitlines() if line[:1] == "|"]
    assert "±" not in "".join(table)
    assert "**" not in "".join(table)
