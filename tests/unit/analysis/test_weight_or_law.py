"""A weight moved into the time law: which pairs are found, what is shown of them, and the noise against simulation."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from synthetic_results import CELL_COLUMNS, CURVE_COLUMNS, write_csv, write_results

from reproflow.analysis.results import load_results
from reproflow.analysis.weight_or_law import measured_ratio, pairs
from reproflow.evaluation.gradient_variance import noise
from reproflow.foundation import config, grid
from reproflow.reporting.figures import Source, figures

SEEDS = (0, 1, 2, 3)
WEIGHT = "eight_gaussians.gaussian.linear.uniform.fm"
LAW = "eight_gaussians.gaussian.linear.logit_normal.fm"


def rewritten(folder: Path, name: str, columns: list[str], change) -> None:
    """Changes the rows of a CSV."""
    rows = list(csv.DictReader((folder / name).open()))
    write_csv(folder / name, columns, [row | change(row) for row in rows])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Results with one pair: fm with uniform time, and under the logit-normal law, worse by 0.1 + seed²/100 nats."""
    made = write_results(tmp_path / "r", SEEDS)

    def nll(row: dict[str, str]) -> dict[str, float]:
        moved = row["cell"].startswith(LAW)
        return {"nll_nats": float(row["nll_nats"]) + 0.1 + int(row["seed"]) ** 2 / 100} if moved else {}

    def norm(row: dict[str, str]) -> dict[str, float]:
        return {"grad_norm": 2.0 + int(row["cell"][-1]) / 10} if row["cell"].startswith(LAW) else {}

    rewritten(made, "cells.csv", CELL_COLUMNS, nll)
    rewritten(made, "curves.csv", CURVE_COLUMNS, norm)
    return made


def test_pairs_share_path_and_objective_and_differ_in_law(folder: Path) -> None:
    """On eight Gaussians fm is one objective on two paths and under two laws; only the laws are exchanged."""
    [pair] = pairs(load_results(folder), [])
    assert (pair.weight.names["weighting"], pair.law.names["weighting"]) == ("fm", "fm")
    assert (pair.weight.names["time"], pair.law.names["time"]) == ("uniform", "logit_normal")
    assert pair.path == "linear"


def test_curves_are_means_over_seeds(folder: Path) -> None:
    _, frame, _ = figures()["bil_exchange"](Source(folder))
    curves = pd.read_csv(folder / "curves.csv")
    for arm, start in (("weight", WEIGHT), ("law", LAW)):
        own = curves[curves["cell"].str.startswith(start)]
        for quantity in ("loss", "grad_norm"):
            line = frame[(frame["quantity"] == quantity) & (frame["arm"] == arm)]
            by_step = own.groupby("step")[quantity].mean()
            bins = np.floor(by_step.index / (991 / 60)).astype(int)
            np.testing.assert_allclose(line["value"], by_step.groupby(bins).mean(), rtol=1e-12)
            assert (line["seeds"] == len(SEEDS)).all()
            assert (line["low"] <= line["value"]).all()
            assert (line["value"] <= line["high"]).all()


def test_the_difference_is_that_of_a_paired_t_test(folder: Path) -> None:
    _, frame, _ = figures()["bil_exchange"](Source(folder))
    cells = pd.read_csv(folder / "cells.csv").set_index("cell")["nll_nats"]
    law, weight = ([cells[f"{start}.velocity.s{seed}"] for seed in SEEDS] for start in (LAW, WEIGHT))
    expected = stats.ttest_rel(law, weight).confidence_interval(0.95)
    rows = frame[frame["quantity"] == "nll_nats"]
    whole = rows[rows["seed"].isna()].iloc[0]
    assert whole["seeds"] == len(SEEDS)
    np.testing.assert_allclose([whole["low"], whole["high"]], [expected.low, expected.high], rtol=1e-9)
    np.testing.assert_allclose(rows["value"][rows["seed"].notna()], np.subtract(law, weight), rtol=1e-12)


