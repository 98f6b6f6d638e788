r"""001's Fig. 1 on a trained network: a weighted loss as a sum of improved bounds, term by term.

.. math:: \int PKL\, d\nu = w(s_0) PKL(s_0) + \sum_j (w_{j+1} - w_j) \tfrac12 (PKL_j + PKL_{j+1}),

a bar a weighting: how much of the sum each quarter of the way from data to noise holds, and the bound at the data end
alone. Terms left of zero are increments below zero: such a weight is no sum of bounds.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reproflow.analysis.bound_cascade import terms
from reproflow.analysis.formatting import number
from reproflow.reporting.figures import Source, figure, style

CAPTION = (
    "A weighted loss as a sum of improved bounds, after Shi & Titsias (2025), Fig. 1, in numbers: of one trained "
    "network a process (the first), the integral of the gaps PKL(s) over the increments of each weight, in parts that "
    "add up to 1. Dark to light: the bound at the data end alone (the ELBO's gap), then the bounds of each quarter of "
    "the way from data to noise. Left of zero: increments below zero. In italics: weights that rise with the log-SNR "
    "somewhere, hence are no sum of bounds. Every network, each term in nats with its error and the mass of the "
    "increments: in the CSV. About the ancestral (SDE) model, over the training set."
)


@figure("st_weighted_sum", order=90, title="A weighted loss as a sum of bounds")
def draw(source: Source) -> tuple[Figure, pd.DataFrame, str]:
    """The figure, from cascade.csv: a panel a process."""
    frame, why = source.cascade
    found = terms(frame)
    if found.empty:
        return style.placeholder(why or "cascade.csv has no weighted_term"), found, CAPTION
    processes = list(dict.fromkeys(found["process"]))
    figure, [row] = style.panels(1, len(processes), 3.6)
    for axes, process in zip(row, processes, strict=True):
        own = found[found["process"] == process]
        _bars(axes, own[own["cell"] == own["cell"].iloc[0]], process)
    return figure, found, CAPTION


def _bars(axes: Axes, own: pd.DataFrame, process: str) -> None:
    places = list(dict.fromkeys(own["levels"]))
    shares = own.pivot(index="weighting_summed", columns="levels", values="share")[places]
    sums = own.drop_duplicates("weighting_summed").set_index("weighting_summed")["sum_of_bounds"]
    order = [name for flag in (True, False) for name in shares.index if sums[name] == flag]
    shares, height = shares.loc[order], np.arange(len(order))
    right, left = np.zeros(len(order)), np.zeros(len(order))
    for place, colour in zip(places, seaborn.color_palette("viridis", len(places)), strict=True):
        width = shares[place].to_numpy()
        axes.barh(height, width, 0.72, np.where(width > 0, right, left), color=colour, label=_range(place))
        right, left = right + np.maximum(width, 0), left + np.minimum(width, 0)
    axes.axvline(0, color=style.INK, linewidth=0.8)
    axes.set_yticks(height, order, fontsize=7)
    for label, name in zip(axes.get_yticklabels(), order, strict=True):
        label.set_fontstyle("normal" if sums[name] else "italic")
    axes.invert_yaxis()
    axes.set_xlabel("part of the integral of the gaps")
    first = own.iloc[0]
    axes.set_title(f"{process}, {first['dataset']}, trained with {first['weighting']}")
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.17), ncols=3, fontsize=6.5, frameon=False,
        title=style.SHOWN[process]().level_title, title_fontsize=6.5,
    )  # fmt: skip


def _range(place: str) -> str:
    """`lam=4.27191 to -1.45617` as a legend has it, whose title names the level: three digits, and a minus sign."""
    return re.sub(r"-?\d+(\.\d+)?", lambda found: number(float(found[0]), digits=3), place.partition("=")[2])
