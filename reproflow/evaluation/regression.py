r"""Regression: is a run worse than its baseline, beyond a margin that matters and beyond what other seeds would do?

The rows are the groups (cells without seed) and metrics that both have, and two kinds of means over groups: of one
weighting, and of a whole data set and process, each within a metric. A row alarms when the rotation test rejects, at
family-wise level alpha over all rows,

.. math:: H_0: \mu_{new} - \mu_{old} \le m,

with m the practical margin of its metric (lower is better in every metric). Seeds that both runs have are compared in
pairs; runs on other seeds as two samples. Fewer than three seeds cannot decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from reproflow.evaluation.rotation import contrasts, rotation_test
from reproflow.evaluation.snapshot import GROUP, METRICS, SETTING, Group, Snapshot, label
from reproflow.foundation.errors import UndecidedError

# Absolute in nats and bits/dim, a share of the baseline's mean in FID and KID: differences that one would report.
MARGINS = {
    "fid_train": 0.05,
    "fid_test": 0.05,
    "kid": 0.05,
    "nll_nats": 0.01,
    "bound_bits_per_dim": 0.002,
    "ode_bits_per_dim": 0.002,
}
FEWEST = 3
IDENTICAL, WORSE, WITHIN = "identical", "worse", "no regression"
Key = tuple[Group, str]


@dataclass(frozen=True)
class Row:
    """One comparison: means before and after, the margin, the step-down p, and the difference that would alarm."""

    what: str
    metric: str
    cells: int
    before: float
    after: float
    difference: float
    margin: float
    p: float
    alarm_at: float
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """A run against its baseline. `broken` are cells that had numbers and have none now."""

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

    @property
    def worse(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.verdict == WORSE)

    @property
    def exit_code(self) -> int:
        """4 for a regression, 5 where nothing could be compared, else 0."""
        if self.worse or self.broken:
            return 4
        return 0 if self.rows else 5

    def as_dict(self) -> dict[str, Any]:
        """Everything, for JSON; infinite thresholds are null."""
        rows = [
            {key: None if isinstance(value, float) and not np.isfinite(value) else value for key, value in each.items()}
            for each in map(asdict, self.rows)
        ]
        return {**asdict(self), "rows": rows, "exit_code": self.exit_code}


def compare(
    old: Snapshot, new: Snapshot, margins: Mapping[str, float] | None = None, alpha: float = 0.05
) -> Comparison:
    """The comparison of a run with a baseline, over what both have.

    Raises `UndecidedError` (exit 5) for another device class, number format or configuration, and for fewer than three
    seeds in common or on either side.
    """
    _check_setting(old, new)
    common = sorted(old.series.keys() & new.series.keys())
    keys, incomparable = _comparable(old, new, common)
    seeds = _seeds(old, new, keys)
    paired, (before_seeds, after_seeds) = seeds[0] == seeds[1], seeds
    complete = [
        key
        for key in keys
        if set(before_seeds) <= old.series[key].values.keys() and set(after_seeds) <= new.series[key].values.keys()
    ]
    incomparable += [f"{_name(key)}: not all seeds have it" for key in keys if key not in complete]
    before, after = _table(old, complete, before_seeds), _table(new, complete, after_seeds)
    same = (before == after).all(0) if paired else np.zeros(len(complete), dtype=bool)
    rows = [_identical(key, before[:, i].mean()) for i, key in enumerate(complete) if same[i]]
    tested = [key for key, identical in zip(complete, same, strict=True) if not identical]
    if tested:
        rows += _tested(tested, before[:, ~same], after[:, ~same], paired, {**MARGINS, **(margins or {})}, alpha)
    return Comparison(
        old.name,
        new.name,
        paired,
        (len(before_seeds), len(after_seeds)),
        alpha,
        tuple(sorted(rows, key=lambda row: (row.verdict != WORSE, row.p, row.what, row.metric))),
        tuple(sorted({label(group) for group, _ in new.series} - {label(group) for group, _ in old.series})),
        _vanished(old, new),
        tuple(str(each) for each in new.broken if each.nouns in {group[: len(each.nouns)] for group, _ in old.series}),
        tuple(incomparable),
    )


def _check_setting(old: Snapshot, new: Snapshot) -> None:
    ours, theirs = ({each.setting for each in snapshot.series.values()} for snapshot in (new, old))
    if ours and theirs and not ours & theirs:
        (one, *_), (other, *_) = sorted(ours), sorted(theirs)
        unlike = [f"{key} {a!r} against {b!r}" for key, a, b in zip(SETTING, one, other, strict=True) if a != b]
        raise UndecidedError(f"the run cannot be compared with baseline {old.name!r}: {', '.join(unlike)}.")
    if not ours or not theirs:
        raise UndecidedError(f"nothing to compare: {'the run' if not ours else 'the baseline'} has no numbers.")


def _comparable(old: Snapshot, new: Snapshot, keys: Sequence[Key]) -> tuple[list[Key], list[str]]:
    """The keys whose setting and feature network agree, and why others are left out."""
    kept, left = [], []
    for key in keys:
        a, b = old.series[key], new.series[key]
        if a.setting != b.setting:
            left.append(f"{_name(key)}: another setting ({', '.join(b.setting)} against {', '.join(a.setting)})")
        elif a.features != b.features:
            left.append(f"{_name(key)}: another feature network")
        else:
            kept.append(key)
    return kept, left


def _seeds(old: Snapshot, new: Snapshot, keys: Sequence[Key]) -> tuple[list[int], list[int]]:
    """The seeds of each side: those in common where there are three, else all of each."""
    ours = sorted({seed for key in keys for seed in old.series[key].values})
    theirs = sorted({seed for key in keys for seed in new.series[key].values})
    common = [seed for seed in ours if seed in theirs]
    if len(common) >= FEWEST:
        return common, common
    if min(len(ours), len(theirs)) < FEWEST:
        raise UndecidedError(
            f"{len(ours)} seeds in the baseline and {len(theirs)} in the run cannot decide; "
            f"{FEWEST} of each are needed."
        )
    return ours, theirs


def _table(snapshot: Snapshot, keys: Sequence[Key], seeds: Sequence[int]) -> np.ndarray:
    values = [[snapshot.series[key].values[seed] for key in keys] for seed in seeds]
    return np.array(values, dtype=np.float64).reshape(len(seeds), len(keys))


def _tested(
    keys: list[Key], before: np.ndarray, after: np.ndarray, paired: bool, margins: Mapping[str, float], alpha: float
) -> list[Row]:
    """The rows of groups whose numbers differ, and of their means."""
    shares = np.array([margins[metric] for _, metric in keys])
    relative = np.array([METRICS[metric] for _, metric in keys])
    margin = np.where(relative, shares * np.abs(before.mean(0)), shares)
    families, averaged = _families(keys), _means(keys)
    weights = np.zeros((len(keys), len(averaged)))
    for column, (_, members) in enumerate(averaged):
        weights[members, column] = 1 / len(members)
    u, factor = contrasts(before, after - margin, paired)
    found = rotation_test(u, families, weights)
    every = np.hstack([np.eye(len(keys)), weights])
    numbers = [values.mean(0) @ every for values in (before, after)] + [margin @ every]
    names = [(label(group), metric, 1) for group, metric in keys]
    names += [(name, metric, len(members)) for (name, metric), members in averaged]
    critical = found.critical(alpha)
    rows = []
    for i, ((what, metric, cells), b, a, m) in enumerate(zip(names, *numbers, strict=True)):
        p, threshold = float(found.p[i]), float(m + critical * found.scale[i] * factor)
        verdict = WORSE if p <= alpha else WITHIN
        rows.append(Row(what, metric, cells, float(b), float(a), float(a - b), float(m), p, threshold, verdict))
    return rows


def _families(keys: Sequence[Key]) -> list[np.ndarray]:
    """The rows that share a prior of their variance: those of a data set, process and metric."""
    family = [(group[0], group[1], metric) for group, metric in keys]
    return [np.array([i for i, each in enumerate(family) if each == one]) for one in dict.fromkeys(family)]


def _means(keys: Sequence[Key]) -> list[tuple[tuple[str, str], list[int]]]:
    """The means that are tested, with their members: one weighting's groups, and all of a data set and process."""
    weighting = GROUP.index("weighting")
    found: dict[tuple[str, str], list[int]] = {}
    for i, (group, metric) in enumerate(keys):
        where = f"{group[0]} {group[1]}"
        for name in (f"{where}, mean of {group[weighting]}", f"{where}, mean of all"):
            found.setdefault((name, metric), []).append(i)
    members = {tuple(each): name for name, each in reversed(found.items()) if len(each) > 1}
    return sorted((name, list(each)) for each, name in members.items())


