"""Canonical weights as curves over the log-SNR: what the registry holds and what the results add, equal ones together.

A weighting on a prediction (uniform on the velocity, SNR on x1) has a curve only with a path and a time law; it is
drawn with uniform time on the path it was proposed for (`HOME`, else linear). A canonical weighting is its own curve.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from reproflow.analysis.objective_classes import SQUARED
from reproflow.analysis.results import Results, records
from reproflow.foundation import processes, registry
from reproflow.foundation.errors import UsageError
from reproflow.numerics.derivatives import Mode
from reproflow.theory.bounds import Bound, analyse
from reproflow.theory.equivalence import proportional
from reproflow.theory.log_snr import invert_lam
from reproflow.theory.objective import Objective, get_objective

REACH = 8.0
LAM = torch.linspace(-REACH, REACH, 161, dtype=torch.float64)
# The SNR family weighs the x1 error of variance-preserving diffusion with a cosine schedule (Salimans & Ho 2022).
HOME = dict.fromkeys(("snr", "truncated_snr", "min_snr", "soft_min_snr"), "cosine")
POINTS = 2001
STEP = 1e-4


@dataclass(frozen=True)
class Curve:
    """The canonical weight of one objective: w and its derivative in lam at `LAM`, NaN where no t in (0, 1) reaches."""

    objective: Objective
    w: np.ndarray
    slope: np.ndarray

    @property
    def names(self) -> dict[str, str]:
        """What the objective is called, and the process."""
        objective = self.objective
        components = {"weighting": objective.weighting, "path": objective.path, "time": objective.time}
        return {"process": objective.process, **{key: component.name for key, component in components.items()}}

    @property
    def shown(self) -> np.ndarray:
        """w over its value at lam = 0, or over its largest value where it has none there."""
        middle = self.w[len(self.w) // 2]
        return self.w / (middle if np.isfinite(middle) and middle > 0 else np.nanmax(np.abs(self.w)) or 1.0)

    @property
    def place(self) -> str:
        """The path, and a time law that is not uniform, where they matter; nothing for a canonical weighting."""
        if self.objective.prediction == "canonical":
            return ""
        path, law = self.objective.path.name, self.objective.time.name
        return ", ".join([path, *([] if law == "uniform" else [law])])


@dataclass
class Panel:
    """One curve up to a factor: the objectives that have it, and whether it is monotone."""

    curves: list[Curve]
    bound: Bound
    registered: bool

    @property
    def monotone(self) -> bool:
        """Whether the weight nowhere rises with lam, so that it is certified as a sum of bounds."""
        return not self.bound.rises


def panels(read: Results, unplaced: list[str]) -> list[Panel]:
    """All panels, the registry's first; objectives whose components cannot be found or used are said in `unplaced`."""
    found: list[Panel] = []
    for curve in registered():
        _enter(curve, found, True)
    for name, key in _of_results(read):
        try:
            _enter(curve_of(read.objective(key)), found, False)
        except UsageError as error:
            unplaced.append(f"{name} ({str(error).splitlines()[0]})")
    return found


def registered() -> Iterable[Curve]:
    """Every registered weighting of each process that is trained, with uniform time on its own path."""
    for process in processes.trained():
        for entry in registry.entries("weighting", process):
            path = HOME.get(entry.name, "linear") if processes.facts(process).other_targets else "linear"
            yield curve_of(get_objective(path, "uniform", entry.name, process, mode=Mode.FORWARD))


def _of_results(read: Results) -> list[tuple[str, str]]:
    """Weighting and key of one cell for each objective with the squared error or cross-entropy, merged ones too."""
    rows = records(read.cells[read.cells["divergence"].isin(SQUARED)])
    found = {(row["process"], row["weighting"], row["path"], row["time"]): row["cell"] for row in reversed(rows)}
    for key in read.merged:
        cell = read.cell(key)
        found.setdefault((cell.process, str(cell.weighting), str(cell.path), str(cell.time)), key)
    return [(names[1], key) for names, key in sorted(found.items())]


def curve_of(objective: Objective) -> Curve:
    """The curve of an objective; its slope by central differences (error of order 1e-8 of w)."""
    low, w, high = (objective.signature(LAM + shift).numpy() for shift in (-STEP, 0.0, STEP))
    return Curve(objective, w, (high - low) / (2 * STEP))


def bound(each: Curve) -> Bound:
    """The verdict of `theory.bounds` on the part of the curve that is drawn."""
    objective = each.objective
    ends = invert_lam(objective.path, LAM)
    ends = ends[ends.isfinite()][[0, -1]]
    return analyse(
        lambda t: objective.weight(torch.as_tensor(t)).numpy(),
        lambda t: objective.path.at(torch.as_tensor(t)).lam.numpy(),
        (float(ends[0]), float(ends[1])),
        POINTS,
    )


def _enter(each: Curve, found: list[Panel], is_registered: bool) -> None:
    """Adds a curve to the panel that has it, else to a panel of its own; the same name twice is entered once."""
    for panel in found:
        if proportional(torch.as_tensor(each.w), torch.as_tensor(panel.curves[0].w)) is not None:
            if _key(each) not in {_key(other) for other in panel.curves}:
                panel.curves.append(each)
            return
    found.append(Panel([each], bound(each), is_registered))


def _key(each: Curve) -> tuple[str, str, str]:
    return each.objective.process, each.objective.weighting.name, each.place