def test_the_measured_ratio_is_a_geometric_mean(folder: Path) -> None:
    read = load_results(folder)
    [pair] = pairs(read, [])
    logs = np.log([(2 + seed / 10) ** 2 for seed in SEEDS])
    expected = stats.ttest_1samp(logs, 0).confidence_interval(0.95)
    found = measured_ratio(read, pair)
    np.testing.assert_allclose(np.log([found.mean, found.low, found.high]), [logs.mean(), *expected], rtol=1e-9)


def test_two_seeds_give_no_interval(tmp_path: Path) -> None:
    figure, frame, _ = figures()["bil_exchange"](Source(write_results(tmp_path / "r", (0, 1))))
    whole = frame[(frame["quantity"] == "nll_nats") & frame["seed"].isna()].iloc[0]
    assert math.isnan(whole["low"])
    assert any("2 seeds: no interval" in axes.get_title() for axes in figure.axes)


def test_without_a_pair_the_figure_says_so(folder: Path) -> None:
    rows = [row for row in csv.DictReader((folder / "cells.csv").open()) if row["time"] == "uniform"]
    write_csv(folder / "cells.csv", CELL_COLUMNS, rows)
    figure, frame, _ = figures()["bil_exchange"](Source(folder))
    assert frame.empty
    assert "no two cells share path and objective" in figure.texts[0].get_text()


def test_without_a_configuration_the_exact_noise_is_left_out(folder: Path) -> None:
    (folder / "config.json").unlink()
    _, frame, _ = figures()["bil_exchange"](Source(folder))
    assert frame.loc[frame["quantity"] == "variance", "value"].isna().all()
    assert frame.loc[frame["quantity"] == "loss", "value"].notna().all()


def test_a_weight_and_its_law_are_found_as_a_pair(folder: Path) -> None:
    """A user's expression 1/(2 sqrt t) with uniform time against the law u² with weight 1."""
    raw = json.loads((folder / "config.json").read_text())
    for each in raw["experiments"]:
        if each["name"] == "times":
            each["times"], each["weightings"] = ["u_squared"], ["uniform"]
        if each["name"] == "eight_gaussians":
            each["weightings"] = [{"name": "root", "spec": "expr:0.5/sqrt(t)", "on": "velocity"}]
    (folder / "config.json").write_text(json.dumps(raw))

    def rename(row: dict[str, str]) -> dict[str, str]:
        if row["dataset"] != "eight_gaussians" or row["path"] != "linear" or row["weighting"] != "fm":
            return {}
        names = {"weighting": "uniform", "time": "u_squared"} if row["time"] != "uniform" else {"weighting": "root"}
        new = row | names
        return names | {
            "cell": f"eight_gaussians.gaussian.linear.{new['time']}.{new['weighting']}.velocity.s{row['seed']}"
        }

    rewritten(folder, "cells.csv", CELL_COLUMNS, rename)
    found = pairs(load_results(folder), [])
    assert [(each.weight.names["weighting"], each.law.names["time"]) for each in found] == [("root", "u_squared")]


# -- the exact noise ---------------------------------------------------------------------------------------------------

PAIRS = {
    "t_squared": ("uniform", "beta:a=3,b=1"),
    "one_minus_t_squared": ("uniform", "beta:a=1,b=3"),
}
DRAWN = 200_000


def cells_of(tiny_config: dict, times: list[str], weightings: list[object]) -> tuple[list, config.Experiment]:
    tiny_config["experiments"][0] |= {"times": times, "weightings": weightings}
    tiny_config["experiments"][0]["training"]["t_range"] = [0.01, 0.99]
    checked = config.check(tiny_config)
    return grid.expand(checked), checked.experiments[0]


