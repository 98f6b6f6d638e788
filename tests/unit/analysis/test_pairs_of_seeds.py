"""Which seeds and cells go into a comparison, what the reference and the best are, and both sides of a pair."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from control_results import results, verdicts
from synthetic_results import CELL_COLUMNS, write_csv, write_results

from reproflow.analysis.comparison import all_pairs, by_seed, comparison_table, mirrored
from reproflow.analysis.ranking import _best
from reproflow.analysis.results import load_results
from reproflow.foundation.errors import ReproflowError


def cells(*rows: tuple[int, float, str]) -> pd.DataFrame:
    """Cells of one weighting: seed, metric, status."""
    frame = pd.DataFrame(rows, columns=["seed", "fid_test", "status"]).assign(weighting="elbo")
    return frame.assign(cell=[f"c{place}" for place in range(len(frame))])


def test_only_cells_that_ended_well_with_a_number_are_compared() -> None:
    frame = cells((0, 1.0, "ok"), (1, 2.0, "diverged"), (2, 3.0, "failed"), (3, np.nan, "ok"), (4, np.inf, "ok"))
    assert by_seed(frame, "fid_test") == {0: 1.0}


def test_a_seed_that_is_there_twice_has_no_pair() -> None:
    with pytest.raises(ReproflowError, match=r"'elbo' has seed 1 more than once .* \(cells c1, c2\)"):
        by_seed(cells((0, 1.0, "ok"), (1, 2.0, "ok"), (1, 3.0, "ok")), "fid_test")
    assert by_seed(cells((1, 2.0, "ok"), (1, 3.0, "failed")), "fid_test") == {1: 2.0}


def test_a_mirrored_row_is_that_of_the_exchanged_pair() -> None:
    generator = np.random.default_rng(0)
    noise = generator.standard_normal(10)
    values = {name: dict(enumerate(noise + shift)) for name, shift in (("a", 0.0), ("b", 3.0))}
    values["b"] = {seed: value + 0.1 * (seed % 3) for seed, value in values["b"].items()}
    forth, back = all_pairs(values)["a", "b"], all_pairs(values)["b", "a"]
    exchanged = all_pairs({"b": values["b"], "a": values["a"]})["b", "a"]
    for key in ("difference", "difference_low", "difference_high", "p_adjusted"):
        assert back[key] == pytest.approx(exchanged[key], rel=1e-12)
    assert (forth["verdict"], back["verdict"], exchanged["verdict"]) == ("better", "worse", "worse")
    assert back["difference_low"] <= back["difference"] <= back["difference_high"]
    assert mirrored(back) == forth


def test_the_reference_is_the_usual_value_and_else_the_first_with_a_result(tmp_path: Path) -> None:
    """`elbo` is not the first of these names."""
    folder = write_results(tmp_path / "r", (0, 1, 2))
    rows = [row for row in csv.DictReader((folder / "cells.csv").open()) if row["dataset"] == "two_moons"]

    def reference(change: dict[str, dict[str, str]]) -> set[str]:
        renamed = [row | {"weighting": {"fm": "before"}.get(row["weighting"], row["weighting"])} for row in rows]
        write_csv(folder / "cells.csv", CELL_COLUMNS, [row | change.get(row["weighting"], {}) for row in renamed])
        found = comparison_table(load_results(folder).cells)
        return set(found.loc[found["axis"] == "weighting", "reference"])

    assert reference({}) == {"elbo"}
    assert reference({"elbo": {"status": "failed", "nll_nats": ""}}) == {"before"}


def test_the_best_is_found_by_seeds_that_all_have() -> None:
    """`lucky` has an easy seed that the others lack; on the common ones it is worse."""
    common = {seed: 1.0 + 0.1 * seed for seed in range(3)}
    values = {"good": common, "lucky": {seed: value + 0.2 for seed, value in common.items()} | {9: -5.0}}
    assert np.mean(list(values["lucky"].values())) < np.mean(list(values["good"].values()))
    assert _best(["lucky", "good"], values) == "good"


@pytest.mark.parametrize("shift", [-0.2, 0.2])
def test_two_names_of_one_objective_may_differ_to_neither_side(tmp_path: Path, shift: float) -> None:
    means = {"elbo": 0.05, "uniform": 0.0, "fm": shift, "blind": 0.9}
    assert verdicts(results(tmp_path, means)) == {"blind": True, "uniform": False}
