"""How often comparisons of many rows are wrong, and what they find: simulated, with the project's own functions.

    python -m benchmarks.familywise run --out benchmarks/results/familywise.csv    # resumable; chunks of 1000 runs
    python -m benchmarks.familywise table --out benchmarks/results/familywise.csv  # the tables, as Markdown

Two samples: a baseline of 20 seeds and a run of 3, 5 or 10, on 24 groups (four weightings of six paths) and the means
that `baseline compare` adds. Pairs: six arms of a block, all 15 differences, 8, 12 or 20 seeds. Moved rows are moved by
20 standard deviations, where a test that pools over rows goes wrong, or by two. A false alarm is a run in which any row
whose law did not change is called worse or better; a mean that contains a moved member is no such row. Every chunk
draws from a seed of its own, so that the table does not depend on the order of the work.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import functools
import itertools
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from scipy import stats

from reproflow.analysis.shifts import FAILED, Change, Line, lines_of
from reproflow.foundation import provenance
from reproflow.numerics.relabelling import Pairs, TwoSamples
from reproflow.numerics.simultaneous import BETTER, EQUAL, WORSE, compare_pairs, compare_samples, rejected, still_open

LEVEL = 0.05
RUNS = 20_000
CHUNK = 1000
BASELINE = 20
WEIGHTINGS = 4
PATHS = 6
ARMS = 6
GROUPS = WEIGHTINGS * PATHS
FAILING = 4
FAILURES = 0.3
FEW = 500, 2000  # relabellings that decide most runs
COLUMNS = ["design", "kind", "n", "chunk", "runs", "count"]


@dataclass(frozen=True)
class Design:
    """One simulated setting: `moved` rows or arms by `shift` standard deviations, the others unchanged.

    `direction`: 1 worse, -1 better, 0 alternating. `shared`: the correlation of rows within a seed. `common`: the
    correlation of a seed in baseline and run, where they have seeds in common. `margin` in standard deviations; rows
    that did not move then lie at the margin, alternately at either end.
    """

    kind: str  # samples or pairs
    n: int
    moved: str = "none"
    shift: float = 20.0
    direction: int = 1
    shared: float = 0.0
    law: str = "normal"
    common: float = 0.0
    diverged: bool = False
    margin: float = 0.0

    def __str__(self) -> str:
        where = {1: "worse", -1: "better", 0: "either way"}[self.direction]
        words = [f"{self.moved} moved" + ("" if self.moved == "none" else f" {self.shift:g} sd {where}"), self.law]
        words += [f"correlation {self.shared:g}", *([f"common seeds ({self.common:g})"] if self.common else [])]
        words += [
            *(["diverged cells"] if self.diverged else []),
            *([f"margin {self.margin:g} sd"] if self.margin else []),
        ]
        return ", ".join(words)

    def shifts(self, rows: int) -> np.ndarray:
        """The true shifts of `rows` groups or arms, in standard deviations."""
        count = {"none": 0, "one": 1, "half": rows // 2, "all but one": rows - 1}[self.moved]
        signs = np.where(np.arange(rows) % 2, -1, 1) if self.direction == 0 else np.full(rows, self.direction)
        still = self.margin * np.where(np.arange(rows) % 2, -1, 1)
        return np.where(np.arange(rows) < count, self.shift * signs, still)


def designs() -> list[Design]:
    """All designs whose false alarms are counted."""
    # What is changed from unmoved, normal, independent rows on fresh seeds; and the run's seeds.
    samples: list[tuple[tuple[int, ...], dict[str, Any]]] = [
        ((3,), {}),
        ((3, 5, 10), {"shared": 0.8}),
        ((3,), {"shared": 0.8, "law": "lognormal"}),
        ((3, 5), {"moved": "one"}),
        ((3, 5, 10), {"moved": "half", "shared": 0.8}),
        ((3,), {"moved": "half", "direction": 0}),
        ((3, 5), {"moved": "all but one"}),
        ((3, 5), {"moved": "half", "direction": -1, "law": "lognormal"}),
        ((3,), {"moved": "all but one", "direction": -1, "shared": 0.8}),
        ((3,), {"moved": "half", "shift": 2.0}),
        ((3,), {"common": 0.5, "shared": 0.8}),
        ((3, 5), {"diverged": True, "moved": "one"}),
        ((3,), {"margin": 1.0, "shared": 0.8}),
        ((3,), {"law": "lognormal"}),
        ((3,), {"moved": "one", "direction": -1, "shared": 0.8, "law": "lognormal"}),
        ((3,), {"moved": "all but one", "shared": 0.8, "law": "lognormal"}),
    ]
    pairs: list[tuple[tuple[int, ...], dict[str, Any]]] = [
        ((8, 12), {}),
        ((8,), {"law": "lognormal"}),
        ((8, 12, 20), {"moved": "one"}),
        ((8,), {"moved": "half", "shared": 0.8}),
        ((8,), {"moved": "all but one", "law": "lognormal"}),
        ((8,), {"moved": "half", "direction": -1}),
        ((20,), {"moved": "half", "shift": 2.0}),
    ]
    return [
        *(Design("samples", n, **each) for sizes, each in samples for n in sizes),
        *(Design("pairs", n, **each) for sizes, each in pairs for n in sizes),
    ]


# -- drawing -----------------------------------------------------------------------------------------------------------


def numbers(generator: np.random.Generator, seeds: int, rows: int, design: Design) -> np.ndarray:
    """Numbers (seeds, rows) of standard deviation 1 with the design's law and correlation."""
    common, own = generator.standard_normal((seeds, 1)), generator.standard_normal((seeds, rows))
    z = np.sqrt(design.shared) * common + np.sqrt(1 - design.shared) * own
    return np.exp(z) / np.sqrt((np.e - 1) * np.e) if design.law == "lognormal" else z


