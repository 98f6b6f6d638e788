r"""Regression: is a run worse than its baseline, beyond a margin that matters and beyond what other seeds would do?

What can be compared is paired up here: groups (cells without seed) and metrics that both have, measured in the same
setting. `analysis.shifts` tests all rows together at the family-wise level alpha. The null: the run's seeds are
further draws of the baseline's law over seeds, shifted by at most the margin,

.. math:: H_0: |\mu_{new} - \mu_{old}| \le m,

with m the margin that the baseline's file holds (lower is better in every metric). Equal means with another spread are
not this null; the ratio of spreads stands beside each row. A cell without a number where the baseline's had one is
worse, without a test; what cannot be decided is reported, and never counted as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from reproflow.analysis import baselines
from reproflow.analysis.missing_numbers import failed_seeds, missing_numbers
from reproflow.analysis.shifts import UNTOUCHED, Change, Row, rows
from reproflow.analysis.snapshot import NOUNS, SETTING, Broken, Group, Series, Snapshot, label
from reproflow.foundation.errors import UndecidedError
from reproflow.numerics.relabelling import FEWEST_SEEDS
from reproflow.numerics.simultaneous import BETTER, EQUAL, NOT_WORSE, TOO_FEW, WORSE

REQUIREMENTS = ("not-worse",)
FINE = (UNTOUCHED, EQUAL, BETTER, NOT_WORSE)
Key = tuple[Group, str]


@dataclass(frozen=True)
class Comparison:
    """A run against its baseline.

    `broken` are cells that had numbers and have none now, `incomparable` what has changed and cannot be decided,
    `notes` what a reader should know of the two runs; `seeds` counts the seeds of either. `looks`: of how many planned
    comparisons of this change it is one.
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
    looks: int = 1

    @property
    def worse(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.verdict == WORSE)

    @property
    def exit_code(self) -> int:
        """4 for a regression, 5 where something changed and could not be decided, or there is nothing, else 0."""
        if self.worse or self.broken:
            return 4
        few = any(row.verdict == TOO_FEW for row in self.rows)
        return 0 if self.rows and not self.incomparable and not few else 5

    def required(self, requirement: str | None) -> int:
        """The exit code where `not-worse` is asked for: 5 too for rows of which it is not shown."""
        return self.exit_code or (5 if requirement and self.not_shown else 0)

    @property
    def not_shown(self) -> tuple[Row, ...]:
        """The rows that may be worse by more than their margin, for all that was seen."""
        return tuple(row for row in self.rows if row.verdict not in FINE)

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return asdict(self) | {"exit_code": self.exit_code}


def compare(old: Snapshot, new: Snapshot, alpha: float = 0.05, looks: int = 1) -> Comparison:
    """The comparison of a run with a baseline, over what both have, at level alpha / looks.

    Raises `UndecidedError` (exit 5) for another device class, number format or configuration, and where one has no
    numbers. Groups with fewer than three seeds on either side, or measured otherwise, are `incomparable`.
    """
    _check_setting(old, new)
    changes, incomparable = _comparable(old, new)
    missing = missing_numbers(old, new)
    found = [*rows([*changes, *missing.shares], alpha, looks), *missing.rows]
    return Comparison(
        baseline=old.name,
        run=new.name,
        paired=False,
        seeds=(len(old.seeds), len(new.seeds)),
        alpha=alpha,
        rows=tuple(sorted(found, key=_order)),
        new=(*_only_in(new, old, ()), *missing.unheard),
        vanished=_only_in(old, new, new.broken),
        broken=tuple(missing.names),
        incomparable=(*incomparable, *missing.open),
        notes=tuple(_notes(old, new)),
        looks=looks,
    )


def _order(row: Row) -> tuple[bool, float, str, str]:
    return row.verdict != WORSE, 1.0 if row.p is None else row.p, row.what, row.metric


def _check_setting(old: Snapshot, new: Snapshot) -> None:
    ours, theirs = ({each.setting for each in snapshot.series.values()} for snapshot in (new, old))
    if not theirs or not (ours or new.broken):
        raise UndecidedError(f"nothing to compare: {'the baseline' if not theirs else 'the run'} has no numbers.")
    if ours and not ours & theirs:
        (one, *_), (other, *_) = sorted(ours), sorted(theirs)
        unlike = [f"{key} {a!r} against {b!r}" for key, a, b in zip(SETTING, one, other, strict=True) if a != b]
        raise UndecidedError(f"the run cannot be compared with baseline {old.name!r}: {', '.join(unlike)}.")


