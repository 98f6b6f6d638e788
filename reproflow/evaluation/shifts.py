r"""Which numbers of a run are worse than its baseline's by more than a margin: the rows, their means, their p-values.

Groups that have the same seeds form a block, with one rotation test for all its rows (`evaluation.rotation`): every
group and metric, and the means over the groups of one weighting and of a whole data set and process, each within a
metric. Groups of one seed share data and noise, so a mean is taken per seed first, and the seed stays the unit of
replication. Equal seeds before and after are paired (n - 1 degrees of freedom); else there are two samples
(n_0 + n_1 - 2), which holds where some seeds are in both too: what they share makes the difference smaller than the
test takes it to be. Blocks share the level equally.

FID enters as a ratio to the baseline's mean of its group, so that a mean over groups is a mean relative change; such a
row is shown in units of FID, at the harmonic mean of its groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from reproflow.evaluation.rotation import contrasts, rotation_test
from reproflow.evaluation.snapshot import GROUP, METRICS, Group, label

RATIOS = ("fid_train", "fid_test")  # positive by nature; KID is unbiased, so it can be zero or less
IDENTICAL, WORSE, WITHIN = "identical", "worse", "no regression"


@dataclass(frozen=True)
class Change:
    """One group's values of one metric by seed, in the baseline and in the run."""

    group: Group
    metric: str
    before: Mapping[int, float]
    after: Mapping[int, float]

    @property
    def seeds(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return tuple(sorted(self.before)), tuple(sorted(self.after))

    @property
    def identical(self) -> bool:
        """Whether every seed that both have has the same number, to the last bit."""
        common = self.before.keys() & self.after.keys()
        return bool(common) and all(self.before[seed] == self.after[seed] for seed in common)

    def __str__(self) -> str:
        return f"{label(self.group)}, {self.metric}"


@dataclass(frozen=True)
class Row:
    """One comparison of `cells` groups: means before and after, the margin, the family-wise p, and what would alarm."""

    what: str
    metric: str
    cells: int
    seeds: str
    before: float
    after: float
    difference: float
    margin: float
    p: float
    alarm_at: float
    verdict: str


def rows(changes: Sequence[Change], margins: Mapping[str, float], alpha: float) -> list[Row]:
    """The rows of all changes and their means; identical ones are not tested.

    Every other change needs three seeds on either side.
    """
    blocks: dict[tuple[tuple[int, ...], tuple[int, ...]], list[Change]] = {}
    for each in changes:
        if not each.identical:
            blocks.setdefault(each.seeds, []).append(each)
    found = [_identical(each) for each in changes if each.identical]
    for block in blocks.values():
        found += _tested(block, margins, alpha, len(blocks))
    return found


def _tested(block: Sequence[Change], margins: Mapping[str, float], alpha: float, blocks: int) -> list[Row]:
    """The rows of one of so many blocks, each tested at its part of the level."""
    (old, new), averaged = block[0].seeds, _means(block)
    before = np.array([[each.before[seed] for each in block] for seed in old])
    after = np.array([[each.after[seed] for each in block] for seed in new])
    margin, unit = _margins(block, before, margins), _units(block, before)
    u, factor = contrasts(before / unit, (after - margin) / unit, old == new)
    weights = np.zeros((len(block), len(averaged)))
    for column, (_, members) in enumerate(averaged):
        weights[members, column] = 1 / len(members)
    found = rotation_test(u, _families(block), weights)
    every = np.hstack([np.eye(len(block)), weights])
    units = 1 / ((1 / unit) @ every)
    means = [(each / unit) @ every * units for each in (before.mean(0), after.mean(0), margin)]
    beyond = found.critical(alpha / blocks) * found.scale * factor * units
    named = [(label(each.group), each.metric, 1) for each in block]
    named += [(name, metric, len(members)) for (name, metric), members in averaged]
    seeds = f"{len(old)} paired" if old == new else f"{len(old)} and {len(new)}"
    numbers = zip(*(each.tolist() for each in means), np.minimum(1, found.p * blocks).tolist(), beyond, strict=True)
    return [
        Row(*name, seeds, a, b, b - a, m, p, float(m + t), WORSE if p <= alpha else WITHIN)
        for name, (a, b, m, p, t) in zip(named, numbers, strict=True)
    ]


def _margins(block: Sequence[Change], before: np.ndarray, margins: Mapping[str, float]) -> np.ndarray:
    stated = np.array([margins[each.metric] for each in block])
    return np.where([METRICS[each.metric] for each in block], stated * np.abs(before.mean(0)), stated)


def _units(block: Sequence[Change], before: np.ndarray) -> np.ndarray:
    """What the values of each group are divided by: the baseline's mean for ratios, else 1."""
    mean = before.mean(0)
    return np.where([each.metric in RATIOS for each in block] & (mean > 0), mean, 1.0)


def _families(block: Sequence[Change]) -> list[np.ndarray]:
    """The rows that share a prior of their variance: those of a data set, process and metric."""
    family = [(*each.group[:2], each.metric) for each in block]
    return [np.array([i for i, each in enumerate(family) if each == one]) for one in dict.fromkeys(family)]


def _means(block: Sequence[Change]) -> list[tuple[tuple[str, str], list[int]]]:
    """The means that are tested, with their members: one weighting's groups, and all of a data set and process."""
    weighting = GROUP.index("weighting")
    found: dict[tuple[str, str], list[int]] = {}
    for i, each in enumerate(block):
        where = " ".join(each.group[:2])
        for name in (f"{where}, mean of {each.group[weighting]}", f"{where}, mean of all"):
            found.setdefault((name, each.metric), []).append(i)
    members = {tuple(each): name for name, each in reversed(found.items()) if len(each) > 1}
    return sorted((name, list(each)) for each, name in members.items())


def _identical(change: Change) -> Row:
    common = change.before.keys() & change.after.keys()
    value = float(np.mean([change.before[seed] for seed in common]))
    seeds = f"{len(common)} paired"
    return Row(label(change.group), change.metric, 1, seeds, value, value, 0.0, 0.0, 1.0, np.inf, IDENTICAL)
