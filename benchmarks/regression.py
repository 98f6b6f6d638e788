"""How often the regression check is wrong on real numbers: a baseline's own seeds, split into a baseline and a run.

    python -m benchmarks.regression demo > benchmarks/results/regression.md

Of the seeds that a committed baseline holds, some are drawn as the run and the rest are its baseline: nothing changed,
so that every row called worse or better is a false alarm. Batches from one pool overlap, so that the shares are
estimates without an interval of their own; benchmarks/familywise.py has simulated laws, with one. Then one group is
made worse by a number of its standard deviations: how often it is found, and how often another group is called worse
with it.
"""

from __future__ import annotations

import argparse
import datetime
from dataclasses import replace

import numpy as np

from reproflow.analysis import baselines
from reproflow.analysis.regression_check import compare
from reproflow.analysis.snapshot import Snapshot, label
from reproflow.numerics.simultaneous import BETTER, WORSE

DRAWS = 200
SIZES = (3, 5)
SHIFTS = (2.0, 3.0, 5.0)


def split(whole: Snapshot, run: int, draw: int, margins: bool) -> tuple[Snapshot, Snapshot]:
    """A baseline and a run of `run` seeds, drawn from one; with its margins, or none."""
    kept = whole if margins else replace(whole, series={k: replace(s, margin=0.0) for k, s in whole.series.items()})
    generator = np.random.default_rng([20261130, run, draw])
    drawn = set(generator.choice(kept.seeds, run, replace=False).tolist())
    return kept.restricted(set(kept.seeds) - drawn), kept.restricted(drawn)


def false_alarms(whole: Snapshot, run: int, margins: bool) -> tuple[int, int]:
    """Of all draws, those with a row called worse, and with one called better."""
    found = [{row.verdict for row in compare(*split(whole, run, draw, margins)).rows} for draw in range(DRAWS)]
    return sum(WORSE in verdicts for verdicts in found), sum(BETTER in verdicts for verdicts in found)


def harmed(whole: Snapshot, run: int, deviations: float) -> tuple[int, int]:
    """One group's metric worse by so many standard deviations: draws that find it, draws that name another group."""
    hits = others = 0
    keys = sorted(whole.series)
    for draw in range(DRAWS):
        old, new = split(whole, run, draw, margins=False)
        key = keys[draw % len(keys)]
        series = new.series[key]
        shift = deviations * float(np.std(list(whole.series[key].values.values()), ddof=1))
        moved = replace(series, values={seed: value + shift for seed, value in series.values.items()})
        rows = compare(old, replace(new, series=new.series | {key: moved})).worse
        single = [(row.what, row.metric) for row in rows if row.cells == 1]
        hits += (label(key[0]), key[1]) in single
        others += any(name != (label(key[0]), key[1]) for name in single)
    return hits, others


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="A committed baseline, such as demo.")
    whole = baselines.read(parser.parse_args().name)
    print(f"# The regression check on real numbers\n\n{(__doc__ or '').partition(chr(10))[2].strip()}\n")
    about = f"baseline `{whole.name}` of {whole.about.get('date')}, commit {str(whole.about.get('commit'))[:10]}"
    print(f"{datetime.date.today()}: {about}; {len(whole.series)} rows and their means, {DRAWS} draws, level 0.05.\n")
    print("| baseline and run | margins | a row is called worse | better |\n|---|---|---:|---:|")
    for run in SIZES:
        for margins in (False, True):
            worse, better = false_alarms(whole, run, margins)
            seeds = f"{len(whole.seeds) - run} and {run} seeds"
            print(
                f"| {seeds} | {'its own' if margins else 'none'} | {worse / DRAWS:.3f} | {better / DRAWS:.3f} |",
                flush=True,
            )
    print("\n| baseline and run | one group worse by | it is found | another group is named |\n|---|---:|---:|---:|")
    for run in SIZES:
        for deviations in SHIFTS:
            hits, others = harmed(whole, run, deviations)
            seeds = f"{len(whole.seeds) - run} and {run} seeds"
            print(f"| {seeds} | {deviations:g} sd | {hits / DRAWS:.2f} | {others / DRAWS:.3f} |", flush=True)


if __name__ == "__main__":
    main()
