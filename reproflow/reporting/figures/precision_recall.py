"""Precision against recall: whether a weighting's samples are typical, and whether they cover the data."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from reproflow.analysis.formatting import label
from reproflow.analysis.results import records
from reproflow.reporting.figures import Source, figure, pairs, style

X = "recall"
Y = "precision"
CAPTION = (
    "Precision, the fraction of samples that lie among the training images, over recall, the fraction of training "
    "images that lie among the samples (Kynkäänniemi et al. 2019: three nearest neighbours in the features that FID "
    "uses); higher is better in both. Mean over seeds, bars one standard deviation between seeds (none for a single "
    "seed)."
)


@figure("precision_recall", order=25, title="Precision against recall")
def draw(source: Source) -> tuple[Figure, pd.DataFrame, str]:
    """The figure, from the cells that have both numbers: one panel a (dataset, process)."""
    read = source.results
    frame = pairs.means(read.cells, X, Y)
    if frame.empty:
        why = read.why_missing("cells.csv") or "no cell has both (`measures: [precision, recall]` asks for them)"
        return style.placeholder(why), frame, CAPTION
    looks = style.looks(read.cells["weighting"])
    groups = list(frame.groupby(["dataset", "process"], sort=True))
    canvas, grid = style.panels(1, len(groups), 3.5)
    for axes, ((dataset, process), group) in zip(grid[0], groups, strict=True):
        varies = [key for key in pairs.COMPONENTS if group[key].nunique() > 1]
        for row in records(group):
            colour = looks[row["weighting"]]["color"]
            axes.errorbar(
                row[X], row[Y], xerr=row[f"{X}_sd"], yerr=row[f"{Y}_sd"], color=colour, markersize=6.5,
                fmt=style.SHOWN[str(process)]().marker, elinewidth=1, label=label(row, varies),
            )  # fmt: skip
        axes.set(title=f"{dataset} · {process}", xlabel="recall", ylabel="precision")
        axes.margins(x=0.12, y=0.14)
        axes.legend(fontsize=7, frameon=False)
    return canvas, frame, CAPTION
