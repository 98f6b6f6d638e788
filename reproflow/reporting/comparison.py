"""The paired comparison along one noun, the statistics behind the tables and the report.

A block compares the values of one noun, its `axis` (weightings, time laws, paths, ..), while everything else is fixed:
data set, process, the other nouns, steps, setup (network, training, sampling and likelihood settings), and one metric.
With m_a(s) the metric of value a at seed s (lower is better in every metric), the row of a holds

    mean_s m_a(s),    d = mean_s [m_a(s) - m_ref(s)]    with its 95 % t-interval over the seeds that both have,

and Holm's adjusted p over the block's comparisons. The reference is the usual value (`REFERENCES`) where it has a
result, else the first that has one. Below three pairs no interval is given. Verdicts: `tied` where the interval
contains zero, `better` or `worse` where it does not and Holm's p is below 0.05 too, `unclear` where only the interval
says so.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from reproflow.evaluation.statistics import holm, mean_interval, paired
from reproflow.foundation.errors import ReproflowError

# axis -> the value that the others are compared with, where it has a result
REFERENCES = {
    "weighting": "elbo", "time": "uniform", "path": "linear", "target": "velocity", "coupling": "independent",
    "divergence": "squared",
}  # fmt: skip
AXES = tuple(REFERENCES)
FIXED = ["dataset", "process", "setup", "steps"]
METRICS = ("fid_train", "fid_test", "nll_nats", "bound_bits_per_dim", "ode_bits_per_dim")
COMPARISON_COLUMNS = [
    "axis", *FIXED, *AXES, "metric", "reference", "n", "not_ok", "mean", "low", "high", "pairs", "difference",
    "difference_se", "difference_low", "difference_high", "p", "p_holm", "verdict", "best",
]  # fmt: skip
MIN_SEEDS = 3  # what `mean_interval` asks for before it gives an interval; said in the tables' notes
LEVEL = 0.05
NOTHING = dict.fromkeys(("difference", "difference_se", "difference_low", "difference_high", "p"), math.nan)
Seeds = dict[Hashable, float]


def comparison_table(cells: pd.DataFrame) -> pd.DataFrame:
    """The paired comparisons: one row a block and value of its axis, the reference first, columns `COMPARISON_COLUMNS`.

    `cells` as `load_results` gives them. Cells that no block compares stand in blocks of one, so that every mean is
    shown. Raises `ReproflowError` when a block holds one seed of a value twice, so that pairing has no meaning.
    """
    rows: list[dict[str, Any]] = []
    for axis, group in groups(cells):
        for metric in METRICS:
            if np.isfinite(group.loc[group["status"] == "ok", metric]).any():
                rows += _block(group, axis, metric)
    return pd.DataFrame(rows, columns=COMPARISON_COLUMNS)


def groups(cells: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The axis and cells of every block, by axis in the order of `AXES`.

    A cell that did not end well has the step at which it stopped, or none; it counts in every block it may belong to.
    """
    found: list[tuple[str, pd.DataFrame]] = []
    compared: set[str] = set()
    by_axis = {
        axis: candidates(cells, [key for key in block_key(axis) if key not in ("axis", "steps")]) for axis in AXES
    }
    for axis, candidate in by_axis.items():
        found += [(axis, group) for group in candidate if group[axis].nunique() > 1]
    for _, group in found:
        compared |= set(group["cell"])
    alone = [("weighting", group) for group in by_axis["weighting"] if not compared & set(group["cell"])]
    return sorted([*found, *alone], key=lambda each: AXES.index(each[0]))


def block_key(axis: str) -> list[str]:
    """The columns that are the same in all rows of a block of this axis (the metric aside)."""
    return ["axis", *FIXED, *(each for each in AXES if each != axis)]


def candidates(cells: pd.DataFrame, keys: list[str]) -> list[pd.DataFrame]:
    """Cells by the values of `keys` and the number of steps; one that did not end well is in each it may belong to."""
    found = []
    for _, group in cells.groupby(keys, sort=True):
        ok = group["status"] == "ok"
        lengths = sorted(group.loc[ok, "steps"].dropna().unique())
        astray = ~ok & ~group["steps"].isin(lengths)
        found += [group[(group["steps"] == steps) | astray].assign(steps=steps) for steps in lengths]
    return found


