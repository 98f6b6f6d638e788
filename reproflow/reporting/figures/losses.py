"""Training curves, one small panel an experiment, with the loss that no network can go below."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reproflow.reporting.figures import style
from reproflow.reporting.results import Results, load_results

EXPERIMENT = ["dataset", "process", "path", "time", "target"]
COLUMNS = [*EXPERIMENT, "weighting", "step", "loss", "low", "high", "floor", "seeds"]
BINS = 80
CAPTION = (
    "Training loss over steps, in units of the linear-Gaussian denoiser's loss (masked: of the uniform guess). Line: "
    "mean over seeds; band: lowest to highest seed; dashed: the irreducible loss, where it is known. The floor is not "
    "zero, and losses under different weightings are different quantities: compare a line with its own floor, not with "
    "another line."
)


def draw(results: Path) -> tuple[Figure, pd.DataFrame, str]:
    """The figure, from curves.csv joined with the cells' identity."""
    read = load_results(results)
    frame = averaged(read)
    if frame.empty:
        why = read.why_missing("curves.csv", "cells.csv") or "no training curves"
        return style.placeholder(why), frame, CAPTION
    looks = style.looks(read.cells["weighting"])
    groups = list(frame.groupby(EXPERIMENT, sort=True))
    columns = min(3 if len(groups) > 4 else 2, len(groups))
    rows = -(-len(groups) // columns)
    figure, grid = style.panels(rows, columns, 2.5 * rows + 0.2)
    flat = [axes for row in grid for axes in row]
    for axes, (key, group) in zip(flat, groups, strict=False):
        _panel(axes, group, looks)
        axes.set_title("{} · {}\n{} path, {} time, {}".format(*key), fontsize=8.5)
    for axes in flat[len(groups) :]:
        axes.remove()
    figure.draw_without_rendering()
    for axes, (_, group) in zip(flat, groups, strict=False):
        last = group.dropna(subset="loss").groupby("weighting", sort=True).last()
        style.label_ends(axes, [(row.loss, str(name), looks[str(name)]["color"]) for name, row in last.iterrows()])
    return figure, frame, CAPTION


def averaged(read: Results) -> pd.DataFrame:
    """Mean, lowest and highest loss over seeds in at most `BINS` bins of steps; `step` is the mean step of a bin."""
    joined = read.curves.merge(read.cells[[*EXPERIMENT, "weighting", "seed", "cell"]], on="cell", how="inner")
    joined = joined[np.isfinite(joined["loss"])]
    if joined.empty:
        return pd.DataFrame(columns=COLUMNS)
    width = max(1.0, (joined["step"].max() + 1) / BINS)
    joined["bin"] = (joined["step"] // width).astype(int)
    keys = [*EXPERIMENT, "weighting", "bin"]
    seeds = joined.groupby([*keys, "seed"], sort=True)[["step", "loss", "floor"]].mean().reset_index()
    named = {"step": ("step", "mean"), "loss": ("loss", "mean"), "low": ("loss", "min"), "high": ("loss", "max")}
    named |= {"floor": ("floor", "mean"), "seeds": ("seed", "size")}
    return seeds.groupby(keys, sort=True).agg(**named).reset_index()[COLUMNS]


def _panel(axes: Axes, group: pd.DataFrame, looks: dict) -> None:
    for name, curve in group.groupby("weighting", sort=True):
        axes.fill_between(
            curve["step"], curve["low"], curve["high"], color=looks[name]["color"], alpha=0.14, linewidth=0
        )
        axes.plot(curve["step"], curve["loss"], linewidth=1.4, **looks[name])
        axes.plot(curve["step"], curve["floor"], color=looks[name]["color"], linestyle=(0, (2, 2)), linewidth=1)
    positive = group.loc[group["loss"] > 0, "loss"]
    if len(positive) and positive.max() > 8 * positive.min():
        axes.set_yscale("log")
    axes.set(xlabel="step", ylabel="loss", xlim=(0, group["step"].max()))
