"""The paired comparison along one noun, the statistics behind the tables and the report.

A block compares the values of one noun, its `axis` (weightings, time laws, paths, ..), while everything else is fixed:
data set, process, the other nouns, steps, setup (network, training, sampling and likelihood settings), and one metric.
With m_a(s) the metric of value a at seed s (lower is better in every metric), the row of a holds

    mean_s m_a(s),    d = mean_s [m_a(s) - m_ref(s)]    with its simultaneous 95 % interval,

over the seeds that both have, in one family a block: `numerics.paired`. The reference is the usual value
(`REFERENCES`) where it has a result, else the first that has one. Verdicts: `worse`, `better`, `not separated`, and
below eight pairs `too few seeds`, without an interval. That two values are not separated does not show them equal.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd

from reproflow.foundation import measures
from reproflow.foundation.errors import ReproflowError
from reproflow.numerics.paired import NOTHING, Seeds, compare_seeds
from reproflow.numerics.simultaneous import BETTER
from reproflow.numerics.statistics import mean_interval

# axis -> the value that the others are compared with, where it has a result
REFERENCES = {
    "weighting": "elbo", "time": "uniform", "path": "linear", "target": "velocity", "coupling": "independent",
    "divergence": "squared",
}  # fmt: skip
AXES = tuple(REFERENCES)
FIXED = ["dataset", "process", "setup", "steps"]
COMPARISON_COLUMNS = [
    "axis", *FIXED, *AXES, "metric", "reference", "n", "not_ok", "mean", "low", "high", "pairs", "difference",
    "difference_se", "difference_low", "difference_high", "p", "p_holm", "verdict", "best", "p_adjusted", "detectable",
]  # fmt: skip


def comparison_table(cells: pd.DataFrame) -> pd.DataFrame:
    """The paired comparisons: one row a block and value of its axis, the reference first, columns `COMPARISON_COLUMNS`.

    `cells` as `load_results` gives them. Cells that no block compares stand in blocks of one, so that every mean is
    shown. Raises `ReproflowError` when a block holds one seed of a value twice, so that pairing has no meaning.
    """
    rows: list[dict[str, Any]] = []
    for axis, group in groups(cells):
        for metric in measures.compared(cells.columns):
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
    compared = compare_seeds([(values[name], values[reference]) for name in names[1:]])
    for row, found in zip(rows[1:], compared, strict=True):
        row |= found
    lowest = min(with_result, key=lambda name: float(np.mean(list(values[name].values()))))
    beats = _beats_all(lowest, {name: values[name] for name in with_result})
    for row in rows:
        row["best"] = row[axis] == lowest and beats
    return rows


def _row(name: str, reference: str, values: dict[str, Seeds], own: pd.DataFrame, metric: str) -> dict[str, Any]:
    mean = mean_interval(list(values[name].values()))
    return {key: own[key].iloc[0] for key in (*FIXED, *AXES)} | {
        "metric": metric, "reference": reference, "n": mean.n, "not_ok": int((own["status"] != "ok").sum()),
        "mean": mean.mean, "low": mean.low, "high": mean.high, "pairs": mean.n, **NOTHING, "verdict": "reference",
    }  # fmt: skip


def all_pairs(values: dict[str, Seeds]) -> dict[tuple[str, str], dict[str, Any]]:
    """Every ordered pair of names with its comparison, in one family.

    The lowest mean is found by the same numbers that it is compared with; with all pairs in the family, what is
    rejected of it holds whichever it is.
    """
    pairs = list(itertools.combinations(values, 2))
    rows = dict(zip(pairs, compare_seeds([(values[a], values[b]) for a, b in pairs]), strict=True))
    return rows | {(b, a): mirrored(row) for (a, b), row in rows.items()}


def mirrored(row: dict[str, Any]) -> dict[str, Any]:
    """The comparison of b with a, given that of a with b."""
    other = {"worse": "better", "better": "worse"}
    ends = {"difference_low": -row["difference_high"], "difference_high": -row["difference_low"]}
    return row | {"difference": -row["difference"], **ends, "verdict": other.get(row["verdict"], row["verdict"])}


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


def _beats_all(lowest: str, values: dict[str, Seeds]) -> bool:
    compared = all_pairs(values)
    return len(values) > 1 and all(compared[lowest, other]["verdict"] == BETTER for other in values if other != lowest)
