"""How every figure looks, in one place: palette, type, direct labels, and files that are the same bytes each time."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import seaborn
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from reproflow.analysis.formatting import USUAL
from reproflow.foundation.by_process import ByProcess
from reproflow.foundation.files import atomic

HEAD = 0.3  # inches of a heading over panels
WIDTH = 8.4  # inches; the report shows figures at about this width
GREY = "#6b7280"
INK = "#1f2933"
# ELBO is the reference of every comparison and is drawn in ink; the rest take seaborn's colour-blind safe hues.
REFERENCE = "elbo"
LINES = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))


@dataclass(frozen=True)
class Shown:
    """The marker of a process; `level` and `level_title` name its noise levels on an axis and over a legend.

    `rising_to_data`: its levels rise from noise to data, so that an axis from data to noise is inverted.
    """

    marker: str
    level: str
    level_title: str
    rising_to_data: bool


SHOWN: ByProcess[Callable[[], Shown]] = ByProcess("look in figures", __name__)
"""By process: how figures show it."""

_RC = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 7,
    "axes.labelsize": 9,
    "axes.edgecolor": "#9aa1ab",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": "#4b5563",
    "ytick.color": "#4b5563",
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "lines.linewidth": 1.7,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "reproflow",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "image.interpolation": "nearest",
    "path.simplify": True,
}


@contextmanager
def styled() -> Iterator[None]:
    """Within it, figures are drawn in the house style on matplotlib's defaults, whatever the user's settings are."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        settings: dict[Any, Any] = {**seaborn.axes_style("ticks"), **_RC}
        with matplotlib.rc_context(settings):
            yield


def panels(rows: int, columns: int, height: float, **kwargs) -> tuple[Figure, list[list[Axes]]]:
    """A figure of the house's width with rows x columns axes, without pyplot's global state."""
    figure = _canvas(height)
    return figure, figure.subplots(rows, columns, squeeze=False, **kwargs).tolist()


