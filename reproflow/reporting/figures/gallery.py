"""The gallery: every canonical weight as a small panel of its own, marked monotone or not, equal ones together."""

from __future__ import annotations

import textwrap

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reproflow.foundation import processes
from reproflow.reporting.figures import Source, figure, style
from reproflow.reporting.figures.curves import LAM, REACH, Curve, Panel, panels

ACROSS = 4
WRAP = 35
FALLS = "#0173b2"
RISES = "#c44e00"
SHADE = "#f6d9c3"
YLIM = (1e-3, 1e3)
COLUMNS = ["panel", "process", "weighting", "path", "time", "lam", "w", "dw_dlam", "monotone", "rises"]
HEADS = {True: "Registered weightings", False: "Further objectives of these results"}
CAPTION = (
    "The canonical weight w(λ) of every registered weighting, and of every further objective in these results, "
    "relative to the ELBO integrand and divided by its value at λ = 0. One panel a curve: the names above it are one "
    "objective up to a factor within a process, and one function of the log-SNR across processes (masked: λ = "
    "log(α/(1-α))); 'masked too' says that the masked ones have the same names. A weighting on a prediction stands "
    "with its path in brackets, and its time law where that is not uniform: that is where it was proposed, or where "
    "the results have it. Noise is on the left. A weight that never rises with λ is a sum of bounds with positive "
    "coefficients; where one rises (shaded) it is not."
)


@figure("gallery", order=10, title="The weightings in canonical form")
def draw(source: Source) -> tuple[Figure, pd.DataFrame, str]:
    """The figure; the registry's part does not depend on the results."""
    read = source.results
    unplaced: list[str] = []
    found = panels(read, unplaced)
    parts = {head: [panel for panel in found if panel.registered is own] for own, head in HEADS.items()}
    parts = {head: part for head, part in parts.items() if part}
    figure, rooms = style.sections({head: len(part) for head, part in parts.items()}, ACROSS, 1.75)
    for part, room in zip(parts.values(), rooms, strict=True):
        for i, (panel, axes) in enumerate(zip(part, room, strict=True)):
            _panel(axes, panel)
            axes.set_ylabel("" if i % ACROSS else "w(λ) / w(0)", fontsize=7.5)
            axes.set_xlabel("λ" if i >= len(part) - ACROSS else "", fontsize=8, labelpad=1)
            axes.tick_params(labelleft=not i % ACROSS)
    note = f" Not drawn: {'; '.join(unplaced)}." if unplaced else ""
    return figure, _tidy(found), CAPTION + note


def _panel(axes: Axes, panel: Panel) -> None:
    first, colour = panel.curves[0], FALLS if panel.monotone else RISES
    for rise in panel.bound.rises:
        axes.axvspan(*rise.lam, color=SHADE, linewidth=0)
    axes.axhline(1, color=style.GREY, linewidth=0.5, alpha=0.6)
    axes.axvline(0, color=style.GREY, linewidth=0.5, alpha=0.6)
    axes.plot(LAM, first.shown, color=colour)
    axes.set(yscale="log", ylim=YLIM, xlim=(-REACH, REACH), xticks=[-8, -4, 0, 4, 8], yticks=[1e-3, 1, 1e3])
    axes.tick_params(labelsize=7)
    axes.minorticks_off()
    # The title's last line is left to the verdict, which has the curve's colour.
    axes.set_title("\n".join([*members(panel), ""]), fontsize=7.2, linespacing=1.2, pad=3)
    axes.annotate(
        verdict(panel), (0, 1), (0, 3), xycoords="axes fraction", textcoords="offset points", fontsize=7,
        color=colour, fontweight="bold", annotation_clip=False,
    )  # fmt: skip


def verdict(panel: Panel) -> str:
    """Monotone or not in words, with the intervals of lam on which the weight rises."""
    if panel.monotone:
        return "monotone"
    pieces = [f"{_end(rise.lam[0])} to {_end(rise.lam[1])}" for rise in panel.bound.rises]
    shown = ", ".join(pieces[:2]) + (f" and {len(pieces) - 2} more" if len(pieces) > 2 else "")
    return f"not monotone, rises {shown}"


def members(panel: Panel) -> list[str]:
    """The names of a panel, by process, as lines that fit its width."""
    own = {p: _places(panel, p) for p in processes.trained()}
    shown = {process: " = ".join(_placed(*each) for each in names.items()) for process, names in own.items() if names}
    first, *others = own
    if all(own[other].keys() == own[first].keys() for other in others):
        lines = [f"{shown[first]}; {', '.join(others)} too"]
    else:
        lines = [f"{process}: {names}" for process, names in shown.items()]
    return [part for line in lines for part in textwrap.wrap(line, WRAP, subsequent_indent="   ")]


def _places(panel: Panel, process: str) -> dict[str, list[str]]:
    """weighting -> the places (path, time law) where it has this curve."""
    found: dict[str, list[str]] = {}
    for each in panel.curves:
        if each.objective.process == process:
            found.setdefault(each.objective.weighting.name, []).extend(filter(None, [each.place]))
    return found


def _placed(name: str, places: list[str]) -> str:
    return f"{name} ({'; '.join(places)})" if places else name


def _end(lam: float) -> str:
    return f"{round(lam, 1) + 0.0:g}".replace("-", "−")


def _tidy(found: list[Panel]) -> pd.DataFrame:
    frames = [_rows(number, panel, each) for number, panel in enumerate(found, start=1) for each in panel.curves]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=COLUMNS)


def _rows(number: int, panel: Panel, each: Curve) -> pd.DataFrame:
    rises = ";".join(f"{rise.lam[0]:.17g}:{rise.lam[1]:.17g}" for rise in panel.bound.rises)
    columns = {"panel": number, **each.names, "lam": LAM.numpy(), "w": each.w, "dw_dlam": each.slope}
    frame = pd.DataFrame(columns | {"monotone": panel.monotone, "rises": rises})
    return frame[COLUMNS]
