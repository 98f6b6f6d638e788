r"""Regression: is a run worse than its baseline, beyond a margin that matters and beyond what other seeds would do?

What can be compared is paired up here: groups (cells without seed) and metrics that both have, measured in the same
setting. `evaluation.shifts` tests, for all rows together at the family-wise level alpha,

.. math:: H_0: \mu_{new} - \mu_{old} \le m,

with m the practical margin of the metric (lower is better in every metric). A cell that had a number and has none is a
regression; what cannot be decided is said, and never counted as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from reproflow.evaluation.baselines import experiments_digest
from reproflow.evaluation.shifts import WORSE, Change, Row, rows
from reproflow.evaluation.snapshot import NOUNS, SETTING, Broken, Group, Snapshot, label
from reproflow.foundation.errors import UndecidedError

# Absolute in nats and bits/dim, a share of the baseline's mean in FID and KID: docs/regression.md says why these.
MARGINS = {
    "fid_train": 0.05,
    "fid_test": 0.05,
    "kid": 0.05,
    "nll_nats": 0.01,
    "bound_bits_per_dim": 0.002,
    "ode_bits_per_dim": 0.002,
}
FEWEST = 3
Key = tuple[Group, str]


@dataclass(frozen=True)
class Comparison:
    """A run against its baseline.

    `broken` are cells that had numbers and have none now, `incomparable` what has changed and cannot be decided,
    `notes` what a reader should know of the two runs; `seeds` counts the seeds of either.
    """

    baseline: str
    run: str
    paired: bool
    seeds: tuple[int, int]
    alpha: float
    rows: tuple[Row, ...]
    new: tuple[str, ...]
    vanished: tuple[str, ...]
    broken: tuple[str, ...]
    incomparable: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def worse(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.verdict == WORSE)

    @property
    def exit_code(self) -> int:
        """4 for a regression, 5 where something changed and could not be decided, or there is nothing, else 0."""
        if self.worse or self.broken:
            return 4
        return 0 if self.rows and not self.incomparable else 5

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON; infinite thresholds are null."""
        plain = [
            {key: None if isinstance(value, float) and not np.isfinite(value) else value for key, value in each.items()}
            for each in map(asdict, self.rows)
        ]
        return {**asdict(self), "rows": plain, "exit_code": self.exit_code}


def compare(
    old: Snapshot, new: Snapshot, margins: Mapping[str, float] | None = None, alpha: float = 0.05
) -> Comparison:
    """The comparison of a run with a baseline, over what both have.

    Raises `UndecidedError` (exit 5) for another device class, number format or configuration, and where one has no
    numbers. Groups with fewer than three seeds on either side, or measured otherwise, are `incomparable`.
    """
    _check_setting(old, new)
    changes, incomparable = _comparable(old, new)
    found = rows(changes, {**MARGINS, **(margins or {})}, alpha)
    lost, unheard, known = _broken(old, new)
    return Comparison(
        baseline=old.name,
        run=new.name,
        paired=all(each.seeds[0] == each.seeds[1] for each in changes if not each.identical),
        seeds=(len(old.seeds), len(new.seeds)),
        alpha=alpha,
        rows=tuple(sorted(found, key=lambda row: (row.verdict != WORSE, row.p, row.what, row.metric))),
        new=(*_only_in(new, old, ()), *unheard),
        vanished=_only_in(old, new, new.broken),
        broken=lost,
        incomparable=tuple(incomparable),
        notes=(*_notes(old, new), *known),
    )


def _check_setting(old: Snapshot, new: Snapshot) -> None:
    ours, theirs = ({each.setting for each in snapshot.series.values()} for snapshot in (new, old))
    if not theirs or not (ours or new.broken):
        raise UndecidedError(f"nothing to compare: {'the baseline' if not theirs else 'the run'} has no numbers.")
    if ours and not ours & theirs:
        (one, *_), (other, *_) = sorted(ours), sorted(theirs)
        unlike = [f"{key} {a!r} against {b!r}" for key, a, b in zip(SETTING, one, other, strict=True) if a != b]
        raise UndecidedError(f"the run cannot be compared with baseline {old.name!r}: {', '.join(unlike)}.")


def _comparable(old: Snapshot, new: Snapshot) -> tuple[list[Change], list[str]]:
    """What both have, in the order of its names, and why some of it is left out."""
    kept, left = [], []
    for key in sorted(old.series.keys() & new.series.keys()):
        a, b = old.series[key], new.series[key]
        change = Change(*key, a.values, b.values)
        fewest = min(len(a.values), len(b.values))
        if a.setting != b.setting:
            left.append(f"{change}: another setting ({', '.join(b.setting)} against {', '.join(a.setting)})")
        elif a.features != b.features:
            left.append(f"{change}: another feature network")
        elif fewest < FEWEST and not change.identical:
            left.append(f"{change}: {len(a.values)} and {len(b.values)} seeds, {FEWEST} of each are needed")
        else:
            kept.append(change)
    return kept, left


def _broken(old: Snapshot, new: Snapshot) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Cells without a number now: those that are a regression, those of groups that are new, and the others.

    It is one where the same seed had a number before, or, on other seeds, where the group's every cell had one.
    """
    lost, unheard, known = [], [], []
    for each in new.broken:
        before = {s for (group, _), own in old.series.items() if group[: len(NOUNS)] == each.nouns for s in own.values}
        failed = {other.seed for other in old.broken if other.nouns == each.nouns}
        if not before and not failed:
            unheard.append(str(each))
        elif each.seed in before or not failed:
            lost.append(str(each))
        else:
            known.append(f"{each}; the baseline has such cells too")
    return tuple(lost), tuple(unheard), tuple(known)


def _only_in(one: Snapshot, other: Snapshot, broken: tuple[Broken, ...]) -> tuple[str, ...]:
    """Groups and metrics that only one of the two has; groups that the other has lost are told as broken."""
    groups, failed = {group for group, _ in other.series}, {each.nouns for each in broken}
    only = one.series.keys() - other.series.keys()
    whole = {label(group) for group, _ in only if group not in groups and group[: len(NOUNS)] not in failed}
    parts = {f"{label(group)}, {metric}" for group, metric in only if group in groups}
    return tuple(sorted(whole | parts))


def _notes(old: Snapshot, new: Snapshot) -> list[str]:
    """What differs between the two runs beside their numbers."""
    made = new.about.get("provenance") or {}
    kept = old.about.get("run") or {}
    notes = []
    digest = experiments_digest(new.about.get("config") or {})
    if digest and old.about.get("configuration_digest") not in (None, "", digest):
        notes.append("the configuration's experiments are not those of the baseline (seeds apart)")
    if made.get("cpu") and kept.get("cpu") and made["cpu"] != kept["cpu"]:
        notes.append(f"the baseline was made on {kept['cpu']}, the run on {made['cpu']}: last digits differ")
    return notes