def _block(group: pd.DataFrame, axis: str, metric: str) -> list[dict[str, Any]]:
    values = {str(name): by_seed(rows, metric) for name, rows in group.groupby(axis, sort=True)}
    with_result = [name for name, seeds in values.items() if seeds]
    reference = REFERENCES[axis] if REFERENCES[axis] in with_result else with_result[0]
    names = [reference, *(name for name in values if name != reference)]
    rows = [_row(name, reference, values, group[group[axis] == name], metric) | {"axis": axis} for name in names]
    adjust(rows, "tied")
    lowest = min(with_result, key=lambda name: float(np.mean(list(values[name].values()))))
    for row in rows:
        row["best"] = row[axis] == lowest and _beats_all(lowest, values)
    return rows


def _row(name: str, reference: str, values: dict[str, Seeds], own: pd.DataFrame, metric: str) -> dict[str, Any]:
    seeds = values[name]
    mean = mean_interval(list(seeds.values()))
    row = {key: own[key].iloc[0] for key in (*FIXED, *AXES)} | {
        "metric": metric, "reference": reference, "n": mean.n, "not_ok": int((own["status"] != "ok").sum()),
        "mean": mean.mean, "low": mean.low, "high": mean.high,
    }  # fmt: skip
    compared = {"pairs": mean.n, **NOTHING, "verdict": "reference"} if name == reference else None
    return row | (compared or difference(seeds, values[reference])) | {"p_holm": math.nan}


def adjust(rows: list[dict[str, Any]], equal: str) -> None:
    """Sets `p_holm` of the rows that have a p; what only the interval separates, and Holm does not, is `unclear`."""
    tested = [row for row in rows if not math.isnan(row["p"])]
    for row, adjusted in zip(tested, holm([row["p"] for row in tested]) if tested else [], strict=True):
        row["p_holm"] = adjusted
        if adjusted >= LEVEL and row["verdict"] != equal:
            row["verdict"] = "unclear"


def difference(a: Seeds, b: Seeds) -> dict[str, Any]:
    """Paired difference a - b over common seeds: pairs, difference, se, interval, p (two-sided t), verdict."""
    estimate = paired(a, b)
    if estimate.n == 0:
        return {"pairs": 0, **NOTHING, "verdict": "no result"}
    if not estimate.decided:
        return {"pairs": estimate.n, **NOTHING, "difference": estimate.mean, "verdict": "too few seeds"}
    verdict = "tied" if estimate.low <= 0 <= estimate.high else "better" if estimate.high < 0 else "worse"
    p = _p_value(estimate.mean, estimate.se, estimate.n)
    numbers = (estimate.mean, estimate.se, estimate.low, estimate.high, p)
    return {"pairs": estimate.n, **dict(zip(NOTHING, numbers, strict=True)), "verdict": verdict}


def by_seed(rows: pd.DataFrame, metric: str) -> Seeds:
    """The metric of the cells that have it, by seed. Raises `ReproflowError` for a seed that occurs twice."""
    ok = rows[(rows["status"] == "ok") & np.isfinite(rows[metric])]
    twice = ok[ok["seed"].duplicated(keep=False)]
    if len(twice):
        first = twice.iloc[0]
        raise ReproflowError(
            f"{metric}: weighting {first['weighting']!r} has seed {first['seed']:g} more than once in one comparison "
            f"(cells {', '.join(map(str, twice['cell'][:3]))}); compare them as separate results."
        )
    return {int(seed): float(value) for seed, value in zip(ok["seed"], ok[metric], strict=True)}


def _p_value(mean: float, se: float, n: int) -> float:
    if se == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stats.t.sf(abs(mean / se), n - 1))


def _beats_all(lowest: str, values: dict[str, Seeds]) -> bool:
    others = [seeds for name, seeds in values.items() if name != lowest and seeds]
    return bool(others) and all(difference(values[lowest], seeds)["verdict"] == "better" for seeds in others)
