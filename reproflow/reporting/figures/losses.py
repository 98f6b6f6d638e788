"""Training curves, one small panel each, with the loss that no network can go below."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reproflow.analysis.formatting import axis_word, label
from reproflow.analysis.results import Results
from reproflow.reporting.figures import Source, figure, style

BLOCK = ["dataset", "process"]
NOUNS = ["path", "time", "target", "coupling", "divergence", "setup"]
COLUMNS = [*BLOCK, *NOUNS, "weighting", "step", "loss", "low", "high", "floor", "floor_se", "seeds"]
BINS = 60
ACROSS = 6
WRAP = 25
Block = list[tuple[dict[str, Any], pd.DataFrame]]  # the panels of one data set and process
LINE = "#0173b2"
FLOOR = "#c44e00"
CAPTION = (
    "Training loss over steps, in units of the linear-Gaussian denoiser's loss (masked: of the uniform guess). Line: "
    "mean over seeds; band: lowest to highest seed; dashed: the irreducible loss with its 95 % interval, where it is "
    "known. Every panel has its own scale, which leaves out the first tenth of the steps. The floor is not zero, and "
    "losses under different objectives are different quantities: compare a line with its own floor, not with another "
    "line."
)


@figure("losses", order=30, title="Training")
def draw(source: Source) -> tuple[Figure, pd.DataFrame, str]:
    """The figure, from curves.csv joined with the cells' identity."""
    read = source.results
    frame = averaged(read)
    if frame.empty:
        why = read.why_missing("curves.csv", "cells.csv") or "no training curves"
        return style.placeholder(why), frame, CAPTION
    blocks = [_panels(rows) for _, rows in frame.groupby(BLOCK, sort=True)]
    figure, rooms = style.sections({_heading(block): len(block) for block in blocks}, ACROSS, 1.35)
    for block, room in zip(blocks, rooms, strict=True):
        for i, ((each, curve), axes) in enumerate(zip(block, room, strict=True)):
            _panel(axes, curve)
            name = style.heading(label(each, _varies(block)), WRAP)
            axes.set_title(name, fontsize=6.8, linespacing=1.15, pad=3)
            axes.set_xlabel("step" if i >= len(block) - ACROSS else "", fontsize=7, labelpad=1)
    return figure, frame, CAPTION


def averaged(read: Results) -> pd.DataFrame:
    """Mean, lowest and highest loss over seeds in at most `BINS` bins of steps; `step` is the mean step of a bin."""
    joined = read.curves.merge(read.cells[[*BLOCK, *NOUNS, "weighting", "seed", "cell"]], on="cell", how="inner")
    joined = joined[np.isfinite(joined["loss"])]
    if joined.empty:
        return pd.DataFrame(columns=COLUMNS)
    width = max(1.0, (joined["step"].max() + 1) / BINS)
    joined["bin"] = (joined["step"] // width).astype(int)
    keys = [*BLOCK, *NOUNS, "weighting", "bin"]
    seeds = joined.groupby([*keys, "seed"], sort=True)[["step", "loss", "floor", "floor_se"]].mean().reset_index()
    named = {"step": ("step", "mean"), "loss": ("loss", "mean"), "low": ("loss", "min"), "high": ("loss", "max")}
    named |= {"floor": ("floor", "mean"), "floor_se": ("floor_se", "mean"), "seeds": ("seed", "size")}
    return seeds.groupby(keys, sort=True).agg(**named).reset_index()[COLUMNS]


def _panels(rows: pd.DataFrame) -> Block:
    """The curves of a data set and process with what they are of, usual path and time law first."""
    keys = [*BLOCK, *NOUNS, "weighting"]
    found = [(dict(zip(keys, key, strict=True)), own) for key, own in rows.groupby(keys, sort=True)]
    return sorted(found, key=lambda each: style.order(each[0] | {"steps": 0}))


def _heading(block: Block) -> str:
    first, varies = block[0][0], _varies(block)
    same = [f"{first[key]} {axis_word(key)}" for key in ("path", "time", "target") if key not in varies]
    return " · ".join([first["dataset"], first["process"], *same])


def _varies(block: Block) -> list[str]:
    return [key for key in NOUNS if len({each[key] for each, _ in block}) > 1]


def _panel(axes: Axes, curve: pd.DataFrame) -> None:
    axes.fill_between(curve["step"], curve["low"], curve["high"], color=LINE, alpha=0.18, linewidth=0)
    axes.plot(curve["step"], curve["loss"], color=LINE, linewidth=1.1)
    last, floor = curve["step"].max(), curve[["floor", "floor_se"]].iloc[-1].fillna(0)
    if curve["floor"].notna().any():
        axes.axhspan(
            *(floor["floor"] + 1.96 * floor["floor_se"] * np.array([-1, 1])), color=FLOOR, alpha=0.18, linewidth=0
        )
        axes.axhline(floor["floor"], color=FLOOR, linestyle=(0, (4, 2)), linewidth=1)
    seen = curve[curve["step"] >= 0.1 * last][["low", "high", "floor"]].to_numpy()
    low, high = float(np.nanmin(seen)), float(np.nanmax(seen))
    room = 0.06 * (high - low) or 0.01 * max(abs(high), math.ulp(1))
    axes.set(xlim=(0, last), ylim=(low - room, high + room))
    axes.tick_params(labelsize=6.3, length=2, pad=1.5)
    axes.xaxis.set_major_locator(MaxNLocator(2, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(3))
