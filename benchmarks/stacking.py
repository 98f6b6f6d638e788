"""Stacked training against one cell at a time: ratios measured side by side in one run.

`python -m benchmarks.stacking` trains the same cells in stacks of several sizes, in alternating rounds so that a busy
machine slows all alike, and prints cell-steps a second and the ratio to a stack of one. `--out FILE` writes the
table as Markdown with date, processor and versions.
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import time
from pathlib import Path

import torch

from reproflow.foundation import config, grid, provenance
from reproflow.foundation.config import Experiment
from reproflow.learning import data
from reproflow.learning.networks.builders import initialise
from reproflow.learning.networks.heads import head_for
from reproflow.learning.training.batches import Batches
from reproflow.learning.training.stacked import StackedTrainer, fresh

SIZES = {"toy": (1, 4, 8, 14, 27), "digits_masked": (1, 4, 8), "digits_gaussian": (1, 3, 6)}
STEPS = {"toy": 60, "digits_masked": 12, "digits_gaussian": 12}
ROUNDS = 5


def prepare(experiment: Experiment, size: int) -> tuple[StackedTrainer, Batches]:
    """A fresh stack of the experiment's first cells."""
    cells, points = grid.expand_experiment(experiment)[:size], data.get_dataset(experiment.dataset, experiment.process)
    head = head_for(points, experiment.process, cells[0].target, experiment.model)
    states = fresh(initialise(head.architecture, [("bench", cell.seed) for cell in cells]), experiment.training.steps)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return StackedTrainer(head, experiment.training, states, device), Batches(cells, experiment, points, device)


def rate(stack: StackedTrainer, draws: Batches, steps: int) -> float:
    """Cell-steps a second."""
    began = time.perf_counter()
    for _ in range(steps):
        stack.advance(draws.batch(stack.step))
    return steps * len(stack.history) / (time.perf_counter() - began)


def measure(experiment: Experiment) -> list[tuple[int, float, float]]:
    """(stack size, cell-steps a second, ratio to one cell): medians over rounds, the ratio taken within each round."""
    stacks = {size: prepare(experiment, size) for size in SIZES[experiment.name]}
    for stack, draws in stacks.values():
        rate(stack, draws, 3)
    rounds = [{size: rate(*pair, STEPS[experiment.name]) for size, pair in stacks.items()} for _ in range(ROUNDS)]
    return [
        (size, statistics.median(r[size] for r in rounds), statistics.median(r[size] / r[1] for r in rounds))
        for size in stacks
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else provenance.cpu()
    lines = [
        f"Stacked training, {datetime.date.today()}, {where}, torch {torch.__version__}, one thread",
        "",
        "| experiment of configs/demo.yaml | cells in the stack | cell-steps a second | ratio to one |",
        "|---|---:|---:|---:|",
    ]
    for experiment in config.load("configs/demo.yaml").experiments:
        lines += [f"| {experiment.name} | {n} | {speed:.0f} | {ratio:.2f} |" for n, speed, ratio in measure(experiment)]
    print("\n".join(lines))
    if arguments.out:
        arguments.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
