r"""The cascade of bounds on trained networks: 001's Fig. 1 as numbers, with Theorems 1 and 2.

Left: PKL(s) = -H(q) - E_q L^(s) at quarters of the way from data to noise, where it falls (Theorem 1), and the exact
divergence of data and model below it (ST-3) where samples were enough to count it. Middle: PKL at the data end of
chains of T steps and its limit, as a ratio. Right: for every weighting the integral of PKL over nu (Theorem 2) over the
weighted excess loss by its own definition: 1 where the identity holds; hollow where the weight is no sum of bounds,
whose integral is then against a signed measure.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reproflow.analysis.bound_cascade import QUANTITIES
from reproflow.reporting.figures import Source, figure, style

CAPTION = (
    "Bounds on trained networks over the set they were trained on (first seed of each; one symbol a network). Left: "
    "the gap of the improved bound at a noise level, in nats, and the divergence of data and model counted at it "
    "(small symbols). Middle: the gap at the data end in chains of T steps over that in continuous time. Right: "
    "Theorem 2, the integral of the gaps over the weighted excess loss; hollow: weights that are no sum of bounds. "
    "Bars: 95 % intervals. About the ancestral (SDE) model, not the probability flow."
)
SYMBOLS = "osD^v<>Ph*Xpd8"
Z = 1.96


@figure("st_cascade", order=80, title="The cascade of bounds on trained networks")
def draw(source: Source) -> tuple[Figure, pd.DataFrame, str]:
    """The figure, from cascade.csv: a row of panels a process."""
    frame, why = source.cascade
    if frame.empty:
        return style.placeholder(why), frame, CAPTION
    processes = list(dict.fromkeys(frame["process"]))
    figure, rooms = style.panels(len(processes), 3, 3.1 * len(processes), width_ratios=[1, 0.9, 1.35])
    for process, axes in zip(processes, rooms, strict=True):
        own = frame[frame["process"] == process]
        looks = _looks(own)
        _levels(axes[0], own, looks, process)
        _steps(axes[1], own, looks, process)
        _sums(axes[2], own, looks)
    return figure, frame[frame["quantity"].isin(QUANTITIES)], CAPTION


def _looks(own: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Colour and symbol of each network, by cell."""
    colours = style.looks(own["weighting"].unique())
    cells = own.drop_duplicates("cell")
    return {
        cell: {"color": colours[weighting]["color"], "marker": SYMBOLS[i % len(SYMBOLS)], "label": weighting}
        for i, (cell, weighting) in enumerate(zip(cells["cell"], cells["weighting"], strict=True))
    }


def _levels(axes: Axes, own: pd.DataFrame, looks: dict[str, dict[str, Any]], process: str) -> None:
    for cell, look in looks.items():
        rows = own[own["cell"] == cell]
        gaps, counted = (rows[rows["quantity"] == name].dropna(subset="value") for name in ("path_kl", "data_model_kl"))
        _points(axes, gaps["level"], gaps["value"], gaps["se"], look | {"linestyle": "-", "linewidth": 0.9})
        _points(axes, counted["level"], counted["value"], counted["se"], look | {"label": None, "markersize": 2.4})
    axes.set_yscale("log")
    axes.set_xlabel(style.SHOWN[process]().level)
    if style.SHOWN[process]().rising_to_data:
        axes.invert_xaxis()
    axes.set_ylabel("nats")
    axes.set_title(f"{process}: gap of the bound")
    axes.legend(fontsize=6.5, frameon=False, title="trained with", title_fontsize=6.5)


def _steps(axes: Axes, own: pd.DataFrame, looks: dict[str, dict[str, Any]], process: str) -> None:
    axes.axhline(1, color=style.GREY, linewidth=0.8)
    for cell, look in looks.items():
        rows = own[(own["cell"] == cell) & (own["quantity"] == "path_kl_steps")]
        _points(axes, rows["level"], *_ratio(rows), look | {"linestyle": "-", "linewidth": 0.9})
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("steps T of the chain")
    axes.set_ylabel("over the continuous limit")
    axes.set_title("towards continuous time")


def _sums(axes: Axes, own: pd.DataFrame, looks: dict[str, dict[str, Any]]) -> None:
    rows = own[own["quantity"] == "weighted_sum"]
    names = list(dict.fromkeys(rows["at"]))
    axes.axvline(1, color=style.GREY, linewidth=0.8)
    for k, (cell, look) in enumerate(looks.items()):
        each = rows[rows["cell"] == cell]
        places = np.array([names.index(name) for name in each["at"]]) + 0.5 * ((k + 0.5) / len(looks) - 0.5)
        ratio, error = _ratio(each)
        # A ratio with an interval wider than the axis says nothing; it stays in the CSV.
        shown = (Z * error < 0.5).to_numpy()
        for sum_of_bounds in (True, False):
            kept = shown & ((each["verdict"] != "not_representable").to_numpy() == sum_of_bounds)
            face = look["color"] if sum_of_bounds else "white"
            axes.errorbar(
                ratio[kept], places[kept], xerr=Z * error[kept], linestyle="none", elinewidth=0.7, markersize=3.2,
                color=look["color"], marker=look["marker"], markerfacecolor=face, markeredgewidth=0.7,
            )  # fmt: skip
    axes.set_yticks(range(len(names)), names, fontsize=6.5)
    axes.invert_yaxis()
    axes.set_xlabel("integral of bounds / excess loss")
    axes.set_title("Theorem 2 by weighting")


def _points(axes: Axes, x: pd.Series, y: pd.Series, se: pd.Series, look: dict[str, Any]) -> None:
    settings: dict[str, Any] = {"markersize": 4, "elinewidth": 0.8, "linestyle": "none"} | look
    axes.errorbar(x, y, yerr=Z * se, **settings)


def _ratio(rows: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """value / reference, and its standard error."""
    ratio = rows["value"] / rows["reference"]
    relative = np.hypot(rows["se"] / rows["value"], rows["reference_se"] / rows["reference"])
    return ratio, (ratio * relative).abs()