def two_samples(generator: np.random.Generator, design: Design) -> tuple[TwoSamples, np.ndarray]:
    """The rows of a regression check as `baseline compare` makes them, and which of them are true nulls."""
    before = numbers(generator, BASELINE, GROUPS, design)
    after = numbers(generator, design.n, GROUPS, design)
    if design.common:
        after = design.common * before[: design.n] + np.sqrt(1 - design.common**2) * after
    shifts = design.shifts(GROUPS)
    sides = before, after + shifts
    failed = [generator.random((n, FAILING)) < FAILURES for n in (BASELINE, design.n)] if design.diverged else None
    moved = np.abs(shifts) > design.margin
    if failed is None:
        lines = [each @ _means(design) for each in sides]
        return TwoSamples(*lines), ~np.array([*moved, *(moved[GROUPS_OF[w]].any() for w in (None, *range(WEIGHTINGS)))])
    made = _lines(sides, failed, design)
    lines = [np.array([getattr(line, side) for line in made]).T for side in ("before", "after")]
    return TwoSamples(*lines), ~np.array([_moved(line, moved) for line in made])


GROUPS_OF = {None: slice(None), **{w: slice(w * PATHS, (w + 1) * PATHS) for w in range(WEIGHTINGS)}}


def _moved(line: Line, moved: np.ndarray) -> bool:
    """Whether a row has a member that moved; shares of failed cells did not."""
    words = line.what.split()
    if line.cells == 1:
        return line.metric != FAILED and bool(moved[int(words[4][1:]) * PATHS + int(words[2][1:])])
    return bool(moved[GROUPS_OF[None if words[-1] == "all" else int(words[-1][1:])]].any())


@functools.cache
def _means(design: Design) -> np.ndarray:
    """The matrix (groups, rows) from groups to the rows of a check, read off `lines_of` by what it does to numbers."""
    unit = np.eye(GROUPS)
    return np.array([line.after for line in _lines((2 * unit[:BASELINE], unit), None, design)]).T


