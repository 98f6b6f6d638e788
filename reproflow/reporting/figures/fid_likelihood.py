"""Sample quality against likelihood: FID (train) over the bound in bits per dimension, one point a weighting."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reproflow.analysis.formatting import label
from reproflow.analysis.results import records
from reproflow.foundation import measures
from reproflow.reporting.figures import Source, figure, pairs, style

X = measures.primary("images")[0]
Y = measures.family("FID")[0]
CAPTION = (
    "FID against the training images over the bound on the negative log-likelihood; lower is better in both. Mean "
    "over seeds, bars one standard deviation between seeds (none for a single seed). Bars show spread, not the "
    "significance of a difference: for that see the paired comparison."
)
LEADER = {"arrowstyle": "-", "color": style.GREY, "linewidth": 0.5, "alpha": 0.5, "shrinkB": 4, "relpos": (0, 0.5)}


@figure("fid_likelihood", order=20, title="Sample quality against likelihood")
def draw(source: Source) -> tuple[Figure, pd.DataFrame, str]:
    """The figure, from the cells that have both numbers: one panel a (dataset, process)."""
    read = source.results
    frame = pairs.means(read.cells, X, Y)
    if frame.empty:
        why = read.why_missing("cells.csv") or "no cell has both an FID and a bound"
        return style.placeholder(why), frame, CAPTION
    looks = style.looks(read.cells["weighting"])
    groups = list(frame.groupby(["dataset", "process"], sort=True))
    columns = min(2, len(groups))
    rows = -(-len(groups) // columns)
    figure, grid = style.panels(rows, columns, 3.5 * rows)
    flat = [axes for row in grid for axes in row]
    for axes, ((dataset, process), group) in zip(flat, groups, strict=False):
        _panel(axes, group, looks, style.SHOWN[str(process)]().marker)
        axes.set(title=f"{dataset} · {process}", xlabel="bound, bits/dim", ylabel="FID, train")
    for axes in flat[len(groups) :]:
        axes.remove()
    figure.draw_without_rendering()
    for axes, (_, group) in zip(flat, groups, strict=False):
        _label(axes, group, looks)
    return figure, frame, CAPTION


def _panel(axes: Axes, group: pd.DataFrame, looks: dict, marker: str) -> None:
    for row in group.to_dict("records"):
        colour = looks[row["weighting"]]["color"]
        axes.errorbar(
            row[X], row[Y], xerr=row[f"{X}_sd"], yerr=row[f"{Y}_sd"], fmt=marker, color=colour, markersize=6.5,
            elinewidth=1, markeredgecolor="white", markeredgewidth=0.8,
        )  # fmt: skip
    axes.margins(x=0.12, y=0.14)
    axes.locator_params(axis="x", nbins=5)


def _label(axes: Axes, group: pd.DataFrame, looks: dict) -> None:
    """A name at the right for each point, joined by a thin line; and what tells equal names apart."""
    varies = [key for key in pairs.COMPONENTS if group[key].nunique() > 1]
    rows = sorted(records(group), key=lambda row: (row[Y], row["weighting"]))
    _, spread = style.heights(axes, [row[Y] for row in rows])
    for row, y in zip(rows, spread, strict=True):
        axes.annotate(
            label(row, varies), xy=(row[X], row[Y]), xytext=(1.03, y), textcoords="axes fraction", va="center",
            fontsize=8, color=looks[row["weighting"]]["color"], annotation_clip=False, zorder=1,
            arrowprops=LEADER,
        )  # fmt: skip