def simulated(factor, t: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Squared gradients of one draw each, over the scale squared, by hand: linear path, velocity, eight Gaussians."""
    angles = np.arange(8) * np.pi / 4
    means = math.sqrt(2 * 0.96) * np.stack([np.cos(angles), np.sin(angles)], -1)
    x1 = means[generator.integers(0, 8, len(t))] + 0.2 * generator.standard_normal((len(t), 2))
    eps = generator.standard_normal((len(t), 2))
    a, s = t[:, None], 1 - t[:, None]
    x = a * x1 + s * eps
    variance = (a * 0.2) ** 2 + s**2
    offset = x[:, None] - a[..., None] * means
    logits = -0.5 * (offset**2).sum(-1) / variance
    weight = np.exp(logits - logits.max(1, keepdims=True))
    weight /= weight.sum(1, keepdims=True)
    # velocity = x1 - eps; per component its mean given x
    given = means + (a[..., None] * 0.04 - s[..., None]) / variance[..., None] * offset
    mean = (weight[..., None] * given).sum(1)
    gradient = 2 * factor(t)[:, None] * ((x1 - eps) - mean) / 2
    return (gradient**2).sum(1)


def scale(factor, t: np.ndarray) -> float:
    """The loss a dimension of the linear denoiser of N(0, I): velocity error 1/(t² + (1-t)²) on the linear path."""
    return float((factor(t) / (t**2 + (1 - t) ** 2)).mean())


@pytest.mark.parametrize(
    ("time", "weighting", "factor", "quantile"),
    [
        ("uniform", "t_squared", lambda t: t**2, lambda u: 0.01 + 0.98 * u),
        ("beta:a=3,b=1", "uniform", np.ones_like, lambda u: (0.01**3 + (0.99**3 - 0.01**3) * u) ** (1 / 3)),
        ("u_squared", "uniform", np.ones_like, lambda u: (0.1 + (0.99**0.5 - 0.1) * u) ** 2),
    ],
)
def test_noise_is_that_of_simulated_draws(tiny_config: dict, time: str, weighting: str, factor, quantile) -> None:
    [cell], experiment = cells_of(tiny_config, [time], [weighting])
    fine = quantile((np.arange(100_000) + 0.5) / 100_000)
    generator = np.random.default_rng(0)
    draws = simulated(factor, quantile(generator.random(DRAWN)), generator) / scale(factor, fine) ** 2
    assert abs(noise(cell, experiment).value - draws.mean()) < 4.5 * stats.sem(draws)
    assert stats.sem(draws) < 0.02 * draws.mean()


@pytest.mark.parametrize("weighting", PAIRS)
def test_moving_a_weight_changes_the_noise_and_not_its_least(tiny_config: dict, weighting: str) -> None:
    cells, experiment = cells_of(tiny_config, list(PAIRS[weighting]), [weighting, "uniform"])
    found = {(str(cell.time), str(cell.weighting)): noise(cell, experiment) for cell in cells}
    weight, law = found["uniform", weighting], found[PAIRS[weighting][1], "uniform"]
    assert math.isclose(weight.least, law.least, rel_tol=1e-5)
    assert law.least < law.value < 0.75 * weight.value
    other = found["uniform", "uniform"]
    assert not math.isclose(other.least, law.least, rel_tol=1e-2), "another objective has another least"


def test_a_canonical_weighting_has_the_noise_of_its_form_on_the_output(tiny_config: dict) -> None:
    """fm on the linear path with uniform time is the uniform weight on the velocity."""
    cells, experiment = cells_of(tiny_config, ["uniform"], ["fm", "uniform"])
    one, other = (noise(cell, experiment) for cell in cells)
    assert math.isclose(one.value, other.value, rel_tol=1e-9)


def test_noise_is_not_made_up(tiny_config: dict) -> None:
    tiny_config["experiments"][0] |= {"dataset": "checkerboard"}
    cells, experiment = cells_of(tiny_config, ["uniform"], ["uniform"])
    assert math.isnan(noise(cells[0], experiment).value)
    assert torch.get_num_threads() == 1
