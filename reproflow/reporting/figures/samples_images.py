"""Contact sheets of image samples: one block a weighting, one row a class, beside the training images."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reproflow.reporting.figures import Source, figure, style
from reproflow.reporting.figures.sample_files import (
    IDENTITY,
    Row,
    chosen,
    dataset_or_none,
    left_out,
    title,
)

ACROSS = 8  # images a class in each block
CLASSES = 10
COLUMNS = [*IDENTITY, "label", "column", "index", "pixels"]
CAPTION = (
    "Samples of the {process} models, lowest seed with a result, not selected: one block a weighting, one row a class, "
    f"the first {ACROSS} samples of each class in the order they were drawn, beside training images; pixels are not "
    "smoothed."
)


@figure("samples_gaussian", order=50, title="Samples: Gaussian process")
def draw_gaussian(source: Source) -> tuple[Figure, pd.DataFrame, str]:
    """The sheets of the Gaussian process."""
    return _draw(source, "gaussian")


@figure("samples_masked", order=40, title="Samples: masked process")
def draw_masked(source: Source) -> tuple[Figure, pd.DataFrame, str]:
    """The sheets of the masked process."""
    return _draw(source, "masked")


def _draw(source: Source, process: str) -> tuple[Figure, pd.DataFrame, str]:
    """The sheet of one process; `pixels` in the CSV are an image's bytes in hexadecimal."""
    read = source.results
    found = [(row, loaded) for row in chosen(read, process) if (loaded := read.samples(row["cell"]))]
    blocks = [(row, samples, labels) for row, (samples, labels) in found if samples.ndim > 2]
    rows = [row for row, *_ in blocks]
    if not blocks:
        why = read.why_missing("cells.csv") or f"no image samples of the {process} process in samples/"
        return style.placeholder(why), pd.DataFrame(columns=COLUMNS), CAPTION.format(process=process)
    blocks = [block for name in sorted({row["dataset"] for row in rows}) for block in _with_data(name, blocks)]
    across = min(3, len(blocks))
    sheets = [
        (title(row, rows) if row["cell"] else row["weighting"], *_sheet(*block))
        for block in blocks
        for row in block[:1]
    ]
    height, width = sheets[0][1].shape
    down = -(-len(blocks) // across)
    figure, grid = style.panels(down, across, down * (style.WIDTH / across * height / width + 0.25))
    flat = [axes for line in grid for axes in line]
    for axes, (heading, image, white) in zip(flat, sheets, strict=False):
        axes.imshow(image, cmap="gray", vmin=0, vmax=white, interpolation="none")
        axes.set_title(heading)
    for axes in flat:
        axes.set_axis_off()
    frame = pd.concat([_tidy(*block) for block in blocks], ignore_index=True)
    return figure, frame, CAPTION.format(process=process) + left_out(read, process, rows)


def tile(images: np.ndarray, picked: list[list[int]], gap: int = 1) -> np.ndarray:
    """The picked images (N, H, W) as one array, a row a list, `gap` pixels of NaN (background) between."""
    height, width = images.shape[1:]
    sheet = np.full((len(picked) * (height + gap) - gap, ACROSS * (width + gap) - gap), np.nan)
    for i, row in enumerate(picked):
        for j, index in enumerate(row):
            top, left = i * (height + gap), j * (width + gap)
            sheet[top : top + height, left : left + width] = images[index]
    return sheet


def grey(samples: np.ndarray) -> np.ndarray:
    """(N, H, W) or (N, C, H, W) as (N, H, W); colour channels are averaged."""
    return samples if samples.ndim == 3 else samples.mean(axis=1)


def by_class(labels: np.ndarray) -> list[list[int]]:
    """The first `ACROSS` indices of each of the first `CLASSES` labels."""
    return [np.flatnonzero(labels == label)[:ACROSS].tolist() for label in np.unique(labels)[:CLASSES]]


def _with_data(name: str, blocks: list[tuple[Row, np.ndarray, np.ndarray]]) -> list[tuple[Row, np.ndarray, np.ndarray]]:
    """The blocks of one data set, its training images first where the data set is registered here."""
    own, data = [block for block in blocks if block[0]["dataset"] == name], dataset_or_none(name)
    if not hasattr(data, "levels"):
        return own
    row = dict.fromkeys(IDENTITY, "") | {"dataset": name, "weighting": "training data"}
    return [(row, data.images(data.train).numpy(), data.train_labels.numpy()), *own]


def _sheet(row: Row, samples: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, int]:
    data = dataset_or_none(row["dataset"])
    return tile(grey(samples), by_class(labels)), data.levels - 1 if hasattr(data, "levels") else 255


def _tidy(row: Row, samples: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    keys = {key: row[key] for key in IDENTITY}
    return pd.DataFrame(
        {
            **keys,
            "label": int(labels[i]),
            "column": j,
            "index": i,
            "pixels": np.ascontiguousarray(samples[i]).tobytes().hex(),
        }
        for line in by_class(labels)
        for j, i in enumerate(line)
    )
