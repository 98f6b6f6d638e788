"""Every registered Gaussian path: its coefficients over time, and a conditional beside the marginal velocity field.

The field conditional on one data point pulls everything to that point; its posterior average (004 eq. 12) is the
marginal field, computed here in closed form for eight Gaussians.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reproflow.exact.mixture import Mixture
from reproflow.foundation import registry
from reproflow.learning.data import get_dataset
from reproflow.reporting.figures import Source, figure, style
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.paths import forward_path

TIME = 0.8
HALF = 2.0
ARROWS = 13
SHADES = 49
EDGE = 2.25
HEAD = 0.16  # of an arrow, in the plane's units
DATASET = "eight_gaussians"


CAPTION = (
    "The registered Gaussian paths. Left: α and σ, then λ = log(α²/σ²), over time from noise (t = 0) to data (t = 1). "
    f"Right: velocity at t = {TIME} in the plane, for data from eight Gaussians: the conditional field given one data "
    "point z (cross), and the marginal field, its average over the exact posterior of z. Shading: the density of x_t. "
    "Arrows are scaled to the longest of their panel, whose length is printed below it."
)


@figure("paths_fields", order=70, title="Paths and velocity fields")
def draw(source: Source) -> tuple[Figure, pd.DataFrame, str]:
    """The figure; it depends on the registry alone, not on the results."""
    names = [entry.name for entry in registry.entries("path", "gaussian")]
    law: Any = get_dataset(DATASET)
    mixture = Mixture(law.mixture.weights, law.mixture.means, law.mixture.stds)
    # A data point is a component without width; 1e-9 stands for 0, which has no density.
    point = Mixture(torch.ones(1), mixture.means[:1], torch.full((1,), 1e-9))
    figure, rows = style.panels(len(names), 4, 2.15 * len(names), width_ratios=[1.15, 1.0, 1.0, 1.0])
    frames = []
    for name, (left, middle, conditional, marginal) in zip(names, rows, strict=True):
        frames.append(_coefficients(left, middle, name))
        frames.append(field_panel(conditional, name, "conditional", point, mixture, mixture.means[0]))
        frames.append(field_panel(marginal, name, "marginal", mixture, mixture, None))
    heads = ("coefficients", "log-SNR λ", "conditional u(x | z)", "marginal u(x)")
    for axes, head in zip(rows[0], heads, strict=True):
        axes.set_title(head)
    return figure, pd.concat(frames, ignore_index=True), CAPTION


def _coefficients(left: Axes, middle: Axes, name: str) -> pd.DataFrame:
    t = torch.linspace(0, 1, 201, dtype=torch.float64)
    alpha, sigma = forward_path(name)(t)
    inner = forward_path(name).at(t[1:-1])
    left.plot(t, alpha, color="#0173b2")
    left.plot(t, sigma, color="#de8f05", linestyle=(0, (5, 1.5)))
    for symbol, values, i, colour in (("α", alpha, 172, "#0173b2"), ("σ", sigma, 60, "#a86300")):
        xy = (float(t[i]), float(values[i]))
        left.annotate(symbol, xy, (0, -13), textcoords="offset points", color=colour, ha="center", fontsize=10)
    middle.plot(inner.t, inner.lam, color=style.INK)
    middle.axhline(0, color=style.GREY, linewidth=0.6)
    left.set(xlim=(0, 1), ylim=(0, 1.05), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1], ylabel=name)
    middle.set(xlim=(0, 1), ylim=(-11, 11), xticks=[0, 0.5, 1], yticks=[-10, 0, 10])
    left.yaxis.label.set(fontweight="bold", fontsize=10)
    for axes in (left, middle):
        axes.set_xlabel("t", labelpad=1)
    parts = (("alpha", t, alpha), ("sigma", t, sigma), ("lam", inner.t, inner.lam))
    return pd.concat(
        pd.DataFrame({"path": name, "quantity": q, "t": x.numpy(), "value": y.numpy()}) for q, x, y in parts
    )


def field_panel(
    axes: Axes, name: str, kind: str, field: Mixture, law: Mixture, z: torch.Tensor | None, t: float = TIME
) -> pd.DataFrame:
    """Batches the velocity of `field` at t on the path of that name over the density of `law`, and returns the numbers.

    `z` (2,) is marked where given.
    """
    c = forward_path(name).at(torch.tensor(t, dtype=torch.float64))
    x = _grid(ARROWS, HALF)
    u = field.marginal_velocity(x, c)
    longest = float(u.norm(dim=-1).max())
    density = _shade(axes, law, c)
    # The longest arrow spans one and a half cells of the grid.
    scale = longest / (1.5 * 2 * HALF / (ARROWS - 1))
    axes.plot(
        *_arrows(x, u / scale), color=style.INK, linewidth=0.8, solid_joinstyle="miter", scalex=False, scaley=False
    )
    if z is not None:
        axes.plot(*z, marker="x", color="#d55e00", markersize=7, markeredgewidth=2)
    axes.set(xlim=(-EDGE, EDGE), ylim=(-EDGE, EDGE), xticks=[], yticks=[], aspect="equal")
    axes.set_xlabel(f"longest arrow {longest:.3g}", fontsize=7.5, color=style.GREY, labelpad=3)
    for spine in axes.spines.values():
        spine.set_visible(False)
    columns = {"x0": x[:, 0], "x1": x[:, 1], "u0": u[:, 0], "u1": u[:, 1]}
    arrows = pd.DataFrame({"path": name, "quantity": kind, "t": t, **{k: v.numpy() for k, v in columns.items()}})
    return pd.concat([arrows, density.assign(path=name)]) if kind == "marginal" else arrows


def _arrows(x: torch.Tensor, u: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Arrows of length u (N, 2) centred on x (N, 2) as one broken line: coordinates with NaN between arrows.

    One line is one element of the SVG, a tenth of what an element for each arrow takes.
    """
    tail, tip = x - u / 2, x + u / 2
    head = HEAD * u / u.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    head = torch.minimum(head.abs(), 0.6 * u.abs()) * u.sign()
    side = torch.stack([-head[:, 1], head[:, 0]], -1) * 0.5
    gap = torch.full_like(x, torch.nan)
    points = torch.stack([tail, tip, tip - head + side, tip, tip - head - side, gap], dim=1).reshape(-1, 2)
    return points[:, 0].numpy(), points[:, 1].numpy()


def _shade(axes: Axes, law: Mixture, c: Coefficients) -> pd.DataFrame:
    x = _grid(SHADES, EDGE)
    density = law.log_density(x, c).exp()
    reach = EDGE + EDGE / (SHADES - 1)  # pixels are centred on the grid's points
    axes.imshow(
        density.reshape(SHADES, SHADES).T, extent=(-reach, reach, -reach, reach), origin="lower", cmap="Blues",
        alpha=0.6, vmin=0, interpolation="none",
    )  # fmt: skip
    columns = {
        "quantity": "density",
        "t": float(c.t),
        "value": density.numpy(),
        "x0": x[:, 0].numpy(),
        "x1": x[:, 1].numpy(),
    }
    return pd.DataFrame(columns)


def _grid(n: int, half: float) -> torch.Tensor:
    """Points (n², 2) of a square grid over [-half, half]²; the first coordinate varies slowest."""
    axis = torch.linspace(-half, half, n, dtype=torch.float64)
    return torch.cartesian_prod(axis, axis)
