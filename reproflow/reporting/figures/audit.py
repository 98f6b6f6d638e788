"""The figure of an audit: the canonical weight that a training loss was measured to have, and its path."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reproflow.auditing.identification import Identification
from reproflow.reporting.figures.judgement import FALLS, RISES
from reproflow.reporting.figures.style import panels

CAPTION = (
    "Left: the canonical weight w relative to the ELBO integrand, over the log-SNR λ at the levels that the loss "
    "draws, noise on the left; orange where it rises by more than its precision. Right: the coefficients of the state "
    "that the network is given."
)
LEAST = 1e-8
"""The smallest part of the largest weight that is drawn."""


def draw(named: Identification) -> tuple[Figure, str]:
    """The figure, within `style.styled()`, and its caption; empty panels where nothing could be read."""
    figure, [[left, right]] = panels(1, 2, 2.9)
    _weight(left, named)
    _path(right, named)
    return figure, CAPTION


def _weight(axes: Axes, named: Identification) -> None:
    axes.set(title="canonical weight w(λ)", xlabel="λ")
    if named.canonical is None:
        axes.text(0.5, 0.5, "not read", ha="center", va="center", transform=axes.transAxes)
        return
    lam, w = (np.asarray(named.canonical[key], dtype=float) for key in ("lam", "w"))
    good = np.isfinite(lam) & np.isfinite(w) & (w > 0)
    if good.sum() < 2:
        return
    lam, w = lam[good], w[good] / w[good].max()
    precision = float(named.canonical.get("precision") or 0.0)
    rises = w > np.minimum.accumulate(w) * (1 + max(precision, 1e-3))
    axes.plot(lam, w, color=FALLS)
    axes.plot(lam, np.where(rises, w, np.nan), color=RISES)
    axes.set_yscale("log")
    axes.set_ylim(max(w.min(), LEAST) * 0.7, 1.5)


def _path(axes: Axes, named: Identification) -> None:
    axes.set(title="coefficients of the state", xlabel="λ")
    table = (named.path or {}).get("table") or {}
    lam = np.asarray(table.get("lam", ()), dtype=float)
    good = np.isfinite(lam)
    for key, words, colour in (("A", "A, of the data", FALLS), ("B", "B, of the noise", RISES)):
        values = np.asarray(table.get(key, ()), dtype=float)
        if len(values) == len(lam) > 1:
            axes.plot(lam[good], values[good], color=colour, label=words)
    if axes.lines:
        axes.legend(frameon=False, fontsize=8)
