r"""The weights of 003 on the velocity loss, in its own time, and what each amounts to as a weighted variational bound.

003 ("Weighted Loss") runs from data, s = 0, to noise, s = 1; s = 1 - t in this project's time. With uniform times on
the linear path, SNR = ((1-s)/s)^2 and the factor c(s) on the squared velocity error is the canonical weight

.. math:: w = c\, e^{-\lambda/2} = c \frac{s}{1-s},

relative to the ELBO integrand. The loss is a sum of variational bounds with positive coefficients, and so certified as
one, where w never falls towards the noise (001, Theorem 2; TUT-3, TUT-4). The SNR and min-SNR weights were proposed
for the error of the predicted data; here they stand on the velocity, as in 003, which is another loss. 1/SNR has an
infinite mean over uniform times (LOSS-7), and so has SNR; the bound property does not ask about that.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reproflow.reporting.figures import Source, figure, style
from reproflow.reporting.figures.curves import bound, curve_of
from reproflow.theory.bounds import CERTIFIED, Bound
from reproflow.theory.objective import get_objective

PATH = "linear"
GAMMA = 5
# 003's weight in its own time -> the registered weighting in this project's time.
WEIGHTS = {
    "1": "uniform",
    "t²": "one_minus_t_squared",
    "(1−t)²": "t_squared",
    "SNR": "snr",
    "1/SNR": "inv_snr",
    f"min(SNR, {GAMMA})": f"min_snr:gamma={GAMMA}",
}
ACROSS = 3
EDGE = 0.02
POINTS = 193
YLIM = (1e-4, 1e4)
YES = "#0173b2"
NO = "#c44e00"
SHADE = "#f6d9c3"
COLUMNS = ["weight", "registered", "s", "factor", "w", "verdict", "rises"]


@figure("tut_weights", order=190, title="Tutorial: weights and the bound property")
def draw(source: Source) -> tuple[Figure, pd.DataFrame, str]:
    """The figure; it depends on the registry alone, not on the results."""
    found = {name: _curve(name) for name in WEIGHTS}
    figure, grid = style.panels(2, ACROSS, 4.3, sharex=True, sharey=True)
    flat = [axes for row in grid for axes in row]
    for axes, (name, (frame, verdict)) in zip(flat, found.items(), strict=True):
        _panel(axes, name, frame, verdict)
    for row in grid:
        row[0].set_ylabel("over its value at 1/2")
    for axes in grid[-1]:
        axes.set_xlabel("003's t: data at 0, noise at 1", labelpad=2)
    _key(flat[0])
    frame = pd.concat([frame for frame, _ in found.values()], ignore_index=True)
    return figure, frame, caption(frame)


def caption(frame: pd.DataFrame) -> str:
    """What is drawn, and which weights are certified."""
    certified = set(frame.loc[frame["verdict"] == CERTIFIED, "weight"])
    yes = "; ".join(name for name in WEIGHTS if name in certified)
    no = "; ".join(name for name in WEIGHTS if name not in certified)
    return (
        f"Weights of 003 on the velocity error, uniform times, {PATH} path, over 003's own time from data (0) to "
        f"noise (1), which is one minus the t of the other figures, from {EDGE:g} to {1 - EDGE:g}. Dashed: the factor "
        "as written. Line: the canonical weight w, relative to the ELBO integrand. Both are divided by their value at "
        "1/2, where SNR = 1. Where w falls towards the noise (shaded) the loss is no sum of variational bounds "
        f"with positive coefficients. Certified as such a sum: the factors {yes or 'none'}. Not: {no or 'none'}."
    )


def _curve(name: str) -> tuple[pd.DataFrame, Bound]:
    objective = get_objective(PATH, "uniform", WEIGHTS[name], prediction="velocity")
    s = torch.linspace(EDGE, 1 - EDGE, POINTS, dtype=torch.float64)
    verdict = bound(curve_of(objective))
    columns = {
        "weight": name,
        "registered": objective.weighting.name,
        "s": s.numpy(),
        "factor": objective.weighting.at(objective.path.at(1 - s)).numpy(),
        "w": objective.weight(1 - s).numpy(),
        "verdict": verdict.verdict,
        "rises": ";".join(f"{low:.17g}:{high:.17g}" for low, high in _falls(verdict)),
    }
    return pd.DataFrame(columns)[COLUMNS], verdict


def _falls(verdict: Bound) -> list[tuple[float, float]]:
    """Where w falls towards the noise, in s and inside what is drawn."""
    return [(max(1 - rise.t[1], EDGE), min(1 - rise.t[0], 1 - EDGE)) for rise in reversed(verdict.rises)]


def _words(falls: list[tuple[float, float]]) -> str:
    """Those stretches in words, of what is drawn."""
    low, high = falls[0][0], falls[-1][1]
    if len(falls) == 1 and high > 1 - EDGE - 1e-9:
        return "everywhere" if low < EDGE + 1e-9 else f"from {low:.2g} on"
    return ", ".join(f"{a:.2g} to {b:.2g}" for a, b in falls)


def _panel(axes: Axes, name: str, frame: pd.DataFrame, verdict: Bound) -> None:
    certified, falls = verdict.verdict == CERTIFIED, _falls(verdict)
    for low, high in falls:
        axes.axvspan(low, high, color=SHADE, linewidth=0)
    axes.axhline(1, color=style.GREY, linewidth=0.5, alpha=0.6)
    middle = np.argmin(np.abs(frame["s"] - 0.5))
    for column, look in (
        ("factor", {"color": style.GREY, "linestyle": (0, (4, 2)), "linewidth": 1.2}),
        ("w", {"color": YES if certified else NO}),
    ):
        axes.plot(frame["s"], frame[column] / frame[column].iloc[middle], **look)
    axes.set(yscale="log", ylim=YLIM, yticks=[1e-4, 1e-2, 1, 1e2, 1e4], xlim=(0, 1), xticks=[0, 0.5, 1])
    axes.minorticks_off()
    axes.set_title(f"factor {name}\n", fontsize=9.5, linespacing=1.25, pad=4)
    axes.annotate(
        "certified as a bound" if certified else f"not a bound: w falls {_words(falls)}", (0, 1), (0, 4),
        xycoords="axes fraction", textcoords="offset points", fontsize=7.5, fontweight="bold",
        color=YES if certified else NO, annotation_clip=False,
    )  # fmt: skip


def _key(axes: Axes) -> None:
    axes.text(0.9, 30, "canonical w", ha="right", va="bottom", fontsize=7.5, color=YES)
    axes.text(0.97, 0.5, "factor as written", ha="right", va="top", fontsize=7.5, color=style.GREY)
