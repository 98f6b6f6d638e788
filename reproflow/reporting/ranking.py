r"""Rankings of weightings, as a paper prints them: in order of the mean, with what the paired differences can tell.

A block holds the weightings of one data set, process, setup, path, time law, target and number of steps under one
metric; lower is better in every metric. The best is the lowest mean of those with three seeds. For each other
weighting a, over the seeds s that both have,

.. math:: d_s = m_a(s) - m_{best}(s), \qquad \bar d \pm t_{n-1} s_d / \sqrt n, \qquad d_z = \bar d / s_d,

d_z being Cohen's effect size of paired data, and Holm's adjusted p over the block. Ranks: `1` the best, `tied` what
Holm's p does not tell from it, else the place in the order of means. Fewer than three pairs of seeds give neither
interval nor rank. The best is chosen by the same numbers that it is compared with, so that differences to it lean away
from zero.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from reproflow.evaluation.statistics import mean_interval
from reproflow.reporting.comparison import (
    AXES,
    FIXED,
    LEVEL,
    METRICS,
    MIN_SEEDS,
    NOTHING,
    Seeds,
    adjust,
    block_key,
    by_seed,
    candidates,
    difference,
)
from reproflow.reporting.results import records
from reproflow.reporting.wording import DASH, HEADINGS, USUAL, axis_word, interval, number, p_text, text

OTHERS = [axis for axis in AXES if axis != "weighting"]
RANKING_COLUMNS = [
    *FIXED, *OTHERS, "metric", "place", "rank", "weighting", "n", "not_ok", "mean", "sd", "best", "pairs", "difference",
    "difference_se", "difference_low", "difference_high", "d_z", "p", "p_holm", "verdict",
]  # fmt: skip
BEST, TIED, WORSE, FEW, NONE = "best", "tied", "worse", "too few seeds", "no result"
RANKING_NOTE = (
    "Lower is better in every metric. Weightings by their mean over seeds, everything else the same. Difference: to "
    "the lowest mean, paired over seeds, with a 95 % t-interval of its own; d_z: Cohen's effect size of paired data, "
    "the mean difference over its standard deviation; p: Holm-adjusted over the block. Rank: tied where Holm's p is "
    f"{LEVEL:g} or more, so that it is not told from the best, else the place in the order of means. {DASH}: fewer "
    f"than {MIN_SEEDS} seeds, so neither interval nor rank. The best is chosen by the same numbers, so that "
    "differences to it lean away from zero, and a mean leaves out the cells that are not ok."
)


def ranking_table(cells: pd.DataFrame) -> pd.DataFrame:
    """One row a block and weighting, lowest mean first, columns `RANKING_COLUMNS`.

    `cells` as `load_results` gives them. Raises `ReproflowError` when a block holds one seed of a weighting twice.
    """
    rows: list[dict[str, Any]] = []
    for group in candidates(cells, [key for key in block_key("weighting") if key not in ("axis", "steps")]):
        for metric in METRICS:
            if group["weighting"].nunique() > 1 and np.isfinite(group.loc[group["status"] == "ok", metric]).any():
                rows += _block(group, metric)
    return pd.DataFrame(rows, columns=RANKING_COLUMNS)


def _block(group: pd.DataFrame, metric: str) -> list[dict[str, Any]]:
    own = {str(name): rows for name, rows in group.groupby("weighting", sort=True)}
    values = {name: by_seed(rows, metric) for name, rows in own.items()}
    means = {name: mean_interval(list(seeds.values())).mean for name, seeds in values.items()}
    order = sorted(own, key=lambda name: (math.isnan(means[name]), means[name], name))
    best = next((name for name in order if len(values[name]) >= MIN_SEEDS), "")
    rows = [_row(name, best, values, own[name]) for name in order]
    adjust(rows, TIED)
    same = {key: group[key].iloc[0] for key in (*FIXED, *OTHERS)} | {"metric": metric, "best": best}
    return [same | row | {"place": place, **_judged(row, place)} for place, row in enumerate(rows, start=1)]


def _row(name: str, best: str, values: dict[str, Seeds], own: pd.DataFrame) -> dict[str, Any]:
    seeds = list(values[name].values())
    mean, sd = mean_interval(seeds).mean, float(np.std(seeds, ddof=1)) if len(seeds) > 1 else math.nan
    row = {"weighting": name, "n": len(seeds), "not_ok": int((own["status"] != "ok").sum()), "mean": mean, "sd": sd}
    row |= {"p_holm": math.nan, "d_z": math.nan}
    if name == best:
        return row | {"pairs": len(seeds), **NOTHING, "verdict": BEST}
    if len(seeds) < MIN_SEEDS or not best:
        return row | {"pairs": len(seeds), **NOTHING, "verdict": FEW if seeds else NONE}
    return row | difference(values[name], values[best]) | {"d_z": effect(values[name], values[best])}


def _judged(row: dict[str, Any], place: int) -> dict[str, str]:
    """Rank and verdict of a row, once Holm's p is known."""
    if math.isnan(row["p_holm"]):
        return {"rank": "1" if row["verdict"] == BEST else "", "verdict": row["verdict"]}
    told = row["p_holm"] < LEVEL
    return {"rank": str(place) if told else TIED, "verdict": row["verdict"] if told else TIED}