def _lines(sides: tuple[np.ndarray, np.ndarray], failed: list[np.ndarray] | None, design: Design) -> list[Line]:
    """The rows that `baseline compare` makes of numbers (seeds, groups): groups, shares of failed cells, and means."""
    firsts = 0, 0 if design.common else 1000
    changes, shares = [], []
    for g in range(GROUPS):
        values = [dict(enumerate(each[:, g].tolist(), first)) for each, first in zip(sides, firsts, strict=True)]
        seeds = tuple(values[0]), tuple(values[1])
        if failed is not None and g >= GROUPS - FAILING:
            bad = [each[:, g - GROUPS + FAILING] for each in failed]
            lost = [
                dict(zip(own, each.astype(float).tolist(), strict=True)) for own, each in zip(seeds, bad, strict=True)
            ]
            values = [{s: v for s, v in own.items() if not gone[s]} for own, gone in zip(values, lost, strict=True)]
            shares.append(Change(_name(g), FAILED, *lost, 0.0, seeds))
        changes.append(Change(_name(g), "nll_nats", *values, design.margin, seeds))
    return lines_of([*changes, *shares])


def _name(g: int) -> tuple[str, ...]:
    return ("eight_gaussians", "gaussian", f"p{g % PATHS}", "uniform", f"w{g // PATHS}", "velocity", "", "", "")


def paired(generator: np.random.Generator, design: Design) -> tuple[Pairs, np.ndarray]:
    """All differences of a block's arms, and which of them are true nulls."""
    arms = numbers(generator, design.n, ARMS, design) + design.shifts(ARMS)
    shifts, pairs = design.shifts(ARMS), list(itertools.combinations(range(ARMS), 2))
    differences = np.stack([arms[:, a] - arms[:, b] for a, b in pairs], axis=1)
    return Pairs(differences), np.array([shifts[a] == shifts[b] for a, b in pairs])


def draw(generator: np.random.Generator, design: Design) -> tuple[TwoSamples | Pairs, np.ndarray]:
    """One run of the design, and its true nulls."""
    return (two_samples if design.kind == "samples" else paired)(generator, design)


# -- counting ----------------------------------------------------------------------------------------------------------


def called(drawn: TwoSamples | Pairs, margin: float, asked: np.ndarray) -> np.ndarray:
    """Which of the rows that are asked for are called worse (first line) or better (second)."""
    enough = drawn.enough()
    kept, margins = drawn.subset(np.flatnonzero(enough)), np.full(int(enough.sum()), margin)
    found = np.zeros((2, len(enough)), dtype=bool)
    for line, side in zip(found, (kept, kept.mirrored()), strict=True):
        # Most runs are decided by a few relabellings: the others cannot change that no row asked for is rejected.
        if all((still_open(side, margins, LEVEL / 2, few) & asked[enough]).any() for few in FEW):
            line[enough] = rejected(side, margins, LEVEL / 2)
    return found & asked


def false_alarms(design: Design, chunk: int, runs: int) -> int:
    """Of so many runs, those in which a true null is called worse or better."""
    count = 0
    for run in range(runs):
        drawn, null = draw(_generator(design, chunk, run), design)
        count += bool(called(drawn, design.margin, null).any())
    return count


def _generator(design: Design, chunk: int, run: int) -> np.random.Generator:
    place = designs().index(design) if design in designs() else 10_000 + int(1000 * design.shift)
    return np.random.default_rng([20261130, place, chunk, run])


def found(design: Design, runs: int) -> int:
    """Of so many runs, those in which the first row, which moved, is called worse; a pair is the first arm's."""
    count = 0
    for run in range(runs):
        drawn, null = draw(_generator(design, 0, run), design)
        count += bool(called(drawn, design.margin, np.arange(len(null)) == 0)[0].any())
    return count


def covered(design: Design, runs: int) -> tuple[int, int]:
    """Runs in which every interval holds its true shift, and runs in which a shift at the margin is called equal."""
    inside, equal = 0, 0
    for run in range(runs):
        drawn, _ = draw(_generator(design, 1, run), design)
        true = _true_shifts(design, drawn)
        if isinstance(drawn, Pairs):
            compared = compare_pairs(drawn.differences, design.margin, LEVEL)
        else:
            compared = compare_samples(drawn.before, drawn.after, design.margin, LEVEL)
        room = 1e-9
        # The end of a rejected row is its margin, and is not part of the interval.
        ends = {WORSE: true > design.margin, BETTER: true < -design.margin}
        told = [bool(ends[word][row]) if word in ends else True for row, word in enumerate(compared.verdicts)]
        inside += bool(((compared.low - room <= true) & (true <= compared.high + room) & told).all())
        at_margin = np.abs(true) >= design.margin - room
        equal += any(word == EQUAL for word, edge in zip(compared.verdicts, at_margin, strict=True) if edge)
    return inside, equal


