"""Figures: one function each, registered by `figure`; each is written as SVG, PDF and PNG beside a CSV of its numbers.

A figure is a function of a `Source` that returns (figure, frame, caption). The caption is stored in the SVG and the PNG
as their description, so it travels with the file; the report reads it from there. A new figure is a new module here;
`reproflow list --refresh` enters it into `names.json`, from where workflow and page know it.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reproflow.foundation import names, registry
from reproflow.foundation.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from reproflow.analysis.results import Results

    Draw = Callable[["Source"], tuple[Figure, pd.DataFrame, str]]


class Source:
    """The results folder that figures are drawn from. It is read once for all of them, and only where one asks."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @functools.cached_property
    def results(self) -> Results:
        """What the folder holds. Raises `UsageError` where there is nothing that a run leaves."""
        from reproflow.analysis.results import load_results

        return load_results(self.folder)

    @functools.cached_property
    def cascade(self) -> tuple[pd.DataFrame, str]:
        """Its cascade.csv; and, where there is nothing, why. The rest of the folder is not read for it."""
        from reproflow.analysis.bound_cascade import read_cascade

        return read_cascade(self.folder)


@dataclass(frozen=True)
class Facts:
    """What a figure declares: its place in the report, by rising numbers, and its title there."""

    order: int
    title: str


def figure(name: str, *, order: int, title: str) -> Callable[[Draw], Draw]:
    """Decorator: registers a function of a `Source` as the figure `name`, which names its files."""
    return registry.register("figure", name, process="", facts=Facts(order, title))


def listed() -> list[names.Name]:
    """The entries of all figures, in the order of the report; no figure's module is imported."""
    return sorted((each for each in names.known() if each.kind == "figure"), key=lambda each: each.facts["order"])


NAMES = tuple(each.name for each in listed())
"""Every figure, in the order of the report; the workflow reads this without importing matplotlib."""


@functools.cache
def figures() -> dict[str, Draw]:
    """Name -> function of a `Source`, in the order of the report."""
    for module in {each.where.partition(":")[0] for each in listed()}:
        importlib.import_module(module)
    return {name: registry.get("figure", name, "").function for name in NAMES}


def load() -> None:
    """Imports every module of this folder, which registers its figures: for writing the list of names."""
    for found in sorted(each.name for each in pkgutil.iter_modules(__path__)):
        importlib.import_module(f"{__name__}.{found}")


def write_figures(results: str | Path, names: Iterable[str] | None = None) -> list[Path]:
    """Writes `figures/<name>.{svg,pdf,png,csv}` for each name (default: all) and returns the paths.

    Raises `UsageError` for an unknown name. A figure whose input is missing is written all the same, and says what is
    missing.
    """
    known = figures()
    wanted = list(known) if names is None else list(names)
    for name in wanted:
        if name not in known:
            raise UsageError(f"unknown figure {name!r};{did_you_mean(name, known)} known: {', '.join(known)}")
    source = Source(results)
    return [path for name in wanted for path in _write(source, name, known[name])]


def _write(source: Source, name: str, draw: Draw) -> list[Path]:
    from reproflow.analysis.results import write_frame
    from reproflow.reporting.figures import style

    stem = source.folder / "figures" / name
    with style.styled():
        figure, frame, caption = draw(source)
        write_frame(frame, stem.with_suffix(".csv"))
        return [*style.save(figure, stem, caption), stem.with_suffix(".csv")]
