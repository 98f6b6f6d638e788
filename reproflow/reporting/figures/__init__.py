"""Figures: one file each, named in `FIGURES`; each is written as SVG, PDF and PNG beside a CSV of its numbers.

A figure is a function of the results folder that returns (figure, frame, caption). The caption is stored in the SVG and
the PNG as their description, so it travels with the file; the report reads it from there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from reproflow.foundation.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    Draw = Callable[[Path], tuple[Figure, pd.DataFrame, str]]


NAMES = (
    "fid_likelihood",
    "gallery",
    "losses",
    "samples_gaussian",
    "samples_masked",
    "samples_plane",
    "paths_fields",
    "st_cascade",
    "st_weighted_sum",
    "st_gaussian_weightings",
    "st_masked_weightings",
    "st_cross_entropy_weight",
    "bil_gradient_equality",
    "tut_posterior",
    "tut_field",
    "tut_solvers",
    "tut_reflow",
    "tut_times",
    "tut_weights",
    "bil_exchange",
)
"""Every figure, in the order of the report; the workflow reads this without importing matplotlib."""


@functools.cache
def figures() -> dict[str, Draw]:
    """Name -> function of the results folder, in the order of the report."""
    from reproflow.reporting.figures import (
        bil_gradients,
        exchange,
        fid_likelihood,
        gallery,
        losses,
        paths_fields,
        samples_images,
        samples_points,
        st_cascade,
        st_terms,
        st_weightings,
        tut_field,
        tut_posterior,
        tut_reflow,
        tut_solvers,
        tut_times,
        tut_weights,
    )

    draws: list[Draw] = [
        fid_likelihood.draw,
        gallery.draw,
        losses.draw,
        functools.partial(samples_images.draw, process="gaussian"),
        functools.partial(samples_images.draw, process="masked"),
        samples_points.draw,
        paths_fields.draw,
        st_cascade.draw,
        st_terms.draw,
        st_weightings.draw_gaussian,
        st_weightings.draw_masked,
        st_weightings.draw_cross_entropy,
        bil_gradients.draw,
        tut_posterior.draw,
        tut_field.draw,
        tut_solvers.draw,
        tut_reflow.draw,
        tut_times.draw,
        tut_weights.draw,
        exchange.draw,
    ]
    return dict(zip(NAMES, draws, strict=True))


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
    return [path for name in wanted for path in _write(Path(results), name, known[name])]


def _write(results: Path, name: str, draw: Draw) -> list[Path]:
    from reproflow.analysis.results import write_frame
    from reproflow.reporting.figures import style

    stem = results / "figures" / name
    with style.styled():
        figure, frame, caption = draw(results)
        write_frame(frame, stem.with_suffix(".csv"))
        return [*style.save(figure, stem, caption), stem.with_suffix(".csv")]
