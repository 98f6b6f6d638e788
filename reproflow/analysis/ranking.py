r"""Rankings of weightings, as a paper prints them: in order of the mean, with what the paired differences can tell.

A block holds the weightings of one data set, process, setup, path, time law, target and number of steps under one
metric; lower is better in every metric. The best is the lowest mean of those with three seeds. For each other
weighting a, over the seeds s that both have,

.. math:: d_s = m_a(s) - m_{best}(s), \qquad d_z = \bar d / s_d,

d_z being Cohen's effect size of paired data; interval and p are simultaneous over all pairs of weightings of the block
(`numerics.paired`), because the best is found by the same numbers that it is compared with. Ranks: `1` the best, its
place in the order of means where a weighting is separated from the best, else `not separated`, which does not say that
they are equal. Fewer than eight pairs of seeds give neither interval nor rank.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from reproflow.analysis.comparison import AXES, FIXED, all_pairs, block_key, by_seed, candidates
from reproflow.analysis.formatting import DASH, HEADINGS, USUAL, axis_word, interval, number, p_text, text, with_error
from reproflow.analysis.results import records
from reproflow.foundation import measures
from reproflow.numerics.paired import NOTHING, Seeds, needed
from reproflow.numerics.relabelling import FEWEST_PAIRS, FEWEST_SEEDS
from reproflow.numerics.simultaneous import BETTER, NOT_SEPARATED, TOO_FEW, WORSE
from reproflow.numerics.statistics import mean_interval

OTHERS = [axis for axis in AXES if axis != "weighting"]
RANKING_COLUMNS = [
    *FIXED, *OTHERS, "metric", "place", "rank", "weighting", "n", "not_ok", "mean", "sd", "best", "pairs", "difference",
    "difference_se", "difference_low", "difference_high", "d_z", "p", "p_holm", "verdict",
    "p_adjusted", "detectable",
]  # fmt: skip
BLOCK = [key for key in block_key("weighting") if key not in ("axis", "steps")]
"""What is the same in all cells of a block, steps apart."""
BEST = "best"
NONE = "no result"
RANKING_NOTE = (
    "Lower is better in every metric. Weightings by their mean over seeds, everything else the same. Difference: to "
    "the lowest mean, paired over seeds; interval and p: simultaneous at 95 % over all pairs of weightings of the "
    "block, by sign flips of whole seeds; where a difference is rejected the interval ends at zero on its side. d_z: "
    "Cohen's effect size of paired data, the mean difference over its standard deviation. Rank: the place in the order "
    "of means where a weighting is separated from the best; not separated: neither a difference nor its absence is "
    f"shown, and detectable is the difference that would be found with power 0.8. Fewer than {FEWEST_PAIRS} pairs of "
    "seeds give neither interval nor rank. A mean leaves out the cells that are not ok."
)


def ranking_table(cells: pd.DataFrame) -> pd.DataFrame:
    """One row a block and weighting, lowest mean first, columns `RANKING_COLUMNS`.

    `cells` as `load_results` gives them. Raises `ReproflowError` when a block holds one seed of a weighting twice.
    """
    rows: list[dict[str, Any]] = []
    for group in candidates(cells, BLOCK):
        for metric in measures.compared(cells.columns):
            if group["weighting"].nunique() > 1 and np.isfinite(group.loc[group["status"] == "ok", metric]).any():
                rows += _block(group, metric)
    return pd.DataFrame(rows, columns=RANKING_COLUMNS)


def _block(group: pd.DataFrame, metric: str) -> list[dict[str, Any]]:
    own = {str(name): rows for name, rows in group.groupby("weighting", sort=True)}
    values = {name: by_seed(rows, metric) for name, rows in own.items()}
    means = {name: mean_interval(list(seeds.values())).mean for name, seeds in values.items()}
    order = sorted(own, key=lambda name: (math.isnan(means[name]), means[name], name))
    best = _best([name for name in order if len(values[name]) >= FEWEST_SEEDS], values)
    compared = all_pairs({name: values[name] for name in order if values[name]})
    rows = [_row(name, best, values, own[name], compared) for name in order]
    decided = len(order) == 1 or any(row["verdict"] in (WORSE, NOT_SEPARATED, BETTER) for row in rows)
    same = {key: group[key].iloc[0] for key in (*FIXED, *OTHERS)} | {"metric": metric, "best": best}
    return [
        same | row | {"place": place, "rank": _rank(row, place) if decided else ""}
        for place, row in enumerate(rows, start=1)
    ]


def _best(names: list[str], values: dict[str, Seeds]) -> str:
    """The lowest mean over the seeds that all of them have, as comparisons are; else the first."""
    common = set.intersection(*(set(values[name]) for name in names)) if names else set()
    if len(common) < FEWEST_SEEDS:
        return names[0] if names else ""
    return min(names, key=lambda name: float(np.mean([values[name][seed] for seed in common])))


def _row(
    name: str, best: str, values: dict[str, Seeds], own: pd.DataFrame, compared: dict[tuple[str, str], dict[str, Any]]
) -> dict[str, Any]:
    seeds = list(values[name].values())
    mean, sd = mean_interval(seeds).mean, float(np.std(seeds, ddof=1)) if len(seeds) > 1 else math.nan
    row = {"weighting": name, "n": len(seeds), "not_ok": int((own["status"] != "ok").sum()), "mean": mean, "sd": sd}
    row |= {"pairs": len(seeds), **NOTHING, "d_z": math.nan}
    if name == best:
        return row | {"verdict": BEST}
    if not seeds or not best:
        return row | {"verdict": TOO_FEW if seeds else NONE}
    return row | compared[name, best] | {"d_z": effect(values[name], values[best])}


def _rank(row: dict[str, Any], place: int) -> str:
    if row["verdict"] == BEST:
        return "1"
    if row["verdict"] == WORSE:
        return str(place)
    return NOT_SEPARATED if row["verdict"] == NOT_SEPARATED else ""


def effect(a: Seeds, b: Seeds) -> float:
    """Cohen's d_z of a - b over common seeds; NaN below three pairs, and where every pair differs by the same."""
    pairs = [a[seed] - b[seed] for seed in a if seed in b]
    deviation = float(np.std(pairs, ddof=1)) if len(pairs) >= FEWEST_SEEDS else 0.0
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
            "To the best": with_error(row, decimals), "95 % interval": interval(row, decimals),
            "d_z": number(row["d_z"], 2, True), "p": p_text(row["p_adjusted"]),
            "Detectable": number(row["detectable"], decimals), "Verdict": spoken(row),
        })  # fmt: skip
    return pd.DataFrame(rows, columns=None if rows else ["Dataset", "Metric", "Rank", "Weighting", "Verdict"])


def spoken(row: dict[str, Any]) -> str:
    """The verdict of a row, with the number of pairs needed where there are too few."""
    return needed(row["pairs"]) if row["verdict"] == TOO_FEW else row["verdict"]


def ranked_bold(frame: pd.DataFrame) -> list[set[str]]:
    """Which columns of a row stand in bold: the best, where everything else is separated from it."""
    keys = [*FIXED, *OTHERS, "metric"]
    alone = {key for key, rows in frame.groupby(keys, sort=False) if set(rows["verdict"]) == {BEST, WORSE}}
    rows = zip(frame[keys].itertuples(index=False, name=None), frame["verdict"], strict=True)
    return [{"Weighting", "Mean"} if verdict == BEST and key in alone else set() for key, verdict in rows]


def _said(frame: pd.DataFrame, key: str) -> bool:
    """Whether a column tells rows of one data set and process apart, or is not what is usual."""
    several = bool((frame.groupby(["dataset", "process"])[key].nunique() > 1).any())
    return several or (key in USUAL and bool((~frame[key].isin(["", USUAL[key]])).any()))
