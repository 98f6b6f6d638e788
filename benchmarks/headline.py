"""How many seeds the demo's headline block needs, from a pilot on other seeds.

    snakemake results/headline/cells.csv --cores all --configfile benchmarks/headline.yaml
    python -m benchmarks.headline results/headline > benchmarks/results/headline.md

The pilot's arms vary around their means with a covariance over seeds. Runs of n seeds are drawn from that law (normal)
with all means equal but for one arm's, which is higher by the stated difference; the share of runs in which that arm is
called worse than another is the power for the pair, by the function that ranks weightings, over all pairs of the block.
The arm that is trained at the ends of time only, and the second name of an arm, do not count: they check the block.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np

from reproflow.analysis.results import load_results
from reproflow.numerics.paired import compare_seeds

STATED = 0.03  # nats
POWER = 0.8
RUNS = 400
CHECKS = {"ends_only": "insensitive on half of the times", "fm": "uniform under another name"}
SIZES = range(8, 21, 2)


def main(folder: str) -> None:
    cells = load_results(folder).cells
    table = cells.pivot(index="seed", columns="weighting", values="nll_nats")
    arms = [name for name in table.columns if name not in CHECKS]
    print(f"# The demo's headline block: how many seeds\n\n{__doc__.partition(chr(10))[2].strip()}\n")
    print(f"Pilot: {len(table)} seeds from {table.index.min():.0f} on, NLL in nats.\n")
    print("| weighting | mean | sd over seeds | |\n|---|---:|---:|---|")
    for name in table.columns:
        print(f"| {name} | {table[name].mean():.4f} | {table[name].std():.4f} | {CHECKS.get(name, '')} |")
    print(f"\nPower at a difference of {STATED} nats, the pair that shows it worst and best, of {RUNS} runs:\n")
    print("| seeds | worst pair | best pair |\n|---:|---:|---:|")
    for n in SIZES:
        worst, best = powers(table, arms, n)
        print(f"| {n} | {worst:.2f} | {best:.2f} |", flush=True)
        if worst >= POWER:
            print(f"\n{n} seeds are needed for a power of {POWER} at every pair.")
            break


def powers(table: object, arms: list[str], n: int) -> tuple[float, float]:
    """The least and largest power over pairs of arms, one of them moved by the stated difference."""
    names = list(table.columns)  # type: ignore[attr-defined]
    deviations = table - table.mean()  # type: ignore[attr-defined]
    generator, pairs = np.random.default_rng(20261130), list(itertools.combinations(range(len(names)), 2))
    factor = np.linalg.svd(deviations.to_numpy() / np.sqrt(len(deviations) - 1), full_matrices=False)
    root = (factor.S[:, None] * factor.Vh).T  # root root' is the covariance
    found = dict.fromkeys(itertools.permutations(arms, 2), 0)
    for run in range(RUNS):
        values = generator.standard_normal((n, root.shape[1])) @ root.T
        moved = run % len(arms)
        values[:, names.index(arms[moved])] += STATED
        seeds = [dict(enumerate(column.tolist())) for column in values.T]
        rows = compare_seeds([(seeds[a], seeds[b]) for a, b in pairs])
        for (a, b), row in zip(pairs, rows, strict=True):
            worse = {"worse": (names[a], names[b]), "better": (names[b], names[a])}.get(row["verdict"])
            if worse in found and worse[0] == arms[moved]:
                found[worse] += 1
    shares = [count / (RUNS / len(arms)) for count in found.values()]
    return min(shares), max(shares)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else str(Path("results/headline")))
