"""How often the regression test alarms, on real runs: without a change, and with a known one.

`python -m benchmarks.regression results/many` takes a results folder of one configuration with many seeds, and draws
disjoint groups of them: a baseline and a rerun. What alarms there is a false alarm. `--against results/changed` (the
same cells and seeds after a change) gives the share of runs in which that change is caught, on the same seeds and on
others. `--groups 3x3,5x5,6x3` are the seeds of baseline and rerun, `--margins none` takes all margins for zero, and
`--out FILE` keeps the table. Draws from one pool overlap, so the shares are estimates without an interval of their own.

The second table is the power calculation: the seeds, the same before and after, that a change needs to be found in 80
and in 95 of 100 runs, by the noncentral t-distribution at the spread seen here and Bonferroni's level. For each data
set, process and metric it has the mean over all groups and the group that shows the change best. It is on the safe
side: the rotation test spends less on its many rows than Bonferroni.
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import stats

from reproflow.evaluation.regression import MARGINS, compare
from reproflow.evaluation.shifts import RATIOS
from reproflow.evaluation.snapshot import METRICS, Snapshot, label, read_results
from reproflow.foundation import provenance

MOST_SEEDS = 200
Sizes = tuple[int, int]


def alarms(
    old: Snapshot, new: Snapshot, sizes: Sizes, same: bool, draws: int, margins: dict[str, float], alpha: float
) -> tuple[int, int]:
    """Of so many draws of seeds (the same for both, or disjoint), how many alarm and how many could be made."""
    generator, pool = np.random.default_rng(0), shared_seeds(old, new)
    if len(pool) < (max(sizes) if same else sum(sizes)) or (same and sizes[0] != sizes[1]):
        return 0, 0
    found = 0
    for _ in range(draws):
        drawn = [pool[i] for i in generator.permutation(len(pool))]
        before = drawn[: sizes[0]]
        after = before if same else drawn[sizes[0] : sum(sizes)]
        found += compare(old.restricted(before), new.restricted(after), margins, alpha).exit_code == 4
    return found, draws


def shared_seeds(*runs: Snapshot) -> list[int]:
    """The seeds that every group of every run has a number for."""
    return sorted(set.intersection(*(set(each.values) for run in runs for each in run.series.values())))


def disjoint(old: Snapshot, size: int) -> tuple[int, int]:
    """Every rerun of `size` seeds in order against the first `size` of them: alarms, and reruns."""
    seeds = shared_seeds(old)
    reruns = [seeds[i : i + size] for i in range(size, len(seeds) - size + 1, size)]
    found = [compare(old.restricted(seeds[:size]), old.restricted(each)).exit_code == 4 for each in reruns]
    return sum(found), len(found)


def seeds_needed(effect: float, tests: int, alpha: float, power: float) -> int | None:
    """The pairs of seeds at which a one-sided t test at alpha / tests finds an effect (in sds) with this power."""
    for n in range(3, MOST_SEEDS + 1):
        critical = stats.t.isf(alpha / tests, n - 1)
        if stats.nct.sf(critical, n - 1, effect * np.sqrt(n)) >= power:
            return n
    return None


@dataclass(frozen=True)
class Seen:
    """One row as it was seen: its mean, the shift between the runs, the shift's sd over seeds, and the margin."""

    what: str
    metric: str
    mean: float
    shift: float
    sd: float
    margin: float

    @property
    def effect(self) -> float:
        """The shift beyond the margin in standard deviations."""
        return (self.shift - self.margin) / self.sd if self.sd else 0.0


def seen(old: Snapshot, new: Snapshot) -> Iterator[Seen]:
    """The mean over all groups of each data set, process and metric, and the group with the largest effect.

    Where both are one run, the sd is that of a difference between seeds, and the shift asked for is two margins.
    """
    seeds = shared_seeds(old, new)
    for dataset, process, metric in sorted({(*group[:2], metric) for group, metric in old.series}):
        keys = [key for key in old.series if (*key[0][:2], key[1]) == (dataset, process, metric) and key in new.series]
        before, after = (np.array([[run.series[key].values[s] for key in keys] for s in seeds]) for run in (old, new))
        # FID enters the mean over groups as a ratio, as in the test.
        unit = before.mean(0) if metric in RATIOS else np.ones(len(keys))
        means = [(each / unit).mean(1) / np.mean(1 / unit) for each in (before, after)]
        groups = [_seen(label(k[0]), metric, before[:, i], after[:, i], old is new) for i, k in enumerate(keys)]
        yield _seen(f"{dataset} {process}, mean of all", metric, *means, old is new)
        if len(groups) > 1 and old is not new:
            yield max(groups, key=lambda each: each.effect)


