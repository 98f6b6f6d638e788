"""Samples in the plane as small multiples of histograms, beside the true density they should follow."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reproflow.foundation.config import Experiment
from reproflow.reporting.figures import Source, figure, style
from reproflow.reporting.figures.sample_files import (
    Row,
    chosen,
    dataset_or_none,
    left_out,
    title,
)

HALF = 3.0
BINS = 48
ACROSS = 6
WRAP = 24  # characters of a panel's heading in a line
COLUMNS = ["dataset", "weighting", "path", "time", "cell", "x0", "x1", "value"]
CAPTION = (
    "Samples in the plane, lowest seed with a result, as histograms over one square, beside the true density on the "
    "same bins; the lightest tone is zero, and each panel runs to its own maximum. Samples outside the square are not "
    "counted."
)
TRUTH = "true density"


@figure("samples_plane", order=60, title="Samples in the plane")
def draw(source: Source) -> tuple[Figure, pd.DataFrame, str]:
    """The figure: the true density of each data set, then its cells; CSV: `value` is a density or a count (> 0)."""
    read = source.results
    loaded = [(row, found[0]) for row in chosen(read, "gaussian") if (found := read.samples(row["cell"]))]
    shown = [(row, samples) for row, samples in loaded if samples.ndim == 2 and samples.shape[1] == 2]
    if not shown:
        why = read.why_missing("cells.csv") or "no samples in the plane in samples/"
        return style.placeholder(why), pd.DataFrame(columns=COLUMNS), CAPTION
    rows = [row for row, _ in shown]
    lines = [
        line
        for name in sorted({row["dataset"] for row in rows})
        for line in _lines(name, shown, rows, read.experiments)
    ]
    columns = max(len(line) for line in lines)
    figure, grid = style.panels(len(lines), columns, len(lines) * (style.WIDTH / columns + 0.4))
    for every, line in zip(grid, lines, strict=True):
        for axes, (heading, _, values) in zip(every, line, strict=False):
            _heat(axes, values, heading)
        for axes in every:
            axes.set_axis_off()
    frames = [_tidy(row, values) for line in lines for _, row, values in line]
    return figure, pd.concat(frames, ignore_index=True), CAPTION + left_out(read, "gaussian", rows)


def _lines(
    name: str, shown: list[tuple[Row, np.ndarray]], rows: list[Row], experiments: Iterable[Experiment]
) -> list[list[tuple[str, Row, np.ndarray]]]:
    """One data set's panels (heading, row, values on the bins), cut into lines of the figure."""
    density = true_density(name, experiments)
    heading = f"{TRUTH if np.isfinite(density).all() else 'density not known'}\n{name}"
    panels = [(heading, dict.fromkeys(COLUMNS, "") | {"dataset": name, "weighting": TRUTH}, density)]
    for row, samples in ((row, samples) for row, samples in shown if row["dataset"] == name):
        counts, _, _ = np.histogram2d(samples[:, 0], samples[:, 1], bins=BINS, range=[(-HALF, HALF)] * 2)
        panels.append((style.heading(title(row, rows), WRAP), row, counts))
    return [panels[i : i + ACROSS] for i in range(0, len(panels), ACROSS)]


def true_density(dataset: str, experiments: Iterable[Experiment] = ()) -> np.ndarray:
    """The density at the bins' centres, (BINS, BINS), first coordinate first; NaN where it is not known."""
    import torch

    data = dataset_or_none(dataset, experiments)
    if getattr(data, "log_density", None) is None:
        return np.full((BINS, BINS), math.nan)
    centres = torch.as_tensor(_centres())
    return data.log_density(torch.cartesian_prod(centres, centres)).exp().reshape(BINS, BINS).numpy()


def _centres() -> np.ndarray:
    edges = np.linspace(-HALF, HALF, BINS + 1)
    return (edges[1:] + edges[:-1]) / 2


def _heat(axes: Axes, values: np.ndarray, heading: str) -> None:
    axes.imshow(values.T, origin="lower", cmap="Blues", vmin=0, aspect="equal", interpolation="none")
    axes.set_title(heading, fontsize=7, linespacing=1.15, pad=3)


def _tidy(row: Row, values: np.ndarray) -> pd.DataFrame:
    first, second = np.meshgrid(_centres(), _centres(), indexing="ij")
    keys = {key: row[key] for key in COLUMNS[:5]}
    frame = pd.DataFrame(keys | {"x0": first.ravel(), "x1": second.ravel(), "value": values.ravel()})
    return frame if row["weighting"] == TRUTH else frame[frame["value"] > 0]