def _true_shifts(design: Design, drawn: TwoSamples | Pairs) -> np.ndarray:
    if isinstance(drawn, Pairs):
        arms = design.shifts(ARMS)
        return np.array([arms[a] - arms[b] for a, b in itertools.combinations(range(ARMS), 2)])
    groups = design.shifts(GROUPS)
    means = [groups[w * PATHS : (w + 1) * PATHS].mean() for w in range(WEIGHTINGS)]
    # In the order of `lines_of`: "mean of all" comes before "mean of w0".
    return np.array([*groups, groups.mean(), *means])


# -- the tables --------------------------------------------------------------------------------------------------------

POWER_RUNS = 2000
POWER_SHIFTS = (1.0, 2.0, 3.0)
GRID = (1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0)
COVER_RUNS = 1000


def tasks() -> Iterator[tuple[Design, str, int, int]]:
    """Design, kind of count, chunk and runs of all the work."""
    for n in (3, 5, 10):
        for shared in (0.0, 0.8):
            for shift in sorted({*POWER_SHIFTS, *GRID}):
                yield Design("samples", n, "one", shift, shared=shared), "found", 0, POWER_RUNS
    for n in (8, 12, 20):
        for shift in sorted({0.5, 0.75, *POWER_SHIFTS, *GRID[:3]}):
            # A shift in standard deviations of the difference of two arms.
            yield Design("pairs", n, "one", shift * np.sqrt(2)), "found", 0, POWER_RUNS
    for design in (
        Design("samples", 3), Design("samples", 3, "half", shared=0.8), Design("samples", 3, "all but one"),
        Design("samples", 3, margin=1.0, shared=0.8), Design("pairs", 8), Design("pairs", 8, "half"),
    ):  # fmt: skip
        yield design, "covered", 1, COVER_RUNS
    for chunk in range(RUNS // CHUNK):
        for design in designs():
            yield design, "false alarms", chunk, CHUNK


def work(task: tuple[Design, str, int, int]) -> list[object]:
    design, kind, chunk, runs = task
    if kind == "covered":
        inside, equal = covered(design, runs)
        count: object = f"{inside};{equal}"
    else:
        count = found(design, runs) if kind == "found" else false_alarms(design, chunk, runs)
    return [f"{design.kind}: {design}", kind, design.n, chunk, runs, count]


def run(out: Path, processes: int) -> None:
    """Does the work that the file does not have yet, and appends to it."""
    done = {tuple(row[:4]) for row in _read(out)}
    left = [t for t in tasks() if (f"{t[0].kind}: {t[0]}", t[1], str(t[0].n), str(t[2])) not in done]
    with ProcessPoolExecutor(processes) as pool, out.open("a", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        if out.stat().st_size == 0:
            writer.writerow(COLUMNS)
        for row in pool.map(work, left):
            writer.writerow(row)
            stream.flush()


def _read(out: Path) -> list[list[str]]:
    return list(csv.reader(out.open()))[1:] if out.exists() else []


def upper_limit(count: int, runs: int, confidence: float = 0.99) -> float:
    """The one-sided Clopper-Pearson limit of a rate."""
    return float(stats.beta.ppf(confidence, count + 1, runs - count)) if count < runs else 1.0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("run", "table"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/familywise.csv"))
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.verb == "run":
        run(arguments.out, arguments.processes)
    else:
        from benchmarks.familywise_table import table

        commit = str(provenance.state(Path(__file__).parent).commit)[:10]
        about = f"{datetime.date.today()}, commit {commit}; counts by design and chunk in familywise.csv."
        print(f"# Comparisons of many rows: false alarms and power\n\n{(__doc__ or '').strip()}\n\n{about}\n")
        print(table(_read(arguments.out)))