def sections(sizes: Mapping[str, int], across: int, height: float) -> tuple[Figure, list[list[Axes]]]:
    """A figure of small panels under headings: for each heading its axes, `across` in a row of `height` inches."""
    rows = [-(-size // across) for size in sizes.values()]
    ratios = [ratio for count in rows for ratio in (HEAD, *[height] * count)]
    figure = _canvas(sum(ratios))
    grid = figure.add_gridspec(len(ratios), across, height_ratios=ratios)
    found, top = [], 0
    for (heading, size), count in zip(sizes.items(), rows, strict=True):
        above = figure.add_subplot(grid[top, :])
        above.set_axis_off()
        above.text(0, 0, heading, fontsize=10, fontweight="bold", va="bottom")
        found.append([figure.add_subplot(grid[top + 1 + i // across, i % across]) for i in range(size)])
        top += 1 + count
    return figure, found


def _canvas(height: float) -> Figure:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def placeholder(reason: str) -> Figure:
    """What stands in a figure's place when its input is missing: the reason, in words."""
    figure = Figure(figsize=(WIDTH, 1.1))
    FigureCanvasAgg(figure)
    figure.text(0.5, 0.5, f"not drawn: {reason}", ha="center", va="center", color=GREY, wrap=True)
    return figure


def looks(names: Iterable[str]) -> dict[str, dict[str, object]]:
    """Colour and line style of each weighting; fixed by the set of names, so a name looks alike in every figure."""
    palette = [tuple(colour) for colour in seaborn.color_palette("colorblind") if not _faint(colour)]
    others = sorted(set(names) - {REFERENCE})
    styles: dict[str, dict[str, object]] = {
        name: {"color": palette[i % len(palette)], "linestyle": LINES[i // len(palette) % len(LINES)]}
        for i, name in enumerate(others)
    }
    return {REFERENCE: {"color": INK, "linestyle": "-"}, **styles}


def heading(text: str, width: int) -> str:
    """A label over a small panel: the weighting on its own line, the rest below, cut at `width` characters."""
    return "\n".join(line for part in text.split(" · ", 1) for line in textwrap.wrap(part, width))


def order(row: Mapping[Any, Any]) -> tuple[Any, ...]:
    """Sort key of panels: by data set; usual path and time law before others; ELBO before other weightings."""
    unusual = [(row[key] != USUAL[key], row[key]) for key in ("path", "time")]
    return (row["dataset"], *unusual, row["target"], row["weighting"] != REFERENCE, row["weighting"], row["steps"])


def _faint(colour: Sequence[float]) -> bool:
    """Whether a colour is too light for thin lines and labels on white (relative luminance above 0.68)."""
    red, green, blue = colour
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.68


def heights(axes: Axes, values: Sequence[float], gap: float = 12.5) -> tuple[list[float], list[float]]:
    """Heights of increasing y values as fractions of the axes, and the same moved `gap` points apart."""
    natural = [float(axes.transAxes.inverted().transform(axes.transData.transform((1, y)))[1]) for y in values]
    figure = axes.get_figure(root=True)
    assert figure is not None
    return natural, spread(natural, gap / (axes.get_window_extent().height * 72 / figure.dpi))


def spread(positions: Sequence[float], gap: float) -> list[float]:
    """Increasing positions moved the least, in squared distance, until neighbours are `gap` apart, then into [0, 1].

    With the i-th shifted by -i gap this is isotonic regression: neighbours in the wrong order are pooled at their mean.
    """
    groups: list[tuple[float, int]] = []  # mean of the shifted positions, count
    for i, position in enumerate(positions):
        groups.append((position - i * gap, 1))
        while len(groups) > 1 and groups[-2][0] > groups[-1][0]:
            (mean, count), (before, n) = groups.pop(), groups.pop()
            groups.append(((before * n + mean * count) / (n + count), n + count))
    top = 1 - (len(positions) - 1) * gap
    shifted = [max(min(mean, top), 0.0) for mean, count in groups for _ in range(count)]
    return [mean + i * gap for i, mean in enumerate(shifted)]


def save(figure: Figure, stem: Path, caption: str) -> list[Path]:
    """Writes `stem.svg`, `.pdf` and `.png`, the caption as their description: no date, fixed ids, so the same bytes."""
    svg, pdf, png = (stem.with_suffix(suffix) for suffix in (".svg", ".pdf", ".png"))
    _freeze(figure)
    # Measured once: told "tight", each format would lay the figure out twice more, which is most of the time.
    tight: dict[str, Any] = {"bbox_inches": figure.get_tightbbox().padded(0.06)}
    metadata = {"Title": stem.name, "Description": caption}
    with atomic(svg) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None, **metadata}, **tight)
        temporary.write_text(rounded(temporary.read_text(encoding="utf-8")), encoding="utf-8")
    with atomic(pdf) as temporary:
        about = {"Title": stem.name, "Subject": caption, "CreationDate": None}
        figure.savefig(temporary, format="pdf", metadata=about, dpi=200, **tight)
    with atomic(png) as temporary:
        figure.savefig(temporary, format="png", metadata=metadata, dpi=200, **tight)
    return [svg, pdf, png]


def as_svg(figure: Figure) -> str:
    """The figure as the text of an SVG file without a date, its coordinates rounded."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None}, bbox_inches="tight", pad_inches=0.06)
    return rounded(stream.getvalue())


def _freeze(figure: Figure) -> None:
    """Ends the layout, with places rounded: the layout's solver orders its sums by memory address."""
    figure.draw_without_rendering()
    figure.set_layout_engine(None)  # not "none", which keeps an engine, and with it a drawing more for each format
    for axes in figure.axes:
        left, low, width, height = (round(value, 5) for value in axes.get_position(original=True).bounds)
        axes.set_position((left, low, width, height))


def rounded(svg: str) -> str:
    """An SVG with the coordinates of its paths rounded to a hundredth of a point, which halves it."""
    return _PATH.sub(
        lambda path: _NUMBER.sub(lambda each: f"{float(each[0]):.2f}".rstrip("0").rstrip("."), path[0]), svg
    )


_PATH = re.compile(r'(?<= d=")[^"]*')
_NUMBER = re.compile(r"-?\d+\.\d{3,}")
