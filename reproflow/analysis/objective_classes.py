"""The objectives of a results folder: which (path, time law, weighting) it holds, and which of them are one in theory.

An objective is known by its canonical weight w(lam) up to a factor (`theory.equivalence`). What is compared are cells
of one data set, process, target, coupling, steps and setup with the squared error (or the masked cross-entropy); the
canonical form knows no other divergence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from reproflow.analysis.comparison import FIXED, candidates
from reproflow.analysis.formatting import label
from reproflow.analysis.results import Results
from reproflow.foundation.errors import UsageError

if TYPE_CHECKING:
    from reproflow.theory.paths import Path

NOUNS = ("weighting", "path", "time")
SAME = ["dataset", "process", "target", "coupling", "setup"]
SQUARED = ("squared", "")


@dataclass(frozen=True)
class Member:
    """One objective of a group: its names, a cell that has it, its cells, and the keys of those merged into others.

    `reach` are the log-SNRs at the ends of the times that training draws (NaN where no configuration says).
    """

    names: dict[str, str]
    key: str
    cells: pd.DataFrame
    merged: tuple[str, ...] = ()
    reach: tuple[float, float] = (math.nan, math.nan)

    @property
    def label(self) -> str:
        """The weighting, and path and time law where they are not the usual ones."""
        return label(self.names)


@dataclass(frozen=True)
class Group:
    """Cells that differ in objective and seed alone; `classes` are its objectives, equal ones together."""

    same: dict[str, Any]
    classes: list[list[Member]]


def groups(read: Results, unplaced: list[str]) -> list[Group]:
    """Every group of the results; an objective whose nouns cannot be found is said in `unplaced`."""
    squared = read.cells[read.cells["divergence"].isin(SQUARED)]
    found = []
    for cells in candidates(squared, SAME):
        members = _members(cells)
        same = {key: cells[key].iloc[0] for key in (*FIXED, "target", "coupling")}
        members += _merged(read, members)
        found.append(Group(same, _classes(read, members, unplaced)))
    return found


def _members(cells: pd.DataFrame) -> list[Member]:
    found = []
    for _, own in cells.groupby(list(NOUNS), sort=True):
        first = own.iloc[0]
        found.append(Member({noun: first[noun] for noun in NOUNS}, first["cell"], own))
    return found


def _merged(read: Results, members: list[Member]) -> list[Member]:
    """Objectives without a cell of their own: every cell was merged into a cell of one of these members."""
    keys = {key for member in members for key in member.cells["cell"]}
    known = [member.names for member in members]
    found: dict[str, Member] = {}
    for key in sorted(key for key, other in read.merged.items() if other in keys):
        names = {noun: str(getattr(read.cell(key), noun)) for noun in NOUNS}
        if names not in known:
            member = found.get(label(names)) or Member(names, key, read.cells.iloc[:0])
            found[label(names)] = replace(member, merged=(*member.merged, key))
    return list(found.values())


def _classes(read: Results, members: list[Member], unplaced: list[str]) -> list[list[Member]]:
    """Members by class, in order of their first one; ELBO first, then short names before long ones."""
    from reproflow.theory.equivalence import proportional

    found: list[tuple[Any, list[Member]]] = []
    for member in sorted(members, key=lambda each: (each.label != "elbo", len(each.label), each.label)):
        try:
            objective = read.objective(member.key)
            w, member = objective.signature(), replace(member, reach=_reach(read, member.key, objective.path))
        except UsageError as error:
            unplaced.append(f"{member.label} ({str(error).splitlines()[0]})")
            continue
        same = next((own for v, own in found if proportional(w, v) is not None), None)
        if same is None:
            found.append((w, [member]))
        else:
            same.append(member)
    return [own for _, own in found]


def _reach(read: Results, key: str, path: Path) -> tuple[float, float]:
    import torch

    name = read.cell(key).experiment
    ends = next((each.training.t_range for each in read.experiments if each.name == name), None)
    if ends is None:
        return math.nan, math.nan
    low, high = path.at(torch.tensor(ends, dtype=torch.float64)).lam.tolist()
    return low, high
