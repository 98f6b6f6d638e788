"""What each weighting of the results weighs: its canonical form w(λ), relative to the ELBO integrand.

Two weightings with proportional w are one ideal objective; they share a line and a label.
"""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reproflow.foundation.errors import ReproflowError
from reproflow.reporting.figures import style
from reproflow.reporting.results import Results, load_results
from reproflow.theory.canonical import canonical_at
from reproflow.theory.paths import get_path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

LAM = torch.linspace(-6, 6, 193, dtype=torch.float64)
AT_ZERO = int(LAM.abs().argmin())
SAME = 1e-9
FLOOR = 3e-3


def draw(results: Path) -> tuple[Figure, pd.DataFrame, str]:
    """The figure, from the weightings, paths and time laws named in cells.csv."""
    read = load_results(results)
    if read.cells.empty:
        return style.placeholder(read.why_missing("cells.csv") or "no cells"), pd.DataFrame(columns=COLUMNS), CAPTION
    processes = sorted(read.cells["process"].unique())
    looks = style.looks(read.cells["weighting"])
    figure, [row] = style.panels(1, len(processes), 3.4, sharey=True)
    frames, undrawn = [], []
    for axes, process in zip(row, processes, strict=True):
        frame, failed = _curves(read, process)
        frames.append(frame)
        undrawn += failed
        _panel(axes, frame, process, looks)
    row[0].set_ylabel("w(λ) / w(0)")
    figure.draw_without_rendering()
    for axes, frame in zip(row, frames, strict=True):
        style.label_ends(axes, _ends(frame, looks))
    note = f" Not drawn: {'; '.join(undrawn)}." if undrawn else ""
    return figure, pd.concat(frames, ignore_index=True), CAPTION + note


COLUMNS = ["process", "path", "time", "weighting", "same_as", "lam", "w"]
CAPTION = (
    "The canonical weight w(λ) of each weighting relative to the ELBO integrand, divided by its value at λ = 0. Noise "
    "is on the left. A weight that never rises with λ is a sum of bounds with positive coefficients; one that rises is "
    "not. Weightings whose curves are proportional are one objective and share a line."
)


def _curves(read: Results, process: str) -> tuple[pd.DataFrame, list[str]]:
    """The normalised curves of one process (tidy), and one line for each weighting that cannot be resolved."""
    own = read.cells[read.cells["process"] == process]
    path, time = _primary(own)
    frames, failed = [], []
    known: dict[str, torch.Tensor] = {}
    for name in sorted(own["weighting"].unique(), key=lambda n: (n != style.REFERENCE, n)):
        try:
            w = canonical_at(get_path(path, process), get_time_law(time), get_weighting(name, process), LAM)
        except ReproflowError as error:
            failed.append(f"{name} ({str(error).splitlines()[0]})")
            continue
        w = w / w[AT_ZERO]
        same = next((other for other, v in known.items() if _agree(v, w)), name)
        known[name] = w
        columns = {"process": process, "path": path, "time": time, "weighting": name, "same_as": same}
        frames.append(pd.DataFrame({**columns, "lam": LAM.numpy(), "w": w.numpy()}))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=COLUMNS), failed


def _primary(own: pd.DataFrame) -> tuple[str, str]:
    """The (path, time law) drawn: linear with uniform time if the results have it, else the first in sorted order."""
    pairs = sorted(set(zip(own["path"], own["time"], strict=True)))
    return ("linear", "uniform") if ("linear", "uniform") in pairs else pairs[0]


def _agree(a: torch.Tensor, b: torch.Tensor) -> bool:
    both = a.isfinite() & b.isfinite()
    return bool((a.isfinite() == b.isfinite()).all() and ((a - b).abs() <= SAME * b.abs())[both].all())


def _panel(axes: Axes, frame: pd.DataFrame, process: str, looks: dict) -> None:
    for name, curve in frame[frame["weighting"] == frame["same_as"]].groupby("weighting", sort=True):
        axes.plot(curve["lam"], curve["w"], **looks[name])
    axes.axvline(0, color=style.GREY, linewidth=0.6, zorder=0)
    title = f"{process}: {frame['path'].iloc[0]} path, {frame['time'].iloc[0]} time" if len(frame) else process
    axes.set(yscale="log", ylim=(FLOOR, 40), xlim=(-6, 6), xlabel="λ", title=title)


def _ends(frame: pd.DataFrame, looks: dict) -> list[tuple[float, str, object]]:
    last = frame[frame["lam"] == float(LAM[-1])]
    ends = []
    for same, rows in last.groupby("same_as", sort=True):
        y = float(rows["w"].iloc[0])
        y = y if math.isfinite(y) else 1.0
        ends.append((min(max(y, FLOOR), 40), " = ".join(rows["weighting"]), looks[same]["color"]))
    return ends