def _comparable(old: Snapshot, new: Snapshot) -> tuple[list[Change], tuple[str, ...]]:
    """What both have, in the order of its names, and why some of it is left out, rows of one reason together."""
    kept: list[Change] = []
    left: dict[str, list[Change]] = {}
    failed = failed_seeds(old), failed_seeds(new)
    for key in sorted(old.series.keys() & new.series.keys()):
        a, b = old.series[key], new.series[key]
        seeds = _seeds(key, a, failed[0]), _seeds(key, b, failed[1])
        change = Change(*key, a.values, b.values, a.margin or 0.0, seeds)
        if reason := _why_not(a, b, change):
            left.setdefault(reason, []).append(change)
        else:
            kept.append(change)
    return kept, tuple(_grouped(reason, each) for reason, each in left.items())


def _seeds(key: Key, series: Series, failed: Mapping[Group, tuple[int, ...]]) -> tuple[int, ...]:
    """All seeds of a group, those without a number included."""
    return (*series.values, *series.missing, *failed.get(key[0][: len(NOUNS)], ()))


def _why_not(a: Series, b: Series, change: Change) -> str:
    """Why two series cannot be compared, or nothing."""
    if a.setting != b.setting:
        return f"another setting ({', '.join(b.setting)} against {', '.join(a.setting)})"
    if a.features != b.features:
        return f"another feature network ({b.features} against {a.features})"
    if min(len(a.values), len(b.values)) < FEWEST_SEEDS and not change.untouched:
        return f"{len(a.values)} and {len(b.values)} seeds, {FEWEST_SEEDS} of each are needed"
    return ""


def _grouped(reason: str, changes: list[Change]) -> str:
    if len(changes) == 1:
        return f"{changes[0]}: {reason}"
    return f"{len(changes)} rows: {reason}; the first is {changes[0]}"


def _only_in(one: Snapshot, other: Snapshot, broken: tuple[Broken, ...]) -> tuple[str, ...]:
    """Groups and metrics that only one of the two has; groups that the other has lost are told as broken."""
    groups, failed = {group for group, _ in other.series}, {each.nouns for each in broken}
    only = one.series.keys() - other.series.keys()
    whole = {label(group) for group, _ in only if group not in groups and group[: len(NOUNS)] not in failed}
    parts = {f"{label(group)}, {metric}" for group, metric in only if group in groups}
    return tuple(sorted(whole | parts))


def _notes(old: Snapshot, new: Snapshot) -> list[str]:
    """What differs between the two runs beside their numbers."""
    made, kept = new.about.get("provenance") or {}, old.about.get("run") or {}
    config: Mapping[str, Any] = new.about.get("config") or {}
    notes = []
    digest = baselines.experiments_digest(dict(config))
    if digest and old.about.get("configuration_digest") not in (None, "", digest):
        notes.append("the configuration's experiments are not those of the baseline (seeds apart)")
    if made.get("cpu") and kept.get("cpu") and made["cpu"] != kept["cpu"]:
        notes.append(f"the baseline was made on {kept['cpu']}, the run on {made['cpu']}: last digits differ")
    stated = (config.get("regression") or {}).get("margins") or {}
    frozen = {metric: {s.margin for (_, name), s in old.series.items() if name == metric} for metric in stated}
    if changed := sorted(metric for metric, held in frozen.items() if _differs(held, stated[metric])):
        notes.append(f"the baseline's own margins count, not the configuration's, for {', '.join(changed)}")
    if any(baselines.seed_count(old, key[0], each) < baselines.FEWEST for key, each in old.series.items()):
        few = f"rows of the baseline have fewer than {baselines.FEWEST} seeds"
        notes.append(f"{few}: larger shifts are missed, or nothing is decided")
    return notes


def _differs(held: set[float | None], stated: float) -> bool:
    """Whether a margin of the file is another number than the one stated; files have six digits."""
    return any(margin is not None and not math.isclose(margin, stated, rel_tol=1e-5) for margin in held)
