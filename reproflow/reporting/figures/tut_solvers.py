r"""How the error of Euler's, Heun's and the classical Runge-Kutta method falls with steps and with evaluations.

A method of order p with n equal steps from noise to data ends at

.. math:: \hat x_1 = x_1 + C n^{-p} + O(n^{-p-1}),

a line of slope -p on logarithmic axes (004, "The Euler method": "fancier solvers" give "better quality with fewer
steps"; TUT-7). It asks for the velocity p times a step (p = 1, 2, 4), so the same cost buys fewer of its steps. The
field is that of three Gaussians on a line, in closed form, and so is where its flow ends.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reproflow.claims.policy import STATEMENT
from reproflow.claims.tutorials.solvers import ORDERS, solver_error
from reproflow.exact import three_gaussians, transport
from reproflow.learning.networks.exact_denoiser import exact_denoiser
from reproflow.learning.sampling.ode import TABLEAUS
from reproflow.reporting.figures import Source, figure, style
from reproflow.reporting.figures.flowlines import clock, field_of, follow, tidy
from reproflow.theory.paths import get_path

PATH = "linear"
STEPS = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
FITTED = 32
"""Slopes are fitted from so many steps on, where the leading term of the error is most of it."""
FEW = 5
STARTS = 9
NAMES = {"euler": "Euler", "heun": "Heun", "rk4": "RK4"}
COLOURS = {"euler": "#0173b2", "heun": "#a86300", "rk4": "#029e73"}


@figure("tut_solvers", order=160, title="Tutorial: solvers and their order")
def draw(source: Source) -> tuple[Figure, pd.DataFrame, str]:
    """The figure; it does not depend on the results."""
    paths, errors = _paths(), measured()
    slopes = errors.groupby("solver")["slope"].first()
    figure, [[left, middle, right]] = style.panels(1, 3, 2.9)
    _flow(left, paths)
    for axes, column in ((middle, "steps"), (right, "evaluations")):
        _errors(axes, errors, column, slopes)
    middle.set_ylabel("root mean square error at t = 1", labelpad=2)
    return figure, pd.concat([paths, errors], ignore_index=True), caption(errors)


def measured() -> pd.DataFrame:
    """The error of each method at each number of steps, and the slope fitted to its last ones."""
    rows = [
        {
            "quantity": "error",
            "solver": solver,
            "steps": steps,
            "evaluations": steps * len(TABLEAUS[solver].b),
            "value": solver_error(solver, PATH, STATEMENT, steps),
        }
        for solver in ORDERS
        for steps in STEPS
    ]
    frame = pd.DataFrame(rows)
    late = frame[frame["steps"] >= FITTED]
    slopes = {
        solver: float(np.polyfit(np.log(own["steps"]), np.log(own["value"]), 1)[0])
        for solver, own in late.groupby("solver")
    }
    return frame.assign(slope=frame["solver"].map(slopes))


def caption(errors: pd.DataFrame) -> str:
    """What is drawn, and what the errors say."""
    slopes = errors.groupby("solver")["slope"].first()
    fitted = ", ".join(f"{NAMES[solver]} {-slopes[solver]:.2f} (stated {ORDERS[solver]})" for solver in ORDERS)
    same = errors[errors["evaluations"] == errors.query("solver == 'rk4'")["evaluations"].min()].sort_values("value")
    ranked = ", ".join(f"{NAMES[row.solver]} {row.value:.2g}" for row in same.itertuples())
    cost = int(same["evaluations"].iloc[0])
    return (
        "Solving the flow from noise (t = 0) to data (t = 1) on the exact velocity field of three Gaussians on a line, "
        f"{PATH} path. Left: the flow's paths from {STARTS} starts (grey) and {FEW} steps of Euler's method (blue). "
        "Middle and right: root mean square distance at t = 1 from where the flow ends, over 61 starts, against the "
        "number of steps and the number of evaluations of the field. Orders of convergence, fitted from "
        f"{FITTED} steps on: {fitted}. At {cost} evaluations the errors are {ranked}."
    )


def _paths() -> pd.DataFrame:
    """The exact paths F_t^-1(Phi(x)), and those of a few steps of Euler's method."""
    start = torch.special.ndtri((torch.arange(STARTS, dtype=torch.float64)[:, None] + 0.5) / STARTS)
    path, fine = get_path(PATH), clock(100)
    first = path.at(torch.tensor(0.0, dtype=torch.float64))
    ends = [path.at(torch.tensor(t, dtype=torch.float64)) for t in fine]
    exact = torch.stack([transport.flow_map(three_gaussians.MIXTURE, start, first, end) for end in ends])
    few = follow(field_of(exact_denoiser(PATH)), start, clock(FEW), "euler")
    return pd.concat(
        [tidy(exact, fine, quantity="path", solver="exact"), tidy(few, clock(FEW), quantity="path", solver="euler")]
    )


def _flow(axes: Axes, paths: pd.DataFrame) -> None:
    for (solver, _), own in paths.groupby(["solver", "line"], sort=False):
        if solver == "euler":
            axes.plot(own["t"], own["x0"], color=COLOURS["euler"], marker="o", markersize=2.4, linewidth=0.9)
        else:
            axes.plot(own["t"], own["x0"], color="#b4bac3", linewidth=2.2)
    axes.set(xlabel="t", ylabel="x", xlim=(0, 1.01), xticks=[0, 0.5, 1], title=f"the flow, and {FEW} Euler steps")


def _errors(axes: Axes, errors: pd.DataFrame, column: str, slopes: pd.Series) -> None:
    for solver in ORDERS:
        own = errors[errors["solver"] == solver]
        axes.plot(own[column], own["value"], color=COLOURS[solver], marker="o", markersize=3, linewidth=1.2)
        label = f"{NAMES[solver]} {slopes[solver]:.2f}".replace("-", "−") if column == "steps" else NAMES[solver]
        last = own.iloc[-1]
        axes.annotate(
            label, (last[column], last["value"]), (5, 0), textcoords="offset points", va="center", fontsize=8,
            color=COLOURS[solver], annotation_clip=False,
        )  # fmt: skip
    largest = errors[column].max()
    axes.set(xscale="log", yscale="log", xlim=(errors[column].min() / 1.2, 5 * largest))
    ticks = [tick for tick in (4, 16, 64, 256) if tick <= largest]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    words = {"steps": "steps (label: fitted slope)", "evaluations": "evaluations of the field"}
    axes.set(xlabel=words[column], title=f"error against {column}")
