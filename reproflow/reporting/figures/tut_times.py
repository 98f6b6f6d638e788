r"""How the times of a batch cover [0, 1], and what each way of drawing them does to the variance of a batch mean.

n quantiles u_i become times t_i = Q(u_i). Independent ones leave gaps; strata, antithetic pairs and a shifted grid are
drawn together (003, "Stratified (better coverage)"; TUT-1). For a loss L(t) without noise of its own

.. math:: \operatorname{Var}_{iid} = \frac{\operatorname{Var} L}{n}, \qquad
          \operatorname{Var}_{strata} = \frac{1}{n^2} \sum_i \operatorname{Var}(L | U \in [i/n, (i+1)/n)),

here for L = exp(-3t) + t by Gauss-Legendre quadrature over the uniforms of the package's own draws. Not every loss
gains from every scheme: pairs do worse than independent times where L(Q(u)) and L(Q(1-u)) go together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from reproflow.analysis.results import records
from reproflow.foundation import seeds
from reproflow.numerics import gauss_rules
from reproflow.reporting.figures import Source, figure, style
from reproflow.theory.time_sampling import SCHEMES
from reproflow.theory.times import get_time_law

BATCH = 32
BATCHES = 2000
NODES = 48
LAWS = ("uniform", "logit_normal", "one_minus_u_squared")
COLOURS = {"iid": style.INK, "stratified": "#0173b2", "antithetic": "#a86300", "low_discrepancy": "#029e73"}
WORDS = {"iid": "independent", "low_discrepancy": "shifted grid"}
BAND = (0.05, 0.95)
COLUMNS = ["quantity", "law", "scheme", "t", "value", "low", "high"]


@figure("tut_times", order=180, title="Tutorial: how the times of a batch are drawn")
def draw(source: Source) -> tuple[Figure, pd.DataFrame, str]:
    """The figure; it does not depend on the results."""
    frame = pd.concat([_measured(law, scheme) for law in LAWS for scheme in SCHEMES], ignore_index=True)[COLUMNS]
    figure, [strips, lower] = style.panels(2, len(LAWS), 4.4, height_ratios=[1.0, 1.25])
    for law, axes in zip(LAWS, strips, strict=True):
        _strip(axes, frame[(frame["law"] == law) & (frame["quantity"] == "time")])
        axes.set_title(f"{law}, one batch of {BATCH}", fontsize=8.5)
    strips[0].set_yticks(range(len(SCHEMES)), [WORDS.get(name, name) for name in SCHEMES])
    grid = lower[0].get_subplotspec()
    assert grid is not None
    for axes in lower:
        axes.remove()
    halves = grid.get_gridspec()[1, :].subgridspec(1, 2)
    _gaps(figure.add_subplot(halves[0]), frame[frame["quantity"] == "largest gap"])
    _ratios(figure.add_subplot(halves[1]), frame[frame["quantity"] == "variance over independent"])
    return figure, frame, caption(frame)


def loss(t: Tensor) -> Tensor:
    """exp(-3t) + t, whose mean over uniform times is (1 - e^-3)/3 + 1/2."""
    return torch.exp(-3 * t) + t


def caption(frame: pd.DataFrame) -> str:
    """What is drawn, with the gains at uniform times and whoever does worse than independent times."""
    ratios = records(frame[(frame["quantity"] == "variance over independent") & (frame["scheme"] != "iid")])
    said = [row | {"scheme": WORDS.get(row["scheme"], row["scheme"])} for row in ratios]
    uniform = ", ".join(f"{row['scheme']} {1 / row['value']:.4g}" for row in said if row["law"] == "uniform")
    worse = [f"{row['scheme']} on {row['law']}" for row in said if row["value"] > 1 + 1e-9]
    return (
        f"Four ways to draw the {BATCH} times of a batch, for three time laws; one_minus_u_squared is 003's rand ** 2, "
        "whose clock runs the other way. Above: the times of one batch. Below, "
        f"left: the largest gap between neighbouring times, the ends 0 and 1 counted in; mean and middle 90 % of "
        f"{BATCHES} batches. Right: the variance of the batch mean of exp(−3t) + t over that of independent times, by "
        f"quadrature; its inverse is, for the uniform law, {uniform}. Larger than with independent times: "
        f"{', '.join(worse) or 'none'}. This is the part of the variance that comes from t; what noise and data add at "
        "a given t stays."
    )


def variance(law: str, scheme: str) -> float:
    """Of the mean of the loss over a batch of times, by quadrature over the scheme's uniforms."""
    nodes, weights = gauss_rules.legendre_on(0.0, 1.0, NODES)
    # A shift by 1/n gives the same grid again, so that its first n-th is all of it.
    u = SCHEMES[scheme]((nodes / BATCH if scheme == "low_discrepancy" else nodes).expand(BATCH, -1))
    values = loss(get_time_law(law).quantile(u))
    # Rows that share their uniform vary together: pairs, or the whole grid; the rest are independent.
    together = {"antithetic": values[: BATCH // 2] + values[BATCH // 2 :], "low_discrepancy": values.sum(0)[None]}
    sums = together.get(scheme, values)
    return float(((sums - (sums @ weights)[:, None]).square() @ weights).sum()) / BATCH**2


def batches(law: str, scheme: str) -> Tensor:
    """Times (BATCH, BATCHES); the uniforms behind them are the same for every law and scheme."""
    u = torch.rand(BATCH, BATCHES, generator=seeds.generator("tutorial times"), dtype=torch.float64)
    return get_time_law(law).quantile(SCHEMES[scheme](u))


def _measured(law: str, scheme: str) -> pd.DataFrame:
    t = batches(law, scheme)
    ends = torch.tensor([[0.0], [1.0]], dtype=torch.float64).expand(-1, t.shape[1])
    gaps = torch.cat([ends, t]).sort(0).values.diff(dim=0).amax(0)
    low, high = gaps.quantile(torch.tensor(BAND, dtype=torch.float64)).tolist()
    ratio = variance(law, scheme) / variance(law, "iid")
    rows = [{"quantity": "time", "t": value} for value in t[:, 0].sort().values.tolist()]
    rows.append({"quantity": "largest gap", "value": float(gaps.mean()), "low": low, "high": high})
    rows.append({"quantity": "variance over independent", "value": ratio})
    return pd.DataFrame(rows, columns=COLUMNS).assign(law=law, scheme=scheme)


def _strip(axes: Axes, frame: pd.DataFrame) -> None:
    for y, (scheme, colour) in enumerate(COLOURS.items()):
        t = frame.loc[frame["scheme"] == scheme, "t"]
        axes.plot(t, np.full(len(t), y), linestyle="none", marker="|", markersize=11, color=colour)
    axes.set(xlim=(-0.01, 1.01), ylim=(len(COLOURS) - 0.4, -0.6), xticks=[0, 0.5, 1], yticks=[], xlabel="t")
    axes.spines["left"].set_visible(False)
    axes.tick_params(left=False)


def _gaps(axes: Axes, frame: pd.DataFrame) -> None:
    for scheme, y, own in _places(frame):
        axes.plot([own["low"], own["high"]], [y, y], color=COLOURS[scheme], linewidth=1.2)
        axes.plot(own["value"], y, marker="o", markersize=4, color=COLOURS[scheme])
    _laws(axes)
    axes.axvline(1 / BATCH, color=style.GREY, linewidth=0.6, linestyle=(0, (4, 2)))
    axes.set(xlim=(0, None), xlabel=f"largest gap in t (dashed: 1/{BATCH})", title="coverage")


def _ratios(axes: Axes, frame: pd.DataFrame) -> None:
    for scheme, y, own in _places(frame):
        axes.plot([1, own["value"]], [y, y], color=COLOURS[scheme], linewidth=1.2)
        axes.plot(own["value"], y, marker="o", markersize=4, color=COLOURS[scheme])
        axes.annotate(
            WORDS.get(scheme, scheme), (max(own["value"], 1), y), (6, 0), textcoords="offset points", va="center",
            fontsize=7, color=COLOURS[scheme], annotation_clip=False,
        )  # fmt: skip
    _laws(axes)
    axes.axvline(1, color=style.GREY, linewidth=0.6, linestyle=(0, (4, 2)))
    words = "variance over that of independent times"
    axes.set(xscale="log", xticks=[1e-4, 1e-2, 1], xlim=(1e-4, 30), xlabel=words, title="batch mean")
    axes.minorticks_off()


def _places(frame: pd.DataFrame) -> list[tuple[str, int, dict[str, Any]]]:
    """Scheme, height and row of every mark: a block a law, a line a scheme."""
    height, schemes = len(SCHEMES) + 1, list(SCHEMES)
    return [
        (row["scheme"], LAWS.index(row["law"]) * height + schemes.index(row["scheme"]), row) for row in records(frame)
    ]


def _laws(axes: Axes) -> None:
    height = len(SCHEMES) + 1
    axes.set_yticks([i * height + (len(SCHEMES) - 1) / 2 for i in range(len(LAWS))], LAWS)
    axes.set_ylim(len(LAWS) * height - 1.4, -0.8)
    axes.tick_params(left=False)
