"""A fuzzing campaign: so many inputs through each door, what they came to, and every one that was not answered.

    python tests/fuzz/fuzz_campaign.py [--inputs 100000] [--judged 2000] [--seed 0] [--jobs 2] [--out FILE]

The same seed draws the same inputs, by jobs of a thousand (judged: of twenty), each with a seed of its own. Every input
runs in an empty folder, which must be empty afterwards. Exits 1 where anything was not answered.
"""

from __future__ import annotations

import argparse
import collections
import datetime
import itertools
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fuzz_doors as doors
import fuzz_inputs as inputs
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

SPECS = st.sampled_from(inputs.KINDS).flatmap(
    lambda kind: st.tuples(st.just(kind), inputs.SOME_PROCESS, inputs.specs(kind))
)
TARGETS = {
    "configurations": (doors.configuration, inputs.configurations(), 0.25),
    "specs and expressions": (doors.spec, SPECS, 0.45),
    "command lines": (doors.command_line, st.one_of(inputs.command_lines(), inputs.checks()), 0.2),
    "tables": (doors.table, inputs.table_files(), 0.1),
    "judged": (doors.judged, inputs.checks(), 0.0),
    "judged tables": (doors.judged_table, inputs.table_checks(), 0.0),
}
"""Door, inputs, and the share of the inputs that are not judged."""
PART = {"judged": 20, "judged tables": 20}
"""Inputs of a job; a thousand where nothing is said."""
TABLES = 0.15
"""The share of tables in what is judged."""


@dataclass
class Outcome:
    """What a job's inputs came to, the processor seconds, and what was not answered as (input, how)."""

    counts: collections.Counter[str]
    seconds: float
    broken: list[tuple[str, str]]


def job(target: str, count: int, seed: int) -> Outcome:
    """`count` inputs through one door, drawn with a seed; in a folder that stays empty."""
    torch.set_num_threads(1)
    ask, drawn, _ = TARGETS[target]
    outcome = Outcome(collections.Counter(), 0.0, [])
    began = time.process_time()

    @seeded(seed)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(drawn)
    def each(value: Any) -> None:
        try:
            word = doors.answered(ask, value)
            if left := os.listdir():
                for name in left:
                    os.unlink(name)
                raise doors.Broken(f"left {left} behind")
        except doors.Broken as error:
            word = "not answered"
            outcome.broken.append((repr(value), str(error)))
        outcome.counts[word] += 1

    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            each()
        finally:
            os.chdir(before)
    outcome.seconds = time.process_time() - began
    return outcome


def jobs(inputs_: int, judged: int, seed: int) -> list[tuple[str, int, int]]:
    """(target, count, seed) of every job."""
    found = []
    for number, (target, (_, _, share)) in enumerate(TARGETS.items()):
        tables = round(judged * TABLES)
        left = round(inputs_ * share) if share else {"judged": judged - tables, "judged tables": tables}[target]
        for part in itertools.count():
            if left <= 0:
                break
            count = min(left, PART.get(target, 1000))
            found.append((target, count, seed + 1000 * number + 10_000 * part))
            left -= count
    return found


def run(inputs_: int, judged: int, seed: int, workers: int) -> dict[str, Outcome]:
    """Every job, in processes of their own, added up by target; progress on standard error."""
    total = {target: Outcome(collections.Counter(), 0.0, []) for target in TARGETS}
    asked = jobs(inputs_, judged, seed)
    with ProcessPoolExecutor(workers) as pool:
        for number, ((target, *_), outcome) in enumerate(
            zip(asked, pool.map(job, *zip(*asked, strict=True)), strict=True)
        ):
            total[target].counts += outcome.counts
            total[target].seconds += outcome.seconds
            total[target].broken += outcome.broken
            print(f"{number + 1}/{len(asked)} {target}: {dict(outcome.counts)}", file=sys.stderr, flush=True)
            for value, how in outcome.broken:
                print(f"  {value[:400]}\n    {how[-1500:]}", file=sys.stderr, flush=True)
    return total


def page(total: dict[str, Outcome], seed: int) -> str:
    """The table of a campaign as Markdown."""
    asked = ["git", "-C", str(doors.ROOT), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    lines = [
        "# Fuzzing\n",
        f"{datetime.date.today()}, commit {commit}, seed {seed}: `python tests/fuzz/fuzz_campaign.py`. Drawn by",
        "`tests/fuzz/fuzz_inputs.py`, answers are checked by `tests/fuzz/fuzz_doors.py`.\n",
        "| inputs | number | answers | not answered | processor time, s |",
        "|---|---|---|---|---|",
    ]
    for target, outcome in total.items():
        words = ", ".join(f"{count} {word}" for word, count in sorted(outcome.counts.items()) if word != "not answered")
        lines.append(
            f"| {target} | {outcome.counts.total()} | {words} | {len(outcome.broken)} | {outcome.seconds:.0f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000, help="inputs that are read and checked, not judged")
    parser.add_argument("--judged", type=int, default=2000, help="command lines that are judged")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, help="the table as Markdown")
    asked = parser.parse_args()
    total = run(asked.inputs, asked.judged, asked.seed, asked.jobs)
    text = page(total, asked.seed)
    print(text)
    if asked.out:
        asked.out.write_text(text, encoding="utf-8")
    return int(any(outcome.broken for outcome in total.values()))


if __name__ == "__main__":
    sys.exit(main())