def _identical(key: Key, value: float) -> Row:
    return Row(label(key[0]), key[1], 1, float(value), float(value), 0.0, 0.0, 1.0, np.inf, IDENTICAL)


def _vanished(old: Snapshot, new: Snapshot) -> tuple[str, ...]:
    there = {group for group, _ in new.series}
    broken: set[Group] = {each.nouns for each in new.broken}
    gone = {group for group, _ in old.series if group not in there and group[: len(GROUP) - 1] not in broken}
    return tuple(sorted(map(label, gone)))


def _name(key: Key) -> str:
    return f"{label(key[0])}, {key[1]}"


def markdown(found: Comparison, rows_shown: int = 10) -> str:
    """A summary for a pull request: the verdict, the worst rows, what came and went, and all rows folded away."""
    seeds = f"{found.seeds[0]} seeds, paired" if found.paired else f"{found.seeds[0]} and {found.seeds[1]} seeds"
    head = {0: "no regression", 4: "REGRESSION", 5: "cannot decide"}[found.exit_code]
    same = sum(row.verdict == IDENTICAL for row in found.rows)
    lines = [
        f"### {found.run} against baseline {found.baseline}: {head}",
        "",
        f"{len(found.worse)} of {len(found.rows)} rows worse ({same} identical), {seeds}, family-wise level "
        f"{found.alpha:g}, beyond the margins.",
        "",
    ]
    changed = [row for row in found.rows if row.verdict != IDENTICAL]
    if changed:
        lines += [
            "The rows with the smallest p:" if not found.worse else "The worst rows:",
            "",
            *_table_of(changed[:rows_shown]),
        ]
    for title, each in (("Lost", found.broken), ("New", found.new), ("Vanished", found.vanished)):
        lines += [f"**{title}** ({len(each)}): " + "; ".join(each), ""] if each else []
    if found.incomparable:
        lines += [f"**Not compared** ({len(found.incomparable)}): " + "; ".join(found.incomparable), ""]
    lines += ["<details><summary>All rows</summary>", "", *_table_of(found.rows), "</details>", ""]
    return "\n".join(lines)


def _table_of(rows: Sequence[Row]) -> list[str]:
    head = [
        "| what | metric | before | after | difference | margin | alarms above | p | |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    body = [
        f"| {row.what} | {row.metric} | {row.before:.4g} | {row.after:.4g} | {row.difference:+.3g} | {row.margin:.2g} "
        f"| {row.alarm_at:.2g} | {row.p:.3g} | {row.verdict} |"
        for row in rows
    ]
    return [*head, *body, ""]
