r"""FID by weighting in the shape of a paper's table: rows weightings, columns data set, process and split.

A cell is the mean over seeds with an error that holds both the variance between seeds and that of a finite sample. With
s² the variance of the seeds' numbers and j² the mean of their squared jackknife errors,

.. math:: s^2 = \sigma^2_{seed} + j^2, \qquad se^2 = \max(s^2, j^2) / n:

every seed draws its own samples, so that s² contains j² already, and the maximum counts it once even where few seeds
happen to lie closer together than their samples' error allows. Below three seeds there is no error.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from reproflow.analysis.comparison import AXES, FIXED, block_key, by_seed, candidates
from reproflow.analysis.formatting import DASH, HEADINGS, USUAL, axis_word, number, text
from reproflow.analysis.ranking import BEST
from reproflow.analysis.results import Results, records
from reproflow.foundation import measures
from reproflow.numerics.relabelling import FEWEST_SEEDS
from reproflow.numerics.simultaneous import NOT_SEPARATED, WORSE

PLACE = [*FIXED, *(axis for axis in AXES if axis != "weighting")]
METRICS = measures.family("FID")
PARTS = ("", "_sd", "_jackknife", "_error", "_verdict")
FID_COLUMNS = [
    *PLACE, "weighting", "n", "not_ok", *(f"{metric}{part}" for metric in METRICS for part in PARTS), "fid_n",
    "fid_features", "solver", "nfe", "width", "depth",
]  # fmt: skip
FID_NOTE = (
    "Mean over seeds ± standard error, which holds the variance between seeds and the jackknife's over the finite "
    "sample (counted once: every seed draws its own samples). Bold: the lowest, and what is not separated from it "
    f"(see the ranking; none where too few seeds decide nothing); {DASH}: no number. "
    "FID depends on the feature network and on the number of samples: these "
    "numbers compare with each other where both are the same, and on the digits' own network never with FID on "
    "Inception features. Shi & Titsias report 1.92 on ImageNet 64 x 64: class-conditional, 324M parameters, the "
    "simple weighting, 256 steps; another data set, another network and other features than any number here."
)


def fid_table(read: Results, ranking: pd.DataFrame) -> pd.DataFrame:
    """One row a place (data set, process, setup, the other nouns) and weighting that has FID, columns `FID_COLUMNS`.

    `ranking` as `ranking.ranking_table` makes it, for the verdicts. Raises `ReproflowError` where a seed occurs twice.
    """
    verdicts = {tuple(row[key] for key in (*PLACE, "weighting", "metric")): row["verdict"] for row in records(ranking)}
    rows = []
    for group in candidates(read.cells, [key for key in block_key("weighting") if key not in ("axis", "steps")]):
        if group["fid_train"].notna().any():
            rows += [_row(read, own, verdicts) for _, own in group.groupby("weighting", sort=True)]
    return pd.DataFrame(rows, columns=FID_COLUMNS)


def _row(read: Results, own: pd.DataFrame, verdicts: dict[tuple[Any, ...], str]) -> dict[str, Any]:
    first, ok = own.iloc[0], own[own["status"] == "ok"]
    row = {key: first[key] for key in (*PLACE, "weighting")}
    row |= {"n": len(ok), "not_ok": len(own) - len(ok)}
    for metric in METRICS:
        row |= _estimate(ok, metric)
        row[f"{metric}_verdict"] = verdicts.get((*(first[key] for key in PLACE), first["weighting"], metric), "")
    measured = {key: _one(ok[key]) for key in ("fid_n", "fid_features", "solver", "nfe")}
    model = next((each.model for each in read.experiments if each.name == first["setup"]), None)
    return row | measured | {"width": model.width if model else math.nan, "depth": model.depth if model else math.nan}


def _estimate(ok: pd.DataFrame, metric: str) -> dict[str, float]:
    values = list(by_seed(ok, metric).values())
    mean = float(np.mean(values)) if values else math.nan
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    jackknife = float(np.sqrt(np.square(ok[f"{metric}_se"]).mean()))
    error = np.nanmax([sd, jackknife]) / math.sqrt(len(values)) if len(values) >= FEWEST_SEEDS else math.nan
    return {f"{metric}{part}": value for part, value in zip(PARTS, (mean, sd, jackknife, error), strict=False)}


def _one(column: pd.Series) -> Any:
    """The value that all cells have, else every one of them."""
    found = sorted(set(column.dropna()) - {""})
    return found[0] if len(found) == 1 else "; ".join(map(text, found))


def show_fid(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[set[str]]]:
    """The table as text, weightings by data set, process and split, and which columns of a row stand in bold."""
    names = _headings(frame)
    weightings = sorted(frame["weighting"].unique(), key=lambda name: (name != "elbo", name))
    shown = {name: {"Weighting": name} for name in weightings}
    bold: dict[str, set[str]] = {name: set() for name in weightings}
    decided = {
        (*_key(row), metric)
        for row in records(frame)
        for metric in METRICS
        if row[f"{metric}_verdict"] in (NOT_SEPARATED, WORSE)
    }
    for row in records(frame):
        for metric in METRICS:
            heading, decimals = HEADINGS[metric]
            column = f"{names[_key(row)]} {heading}"
            error = row[f"{metric}_error"]
            value = number(row[metric], decimals) + ("" if math.isnan(error) else f" ± {number(error, decimals)}")
            shown[row["weighting"]][column] = value
            if (*_key(row), metric) in decided and row[f"{metric}_verdict"] in (BEST, NOT_SEPARATED):
                bold[row["weighting"]].add(column)
    table = pd.DataFrame(list(shown.values()), columns=None if shown else ["Weighting"]).fillna(DASH)
    return table, list(bold.values())


def head(frame: pd.DataFrame) -> str:
    """What was measured, a sentence a column group: data set, network, steps, samples, features, evaluations."""
    said = []
    for row in records(frame.drop_duplicates(PLACE)):
        network = "network not recorded" if row["width"] != row["width"] else _network(row)
        said.append(
            f"{_headings(frame)[_key(row)]}: {network}, {text(row['steps'])} training steps, N = {text(row['fid_n'])} "
            f"samples, features {row['fid_features'] or 'not recorded'}, {row['solver']} with {text(row['nfe'])} "
            "function evaluations a sample"
        )
    return f"FID by weighting. {'; '.join(said)}." if said else "FID by weighting: these results have none."


def _network(row: dict[str, Any]) -> str:
    return f"class-conditional MLP of {text(float(row['depth']))} x {text(float(row['width']))} units"


def _headings(frame: pd.DataFrame) -> dict[tuple[Any, ...], str]:
    """What each group of columns is called: data set and process, and the nouns that tell it from the others."""
    places = records(frame.drop_duplicates(PLACE))
    varies = [key for key in PLACE[2:] if len({row[key] for row in places}) > 1 and key not in ("setup", "target")]
    found: dict[tuple[Any, ...], str] = {}
    for row in places:
        unusual = [f"{text(row[key])} {axis_word(key)}" for key in varies if row[key] not in ("", USUAL.get(key))]
        name = " ".join([row["dataset"], row["process"], *unusual])
        taken = name in found.values()
        found[_key(row)] = f"{name} ({row['setup']}, {row['target']})" if taken else name
    return found


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[key] for key in PLACE)