def effect(a: Seeds, b: Seeds) -> float:
    """Cohen's d_z of a - b over common seeds; NaN below three pairs, and where every pair differs by the same."""
    pairs = [a[seed] - b[seed] for seed in a if seed in b]
    deviation = float(np.std(pairs, ddof=1)) if len(pairs) >= MIN_SEEDS else 0.0
    return float(np.mean(pairs)) / deviation if deviation > 0 else math.nan


def show_ranking(frame: pd.DataFrame) -> pd.DataFrame:
    """The ranking as text for reading; nouns stand there only where they vary or are not the usual ones."""
    shown = [key for key in ("setup", *OTHERS) if _said(frame, key)]
    keys = ["dataset", "process", *shown, *(["steps"] if frame["steps"].nunique() > 1 else [])]
    rows = []
    for row in records(frame):
        heading, decimals = HEADINGS[row["metric"]]
        rows.append({
            **{axis_word(key).capitalize(): text(row[key]) for key in keys}, "Metric": heading,
            "Rank": row["rank"] or DASH, "Weighting": row["weighting"], "n": text(row["n"]),
            "Mean": number(row["mean"], decimals), "sd": number(row["sd"], decimals),
            "To the best": number(row["difference"], decimals, True), "95 % interval": interval(row, decimals),
            "d_z": number(row["d_z"], 2, True), "p": p_text(row["p_holm"]), "Verdict": row["verdict"],
        })  # fmt: skip
    return pd.DataFrame(rows, columns=None if rows else ["Dataset", "Metric", "Rank", "Weighting", "Verdict"])


def ranked_bold(frame: pd.DataFrame) -> list[set[str]]:
    """Which columns of a row stand in bold: the best, where everything else is told from it."""
    keys = [*FIXED, *OTHERS, "metric"]
    alone = {key for key, rows in frame.groupby(keys, sort=False) if set(rows["verdict"]) == {BEST, WORSE}}
    rows = zip(frame[keys].itertuples(index=False, name=None), frame["verdict"], strict=True)
    return [{"Weighting", "Mean"} if verdict == BEST and key in alone else set() for key, verdict in rows]


def _said(frame: pd.DataFrame, key: str) -> bool:
    """Whether a column tells rows of one data set and process apart, or is not what is usual."""
    several = bool((frame.groupby(["dataset", "process"])[key].nunique() > 1).any())
    return several or (key in USUAL and bool((~frame[key].isin(["", USUAL[key]])).any()))
