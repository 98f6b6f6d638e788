"""The rows of a regression check: every group and metric, their means, and shares of cells that failed; one family.

A group is a cell without its seed. A mean is taken over the groups of one weighting, and over a data set and process,
within a metric: per seed first, because cells of one seed share data and noise and the seed is the unit of replication.
A row whose every number is the baseline's at the same seed, to the last bit, is `untouched` and not tested. Other seeds
in common count as fresh ones: where a seed's numbers before and now resemble each other, a difference looks noisier
than it is. Groups with other seeds than the rest form a block of their own, with its part of the level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reproflow.analysis.snapshot import GROUP, Group, label
from reproflow.numerics.relabelling import FEWEST_SEEDS
from reproflow.numerics.simultaneous import WORSE, Comparisons, compare_samples

UNTOUCHED = "untouched"
FAILED = "failed"
"""The metric of a row that compares shares of cells without a number."""
MISSING = " missing"
"""Ends the metric of a row that compares shares of cells with an empty column: `nll_nats missing`."""
Seeds = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class Change:
    """One group's values of one metric by seed, in the baseline and in the run, and the margin.

    `seeds`: all seeds of either, those without a number included.
    """

    group: Group
    metric: str
    before: Mapping[int, float]
    after: Mapping[int, float]
    margin: float = 0.0
    seeds: Seeds = ((), ())

    @property
    def untouched(self) -> bool:
        """Whether every number of the run is the baseline's at that seed, to the last bit."""
        known = all(seed in self.before and self.before[seed] == value for seed, value in self.after.items())
        return bool(self.after) and known

    @property
    def design(self) -> Seeds:
        """The seeds of either side."""
        old, new = ({*own, *values} for own, values in zip(self.seeds, (self.before, self.after), strict=True))
        return tuple(sorted(old)), tuple(sorted(new))

    def __str__(self) -> str:
        return f"{label(self.group)}, {self.metric}"


@dataclass(frozen=True)
class Row:
    """One comparison of `cells` groups.

    Means before and after, their difference with its simultaneous interval [low, high], the margin, `spread`: the
    standard deviation over seeds after over that before, the family-wise p and that of Student's t with Holm, the
    difference that would alarm, and the shift that is found with power 0.8; None where there is none.
    """

    what: str
    metric: str
    cells: int
    seeds: str
    before: float
    after: float
    difference: float
    margin: float
    verdict: str
    low: float | None = None
    high: float | None = None
    spread: float | None = None
    p: float | None = None
    p_oracle: float | None = None
    alarm_at: float | None = None
    detectable: float | None = None


@dataclass(frozen=True)
class Line:
    """A row before it is compared: what it is called, its margin, and its values by seed (NaN: no number)."""

    what: str
    metric: str
    cells: int
    margin: float
    before: np.ndarray
    after: np.ndarray


def is_share(metric: str) -> bool:
    """Whether a row of this metric compares shares of cells."""
    return metric == FAILED or metric.endswith(MISSING)


def rows(changes: Sequence[Change], alpha: float, looks: int = 1) -> list[Row]:
    """The rows of all changes and their means; p is to be compared with alpha, whatever the blocks and looks."""
    blocks: dict[Seeds, list[Change]] = {}
    for each in changes:
        if not each.untouched:
            blocks.setdefault(each.design, []).append(each)
    found = [_untouched(each) for each in changes if each.untouched]
    whole = _members(changes)
    for block in blocks.values():
        lines = lines_of(block, whole)
        before, after = (np.array([getattr(each, side) for each in lines]).T for side in ("before", "after"))
        margins = np.array([each.margin for each in lines])
        parts = len(blocks) * looks
        compared = compare_samples(before, after, margins, alpha / parts)
        found += [_row(line, compared, place, parts) for place, line in enumerate(lines)]
    return found