def _seen(what: str, metric: str, before: np.ndarray, after: np.ndarray, same: bool) -> Seen:
    mean, shift = float(before.mean()), after - before
    margin = MARGINS[metric] * (abs(mean) if METRICS[metric] else 1)
    if same:
        return Seen(what, metric, mean, 2 * margin, float(np.sqrt(2) * before.std(ddof=1)), margin)
    return Seen(what, metric, mean, float(shift.mean()), float(shift.std(ddof=1)), margin)


def alarm_table(
    old: Snapshot, new: Snapshot, groups: Sequence[Sizes], draws: int, margins: dict[str, float], alpha: float
) -> list[str]:
    """Markdown rows: seeds of both, on the same or other seeds, share of alarms."""
    lines = ["| seeds of baseline and run | | alarms |", "|---|---|---:|"]
    for sizes in groups:
        for same in (True, False):
            found, made = alarms(old, new, sizes, same, draws, margins, alpha)
            if made and not (same and old is new):
                kind = "the same, paired" if same else "others"
                lines.append(f"| {sizes[0]}, {sizes[1]} | {kind} | {found} of {made} |")
    return lines


def power_table(old: Snapshot, new: Snapshot, alpha: float) -> list[str]:
    """Markdown rows: the shift and its spread, and the seeds that find it at 80 and 95 %."""
    rows, tests = list(seen(old, new)), len(old.series)
    lines = ["| what | metric | mean | difference | sd of a pair | seeds, 80 % | seeds, 95 % |"]
    lines.append("|---|---|---:|---:|---:|---:|---:|")
    for row in rows:
        needed = [_needed(row, tests, alpha, power) for power in (0.8, 0.95)]
        numbers = f"{row.mean:.4g} | {row.shift:+.3g} | {row.sd:.2g}"
        lines.append(f"| {row.what} | {row.metric} | {numbers} | {' | '.join(needed)} |")
    return lines


def _needed(row: Seen, tests: int, alpha: float, power: float) -> str:
    if row.effect <= 0:
        return "within the margin"
    needed = seeds_needed(row.effect, tests, alpha, power)
    return str(needed) if needed else f"over {MOST_SEEDS}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--against", type=Path, action="append", default=[])
    parser.add_argument("--groups", default="3x3,5x5,6x3")
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--alpha", type=float, default=0.05)
    parser.add_argument("--margins", choices=["usual", "none"], default="usual")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    old = read_results(asked.results)
    groups = [(int(a), int(b)) for a, b in (each.split("x") for each in asked.groups.split(","))]
    margins = MARGINS if asked.margins == "usual" else dict.fromkeys(MARGINS, 0.0)
    lines = [
        f"{old.name}, {len(old.seeds)} seeds, {datetime.date.today()}, {provenance.cpu()}, margins {asked.margins}"
    ]
    for folder in [None, *asked.against]:
        new = read_results(folder) if folder else old
        lines += ["", f"## {f'{folder.name} against {old.name}' if folder else f'{old.name} against itself'}", ""]
        if not folder:
            lines += ["{} of {} reruns of 3 seeds alarm against the first 3.".format(*disjoint(old, 3)), ""]
        lines += [*alarm_table(old, _as(new, old), groups, asked.draws, margins, asked.alpha), ""]
        lines += power_table(old, new, asked.alpha)
    print("\n".join(lines))
    if asked.out:
        asked.out.write_text("\n".join(lines) + "\n")


def _as(new: Snapshot, old: Snapshot) -> Snapshot:
    """The run under the other's configuration name: a changed copy of a configuration usually has its own."""
    if new is old:
        return new
    settings = {key: each.setting for key, each in old.series.items()}
    series = {key: replace(each, setting=settings.get(key, each.setting)) for key, each in new.series.items()}
    return replace(new, series=series)


if __name__ == "__main__":
    main()
