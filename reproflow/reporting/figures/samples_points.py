"""Samples in the plane as small multiples of histograms, beside the true density they should follow."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reproflow.reporting.figures import style
from reproflow.reporting.figures.sample_files import (
    Row,
    chosen,
    dataset_or_none,
    left_out,
    load_samples,
    title,
)
from reproflow.reporting.results import load_results

HALF, BINS, ACROSS = 3.0, 48, 5
COLUMNS = ["dataset", "weighting", "cell", "x0", "x1", "value"]
CAPTION = (
    "Samples in the plane, lowest seed with a result, as histograms over one square, beside the true density on the "
    "same bins; the lightest tone is zero, and each panel runs to its own maximum. Samples outside the square are not "
    "counted."
)
TRUTH = "true density"


def draw(results: Path) -> tuple[Figure, pd.DataFrame, str]:
    """The figure: one row a data set (or part of one); CSV: `value` is the truth's density or a count (> 0)."""
    read = load_results(results)
    loaded = [(row, found[0]) for row in chosen(read, "gaussian") if (found := load_samples(read.folder, row["cell"]))]
    panels = [(row, samples) for row, samples in loaded if samples.ndim == 2 and samples.shape[1] == 2]
    if not panels:
        why = read.why_missing("cells.csv") or "no samples in the plane in samples/"
        return style.placeholder(why), pd.DataFrame(columns=COLUMNS), CAPTION
    lines = _lines(panels)
    columns = 1 + max(len(line) for _, line in lines)
    figure, grid = style.panels(len(lines), columns, len(lines) * (style.WIDTH / columns + 0.4))
    frames = []
    for (first, *rest), (name, line) in zip(grid, lines, strict=True):
        density = true_density(name)
        _heat(first, density, f"{TRUTH if np.isfinite(density).all() else 'density not known'}\n{name}")
        frames.append(_tidy({"dataset": name, "weighting": TRUTH, "cell": ""}, density))
        peers = [row for row, _ in panels if row["dataset"] == name]
        for axes, (row, samples) in zip(rest, line, strict=False):
            counts, _, _ = np.histogram2d(samples[:, 0], samples[:, 1], bins=BINS, range=[(-HALF, HALF)] * 2)
            _heat(axes, counts, title(row, peers).replace(" · ", "\n", 1))
            frames.append(_tidy(row, counts).query("value > 0"))
        for axes in (first, *rest):
            axes.set_axis_off()
    return (
        figure,
        pd.concat(frames, ignore_index=True),
        CAPTION + left_out(read, "gaussian", [row for row, _ in panels]),
    )


def true_density(dataset: str) -> np.ndarray:
    """The density at the bins' centres, (BINS, BINS), first coordinate first; NaN where it is not known."""
    import torch

    data = dataset_or_none(dataset)
    if not hasattr(data, "log_density"):
        return np.full((BINS, BINS), math.nan)
    centres = torch.as_tensor(_centres())
    return data.log_density(torch.cartesian_prod(centres, centres)).exp().reshape(BINS, BINS).numpy()


def _lines(panels: list[tuple[Row, np.ndarray]]) -> list[tuple[str, list[tuple[Row, np.ndarray]]]]:
    lines = []
    for name in sorted({row["dataset"] for row, _ in panels}):
        own = [panel for panel in panels if panel[0]["dataset"] == name]
        lines += [(name, own[i : i + ACROSS]) for i in range(0, len(own), ACROSS)]
    return lines


def _centres() -> np.ndarray:
    edges = np.linspace(-HALF, HALF, BINS + 1)
    return (edges[1:] + edges[:-1]) / 2


def _heat(axes: Axes, values: np.ndarray, heading: str) -> None:
    axes.imshow(values.T, origin="lower", cmap="Blues", vmin=0, aspect="equal", interpolation="none")
    axes.set_title(heading, fontsize=7)


def _tidy(row: Row, values: np.ndarray) -> pd.DataFrame:
    first, second = np.meshgrid(_centres(), _centres(), indexing="ij")
    keys = {key: row[key] for key in COLUMNS[:3]}
    return pd.DataFrame(keys | {"x0": first.ravel(), "x1": second.ravel(), "value": values.ravel()})