def lines_of(block: Sequence[Change], whole: Mapping[tuple[str, str], Sequence[Change]] | None = None) -> list[Line]:
    """The rows of changes that have the same seeds: each, and the means that have a member among them.

    `whole` holds the members of every mean, untouched ones among them; by default those of the block.
    """
    design = block[0].design
    lines = [Line(label(each.group), each.metric, 1, each.margin, *_values(each, design)) for each in block]
    for (what, metric), members in sorted((_members(block) if whole is None else whole).items()):
        touched = [each for each in members if not each.untouched]
        if len(members) > 1 and touched and all(each.design == design for each in members) and touched[0] in block:
            values = [np.mean(side, 0) for side in zip(*(_values(each, design) for each in members), strict=True)]
            if min(np.isfinite(side).sum() for side in values) < FEWEST_SEEDS:
                continue
            margin = float(np.mean([each.margin for each in members]))
            lines.append(Line(what, metric, len(members), margin, *values))
    return lines


def _members(changes: Sequence[Change]) -> dict[tuple[str, str], list[Change]]:
    """The means, by what they are called and metric, with their members: a weighting's groups, and all of a data set.

    Of two means with the same members the more general one is left out.
    """
    weighting = GROUP.index("weighting")
    found: dict[tuple[str, str], list[Change]] = {}
    for each in changes:
        if not is_share(each.metric):
            where = " ".join(each.group[:2])
            for name in (f"{where}, mean of {each.group[weighting]}", f"{where}, mean of all"):
                found.setdefault((name, each.metric), []).append(each)
    distinct = {tuple(map(id, members)): name for name, members in reversed(found.items())}
    return {name: found[name] for name in distinct.values()}


def _values(change: Change, design: Seeds) -> tuple[np.ndarray, np.ndarray]:
    old, new = (
        np.array([values.get(seed, np.nan) for seed in seeds])
        for values, seeds in zip((change.before, change.after), design, strict=True)
    )
    return old, new


def _row(line: Line, compared: Comparisons, place: int, parts: int) -> Row:
    old, new = (each[np.isfinite(each)] for each in (line.before, line.after))
    columns = {"low": "low", "high": "high", "alarm_at": "alarm", "detectable": "detectable"}
    # A shift of zeros and ones is no law of theirs: of shares there is a p and no interval.
    numbers = {} if is_share(line.metric) else {key: getattr(compared, own)[place] for key, own in columns.items()}
    numbers |= {key: min(1.0, parts * getattr(compared, key)[place]) for key in ("p", "p_oracle")}
    return Row(
        what=line.what,
        metric=line.metric,
        cells=line.cells,
        seeds=f"{len(old)} and {len(new)}",
        before=_mean(old),
        after=_mean(new),
        difference=_mean(new) - _mean(old),
        margin=line.margin,
        spread=_ratio(old, new),
        verdict=compared.verdicts[place],
        **{key: _number(value) for key, value in numbers.items()},
    )


def _untouched(change: Change) -> Row:
    common = change.before.keys() & change.after.keys()
    value = _mean(np.array([change.before[seed] for seed in sorted(common)]))
    return Row(
        what=label(change.group),
        metric=change.metric,
        cells=1,
        seeds=f"{len(common)} in common",
        before=value,
        after=value,
        difference=0.0,
        margin=change.margin,
        verdict=UNTOUCHED,
    )


def lost(what: str, metric: str, before: float, after: float, seeds: int) -> Row:
    """The row of shares of cells without a number where the baseline's have one: worse, without a test."""
    return Row(
        what=what,
        metric=metric,
        cells=1,
        seeds=f"{seeds} seeds",
        before=before,
        after=after,
        difference=after - before,
        margin=0.0,
        verdict=WORSE,
    )


def _ratio(old: np.ndarray, new: np.ndarray) -> float | None:
    """The standard deviation over seeds after over that before."""
    if min(len(old), len(new)) < 2 or old.std() == 0:
        return None
    return _number(new.std(ddof=1) / old.std(ddof=1))


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
