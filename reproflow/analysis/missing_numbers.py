"""Cells and numbers that a run lacks where its baseline has them.

A cell that diverged or failed, or ended well with an empty column, is worse where the same seed had the number, or, on
other seeds, where the group's every cell had it: that is a rule and no test. Where the baseline lacks some too, the
shares of cells without the number are compared like any other numbers, 1 for such a cell and 0 for another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from reproflow.analysis.shifts import FAILED, MISSING, Change, Row, lost
from reproflow.analysis.snapshot import NOUNS, Group, Snapshot, label
from reproflow.numerics.relabelling import FEWEST_SEEDS


@dataclass
class Missing:
    """`rows` that are worse for it and the `names` of their cells; cells of groups that the baseline does not have;
    `shares` to be compared; and what too few seeds leave open."""

    rows: list[Row] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    unheard: list[str] = field(default_factory=list)
    shares: list[Change] = field(default_factory=list)
    open: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Lack:
    """Seeds with and without one thing, before and now; `names` of the cells without it now."""

    group: Group
    metric: str
    had: frozenset[int]
    lacked: frozenset[int]
    have: frozenset[int]
    lack: frozenset[int]
    names: tuple[str, ...]

    @property
    def worse(self) -> bool:
        return bool(self.lack & self.had) or not self.lacked

    @property
    def shares(self) -> tuple[float, float]:
        """The share of cells without it, before and now."""
        before, now = self.had | self.lacked, self.have | self.lack
        return len(self.lacked) / len(before), len(self.lack) / len(now)

    @property
    def change(self) -> Change:
        old, new = (
            {seed: float(seed in without) for seed in sorted(with_ | without)}
            for with_, without in ((self.had, self.lacked), (self.have, self.lack))
        )
        return Change(self.group, self.metric, old, new)


def missing_numbers(old: Snapshot, new: Snapshot) -> Missing:
    """What a run lacks, sorted by what it means."""
    found = Missing()
    for each in (*_cells(old, new), *_columns(old, new)):
        if not each.had and not each.lacked:
            found.unheard += each.names
        elif each.worse:
            seeds = len(each.have | each.lack)
            found.rows.append(lost(label(each.group), each.metric, *each.shares, seeds))
            found.names += each.names
        elif min(len(each.had | each.lacked), len(each.have | each.lack)) < FEWEST_SEEDS:
            found.open += [f"{name}: fewer than {FEWEST_SEEDS} seeds to compare shares with" for name in each.names]
        else:
            found.shares.append(each.change)
    return found


def failed_seeds(snapshot: Snapshot) -> dict[Group, tuple[int, ...]]:
    """The seeds of every group (its nouns) whose cells ended without a number."""
    found: dict[Group, tuple[int, ...]] = {}
    for each in snapshot.broken:
        found[each.nouns] = (*found.get(each.nouns, ()), each.seed)
    return found


def _cells(old: Snapshot, new: Snapshot) -> Iterator[Lack]:
    """Cells that diverged or failed."""
    before, now = failed_seeds(old), failed_seeds(new)
    for nouns, seeds in now.items():
        had, have = (_with_any_number(snapshot, nouns) for snapshot in (old, new))
        names = tuple(str(each) for each in new.broken if each.nouns == nouns)
        yield Lack((*nouns, ""), FAILED, had, frozenset(before.get(nouns, ())), have, frozenset(seeds), names)


def _columns(old: Snapshot, new: Snapshot) -> Iterator[Lack]:
    """Cells that ended well with an empty column; of all of a group's cells too."""
    for (group, metric), before in sorted(old.series.items()):
        now = new.series.get((group, metric))
        empty = frozenset(now.missing if now else new.empty.get((group, metric), ()))
        if empty:
            names = tuple(f"{label(group)}, seed {seed}: no {metric}" for seed in sorted(empty))
            have = frozenset(now.values if now else ())
            lacked = frozenset(before.missing)
            yield Lack(group, f"{metric}{MISSING}", frozenset(before.values), lacked, have, empty, names)


def _with_any_number(snapshot: Snapshot, nouns: Group) -> frozenset[int]:
    own = (series.values for (group, _), series in snapshot.series.items() if group[: len(NOUNS)] == nouns)
    return frozenset(seed for values in own for seed in values)
