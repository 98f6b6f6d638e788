r"""One pair's velocity against the field that is learned: straight lines that meet, and curved paths that do not.

Given the data point z the linear path moves everything to it, u_t(x|z) = (z - x)/(1-t), and a pair (eps, z) at the
constant velocity z - eps. The field of the marginal is the posterior average

.. math:: u_t(x) = E[u_t(x|z) | x_t = x] = \int u_t(x|z) \frac{p_t(x|z) q(z)}{p_t(x)} dz

(004 eq. 12; PATH-4), in closed form for eight Gaussians in the plane. It is one velocity at each place and time, so its
paths cannot meet there as the lines of the pairs do, and they bend. How far from straight paths z are is (003,
"Reflow"; TUT-8)

.. math:: S = \int_0^1 E|z_1 - z_0 - \dot z_t|^2 dt.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from reproflow.exact.mixture import Mixture
from reproflow.foundation import seeds
from reproflow.learning.data import get_dataset
from reproflow.learning.networks.exact_denoiser import exact_denoiser
from reproflow.learning.sampling.reflow import straightness
from reproflow.reporting.figures import Source, figure, style
from reproflow.reporting.figures.flowlines import clock, field_of, follow, tidy
from reproflow.reporting.figures.paths_fields import DATASET, EDGE, field_panel
from reproflow.theory.paths import get_path

PATH = "linear"
TIMES = (0.2, 0.5, 0.8)
LINES = 28
STEPS = 50
NEAR = 0.4  # of the noise that the one pair starts from, in each coordinate
PAIR = "#d55e00"
NOISE = "#9aa1ab"
DATA = "#0173b2"


@figure("tut_field", order=150, title="Tutorial: conditional against marginal velocity")
def draw(source: Source) -> tuple[Figure, pd.DataFrame, str]:
    """The figure; it does not depend on the results."""
    law: Any = get_dataset(DATASET)
    mixture: Mixture = law.mixture
    eps, z = pairs(mixture)
    figure, rows = style.panels(2, 1 + len(TIMES), 5.0)
    # A data point is a component without width; 1e-9 stands for 0, which has no density.
    point = Mixture(torch.ones(1), z[:1], torch.full((1,), 1e-9))
    frames = []
    for kind, field, row in (("conditional", point, rows[0]), ("marginal", mixture, rows[1])):
        for t, axes in zip(TIMES, row, strict=False):
            frames.append(field_panel(axes, PATH, kind, field, mixture, z[0] if kind == "conditional" else None, t))
            frames.append(_pair(axes, kind, field, eps[0], z[0], t))
            axes.set_title(f"{kind}, t = {t:g}", fontsize=8.5)
    lines = _lines(mixture, eps, z)
    for axes, (kind, paths, bend) in zip((rows[0][-1], rows[1][-1]), lines, strict=True):
        _draw_lines(axes, paths, bend)
        axes.set_title(f"{kind} paths", fontsize=8.5)
        frames.append(tidy(paths, clock(STEPS), quantity=f"{kind} path", path=PATH, straightness=bend))
    frame = pd.concat(frames, ignore_index=True)
    return figure, frame, caption(frame)


def caption(frame: pd.DataFrame) -> str:
    """What is drawn, with the velocities of the one pair and the straightness of the paths."""
    one, many = (frame[frame["quantity"] == f"pair, {kind}"][["u0", "u1"]] for kind in ("conditional", "marginal"))
    gaps = np.linalg.norm(one.to_numpy() - many.to_numpy(), axis=1)
    told = ", ".join(f"{gap:.2g} at t = {t:g}" for t, gap in zip(TIMES, gaps, strict=True))
    bend = frame.dropna(subset="straightness").groupby("quantity")["straightness"].first()
    return (
        "Eight Gaussians in the plane, linear path. Left: the velocity given one data point z (cross), and the "
        "marginal velocity, its average over the posterior of z, over the density of x_t; arrows are scaled to the "
        "longest of their panel, whose length is printed below it. Orange: one pair of noise and data, its line and "
        f"its place x_t. There the two velocities are apart by {told}. Right: {LINES} pairs of noise (grey) and data "
        "(blue), their straight lines, and the paths of the marginal field from the same noise; S is the mean squared "
        f"distance of the velocity along a path from its mean: {bend['conditional path']:.2g} for the lines, "
        f"{bend['marginal path']:.2g} for the paths."
    )


def pairs(mixture: Mixture) -> tuple[Tensor, Tensor]:
    """Independent noise and data, each (LINES, 2); the first noise is drawn towards the middle, the first z on a mode.

    From the middle every mode is as near as the others, which is where one pair says least of the average.
    """
    generator = seeds.generator("tutorial field")
    eps = torch.randn(LINES, 2, generator=generator, dtype=torch.float64)
    z = mixture.sample(LINES, generator)
    eps[0], z[0] = NEAR * eps[0].sign(), mixture.means[1]
    return eps, z


def _lines(mixture: Mixture, eps: Tensor, z: Tensor) -> list[tuple[str, Tensor, float]]:
    """The lines of the pairs and the paths of the marginal field, (T, B, 2), each with its straightness."""
    denoiser = exact_denoiser(PATH, mixture=mixture)
    t = torch.tensor(clock(STEPS), dtype=torch.float64)[:, None, None]
    straight = (1 - t) * eps + t * z
    curved = follow(field_of(denoiser), eps, clock(STEPS), "rk4")
    # A line has the velocity z - eps all along, so its S is 0.
    return [("conditional", straight, 0.0), ("marginal", curved, straightness(denoiser, eps, None, (0.0, 1.0)))]


def _pair(axes: Axes, kind: str, field: Mixture, eps: Tensor, z: Tensor, t: float) -> pd.DataFrame:
    """Batches the line of one pair and its place at t; the field's velocity there."""
    x = (1 - t) * eps + t * z
    u = field.marginal_velocity(x[None], get_path(PATH).at(torch.tensor(t, dtype=torch.float64)))[0]
    axes.plot(*torch.stack([eps, z]).T, color=PAIR, linewidth=1.0, scalex=False, scaley=False)
    axes.plot(*x, marker="o", color=PAIR, markersize=4.5, scalex=False, scaley=False)
    columns = {"x0": float(x[0]), "x1": float(x[1]), "u0": float(u[0]), "u1": float(u[1])}
    return pd.DataFrame([{"path": PATH, "quantity": f"pair, {kind}", "t": t, **columns}])


def _draw_lines(axes: Axes, paths: Tensor, bend: float) -> None:
    gap = torch.full((1, paths.shape[1], 2), torch.nan, dtype=paths.dtype)
    broken = torch.cat([paths, gap]).transpose(0, 1).reshape(-1, 2)
    axes.plot(*broken.T, color=style.INK, linewidth=0.6)
    for points, colour in ((paths[0], NOISE), (paths[-1], DATA)):
        axes.plot(*points.T, linestyle="none", marker="o", markersize=2.6, color=colour)
    reach = max(EDGE, float(paths.abs().max()) * 1.05)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[], aspect="equal")
    axes.set_xlabel(f"S = {bend:.2g}", fontsize=7.5, color=style.GREY, labelpad=3)
    for spine in axes.spines.values():
        spine.set_visible(False)
