"""The paired comparison of weightings, the statistics behind the tables and the report.

A comparison is made inside a block: one (dataset, process, path, time law, target, steps) and one metric. With m_w(s)
the metric of weighting w at seed s (lower is better in every metric), the row of w holds

    mean_s m_w(s),    d = mean_s [m_w(s) - m_ref(s)]    with its 95 % t-interval over the seeds that both have,

and Holm's adjusted p over the block's comparisons. The reference is `elbo` where it has a result, else the first
weighting that has one. Below three pairs no interval is given. Verdicts: `tied` where the interval contains zero,
`better` or `worse` where it does not and Holm's p is below 0.05 too, `unclear` where only the interval says so.
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

GROUP = ["dataset", "process", "path", "time", "target", "steps"]
METRICS = ("fid_train", "fid_test", "nll_nats", "bound_bits_per_dim")
COMPARISON_COLUMNS = [
    *GROUP, "metric", "weighting", "reference", "n", "not_ok", "mean", "low", "high", "pairs", "difference",
    "difference_se", "difference_low", "difference_high", "p", "p_holm", "verdict", "best",
]  # fmt: skip
MIN_SEEDS = 3  # what `mean_interval` asks for before it gives an interval; said in the tables' notes
LEVEL = 0.05
NOTHING = dict.fromkeys(("difference", "difference_se", "difference_low", "difference_high", "p"), math.nan)
Seeds = dict[Hashable, float]


def comparison_table(cells: pd.DataFrame) -> pd.DataFrame:
    """The paired comparison: one row a block and weighting, the reference first, columns `COMPARISON_COLUMNS`.

    Raises `ReproflowError` when a block holds one seed of a weighting twice, so that pairing has no meaning.
    """
    rows: list[dict[str, Any]] = []
    for key, group in groups(cells):
        for metric in METRICS:
            if np.isfinite(group.loc[group["status"] == "ok", metric]).any():
                rows += [{**key, **row} for row in _block(group, metric)]
    return pd.DataFrame(rows, columns=COMPARISON_COLUMNS)


def groups(cells: pd.DataFrame) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    """The cells that are compared with one another, by the values of `GROUP`.

    A cell that did not end well has the step at which it stopped, or none; it counts in every group it may belong to.
    """
    found = []
    for key, group in cells.groupby(GROUP[:-1], sort=True):
        ok = group["status"] == "ok"
        lengths = sorted(group.loc[ok, "steps"].dropna().unique())
        astray = ~ok & ~group["steps"].isin(lengths)
        for steps in lengths:
            own = group[(group["steps"] == steps) | astray]
            found.append((dict(zip(GROUP, (*key, steps), strict=True)), own))
    return found


def _block(group: pd.DataFrame, metric: str) -> list[dict[str, Any]]:
    values = {str(name): _by_seed(rows, metric) for name, rows in group.groupby("weighting", sort=True)}
    with_result = [name for name, seeds in values.items() if seeds]
    reference = "elbo" if "elbo" in with_result else with_result[0]
    names = [reference, *(name for name in values if name != reference)]
    rows = [_row(name, reference, values, group, metric) for name in names]
    tested = [row for row in rows if not math.isnan(row["p"])]
    for row, adjusted in zip(tested, holm([row["p"] for row in tested]) if tested else [], strict=True):
        row["p_holm"] = adjusted
        if adjusted >= LEVEL and row["verdict"] != "tied":
            row["verdict"] = "unclear"
    lowest = min(with_result, key=lambda name: float(np.mean(list(values[name].values()))))
    for row in rows:
        row["best"] = row["weighting"] == lowest and _beats_all(lowest, values)
    return rows


def _row(name: str, reference: str, values: dict[str, Seeds], group: pd.DataFrame, metric: str) -> dict[str, Any]:
    own, seeds = group[group["weighting"] == name], values[name]
    mean = mean_interval(list(seeds.values()))
    row = {
        "metric": metric, "weighting": name, "reference": reference, "n": mean.n,
        "not_ok": int((own["status"] != "ok").sum()), "mean": mean.mean, "low": mean.low, "high": mean.high,
    }  # fmt: skip
    compared = {"pairs": mean.n, **NOTHING, "verdict": "reference"} if name == reference else None
    return row | (compared or difference(seeds, values[reference])) | {"p_holm": math.nan}


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


def _p_value(mean: float, se: float, n: int) -> float:
    if se == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stats.t.sf(abs(mean / se), n - 1))


def _by_seed(rows: pd.DataFrame, metric: str) -> Seeds:
    ok = rows[(rows["status"] == "ok") & np.isfinite(rows[metric])]
    twice = ok[ok["seed"].duplicated(keep=False)]
    if len(twice):
        first = twice.iloc[0]
        raise ReproflowError(
            f"{metric}: weighting {first['weighting']!r} has seed {first['seed']:g} more than once in one comparison "
            f"(cells {', '.join(map(str, twice['cell'][:3]))}); compare them as separate results."
        )
    return {int(seed): float(value) for seed, value in zip(ok["seed"], ok[metric], strict=True)}


def _beats_all(lowest: str, values: dict[str, Seeds]) -> bool:
    others = [seeds for name, seeds in values.items() if name != lowest and seeds]
    return bool(others) and all(difference(values[lowest], seeds)["verdict"] == "better" for seeds in others)
