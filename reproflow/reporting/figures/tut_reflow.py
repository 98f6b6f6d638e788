r"""Reflow on a line: what one round straightens and saves, and that shuffled pairs undo it.

A flow trained on pairs (x0, x1) follows u_t(x) = E[x1 - x0 | x_t = x], x_t = (1-t) x0 + t x1; its own pairs train the
next one (003, "Reflow"; Liu et al. 2023). Straightness and transport cost (TUT-8),

.. math:: S = \int_0^1 E|z_1 - z_0 - \dot z_t|^2 dt, \qquad E|z_1 - z_0|^2,

are exact here for three Gaussians on a line: the flow of independent pairs bends, the flow of its pairs does not, for
these pairs do not cross. The control is trained on the same pairs with the data shuffled, which takes the coupling away
and leaves both marginals. So that all three are trained in one way, each field is also the regression of x1 - x0 on x_t
over N pairs, by a Gaussian kernel of width h: the average with weights exp(-(x - x_t)^2 / (2 h^2)).
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from reproflow.analysis.results import records
from reproflow.claims.tutorials.straightness import first_cost, flow, last_cost
from reproflow.exact import three_gaussians, transport
from reproflow.foundation import seeds
from reproflow.learning.networks.exact_denoiser import ExactDenoiser, exact_denoiser
from reproflow.learning.sampling.reflow import straightness
from reproflow.reporting.figures import Source, figure, style
from reproflow.reporting.figures.flowlines import clock, field_of, follow, tidy

PAIRS = 4096
WIDTH = 0.06
STARTS = 64
LINES = 21
STEPS = 32
FIRST = "independent pairs"
SECOND = "pairs of that flow"
CONTROL = "its pairs, shuffled"
COLOURS = {FIRST: "#a86300", SECOND: "#0173b2", CONTROL: "#c44e00"}


@dataclass(frozen=True)
class Regressed(ExactDenoiser):
    """The flow trained on pairs of noise and data (N, 1): their velocity by kernel regression, at one t for all x."""

    noise: Tensor
    data: Tensor

    def velocity(self, x: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        at = torch.lerp(self.noise, self.data, t[:1, None])
        weights = (-0.5 * ((x - at.T) / WIDTH).square()).softmax(-1)
        return weights @ (self.data - self.noise)


@figure("tut_reflow", order=170, title="Tutorial: reflow, and its control")
def draw(source: Source) -> tuple[Figure, pd.DataFrame, str]:
    """The figure; it does not depend on the results."""
    trained, starts = couplings(), quantiles(STARTS)
    numbers = pd.concat([_numbers(name, *pair, starts) for name, pair in trained.items()], ignore_index=True)
    figure, [above, below] = style.panels(2, 1 + len(trained), 4.9, height_ratios=[1.0, 1.0])
    frames = [numbers]
    for axes, lower, (name, pair) in zip(above[:3], below[:3], trained.items(), strict=True):
        frames.append(_crossings(axes, name, *pair))
        frames.append(_paths(lower, name, regressed(*pair)))
    above[0].set_ylabel("pairs: x")
    below[0].set_ylabel("flow trained on them: x")
    _bars(above[-1], numbers[numbers["quantity"] == "straightness"], "S of the flow")
    _bars(below[-1], numbers[numbers["quantity"] == "transport cost"], "cost of the pairs")
    return figure, pd.concat(frames, ignore_index=True), caption(numbers)


def caption(numbers: pd.DataFrame) -> str:
    """What is drawn, with the numbers."""
    bend, paid = (
        "; ".join(
            f"{row['pairs']} {_short(row['measured'])} ({_short(row['exact'])})"
            for row in records(numbers[numbers["quantity"] == quantity])
        )
        for quantity in ("straightness", "transport cost")
    )
    return (
        f"Reflow for three Gaussians on a line, linear path. Above: {LINES} pairs of noise (t = 0) and data (t = 1). "
        f"Below: paths of the flow trained on {PAIRS} such pairs, by kernel regression of x1 − x0 on x_t (width "
        f"{WIDTH:g}). From the left: independent pairs; the pairs that their exact flow makes, which is one reflow; "
        "and, as the control, the same pairs with the data shuffled. Right: straightness S of each flow, from "
        f"{STARTS} starts, and transport cost E|x1 − x0|² of the pairs it was trained on; ticks, and brackets here: "
        f"the same of the exact field, and the exact cost. S: {bend}. Cost: {paid}."
    )


def _short(value: float) -> str:
    return "0" if abs(value) < 1e-12 else f"{value:.3g}"


def couplings() -> dict[str, tuple[Tensor, Tensor]]:
    """Noise and data (PAIRS, 1) of each kind: independent, carried by the exact flow, and carried and then shuffled."""
    generator = seeds.generator("tutorial reflow")
    x0 = torch.randn(PAIRS, 1, generator=generator, dtype=torch.float64)
    data, carried = (
        three_gaussians.MIXTURE.sample(PAIRS, generator),
        transport.monotone_map(three_gaussians.MIXTURE, x0),
    )
    shuffled = carried[torch.randperm(PAIRS, generator=generator)]
    return {FIRST: (x0, data), SECOND: (x0, carried), CONTROL: (x0, shuffled)}


def regressed(x0: Tensor, x1: Tensor) -> Regressed:
    """The flow trained on these pairs."""
    return Regressed(**vars(exact_denoiser("linear")), noise=x0, data=x1)


def quantiles(n: int) -> Tensor:
    """Normal noise at n even quantiles, (n, 1)."""
    return torch.special.ndtri((torch.arange(n, dtype=torch.float64)[:, None] + 0.5) / n)


def _numbers(name: str, x0: Tensor, x1: Tensor, starts: Tensor) -> pd.DataFrame:
    """Straightness of the flow and cost of its pairs, of those drawn and of all; shuffled pairs are independent."""
    exact = flow() if name == SECOND else exact_denoiser("linear")
    bends = [straightness(each, starts, None, (0.0, 1.0), STEPS) for each in (regressed(x0, x1), exact)]
    costs = [float((x1 - x0).square().mean()), last_cost() if name == SECOND else first_cost()]
    rows = [("straightness", *bends), ("transport cost", *costs)]
    return pd.DataFrame(rows, columns=["quantity", "measured", "exact"]).assign(pairs=name)


def _crossings(axes: Axes, name: str, x0: Tensor, x1: Tensor) -> pd.DataFrame:
    lines = torch.stack([x0[:LINES], x1[:LINES]])
    axes.plot([0, 1], lines[..., 0], color=COLOURS[name], linewidth=0.8)
    _dress(axes)
    axes.set_title(name, fontsize=8.5)
    return tidy(lines, [0.0, 1.0], quantity="pair", pairs=name)


def _paths(axes: Axes, name: str, denoiser: Regressed) -> pd.DataFrame:
    paths = follow(field_of(denoiser), quantiles(LINES), clock(STEPS), "heun")
    axes.plot(clock(STEPS), paths[..., 0], color=COLOURS[name], linewidth=0.9)
    _dress(axes)
    axes.set_xlabel("t", labelpad=1)
    return tidy(paths, clock(STEPS), quantity="path", pairs=name)


def _dress(axes: Axes) -> None:
    axes.set(xlim=(0, 1), ylim=(-3.2, 3.2), xticks=[0, 0.5, 1], yticks=[-2, 0, 2])


def _bars(axes: Axes, numbers: pd.DataFrame, title: str) -> None:
    rows = numbers.set_index("pairs").loc[list(COLOURS)]
    axes.bar(range(len(rows)), rows["measured"], width=0.6, color=list(COLOURS.values()), alpha=0.75)
    axes.plot(range(len(rows)), rows["exact"], linestyle="none", marker="_", markersize=24, color=style.INK)
    for x, (value, exact) in enumerate(zip(rows["measured"], rows["exact"], strict=True)):
        axes.annotate(
            f"{value:.2g}", (x, max(value, exact)), (0, 3), textcoords="offset points", ha="center", fontsize=7.5
        )
    axes.set_xticks(range(len(rows)), ["indep.", "reflow", "shuffled"], fontsize=7.5)
    axes.set_ylim(0, 1.18 * rows[["measured", "exact"]].to_numpy().max())
    axes.set_title(title, fontsize=8.5)
