"""`make demo` of two checkouts, side by side: the ratio of their processor times.

    python -m benchmarks.demo_time BEFORE AFTER [--rounds 3] [--out FILE]

BEFORE and AFTER are clean clones with their own .venv. In each round both run at once, each on one core of its own, and
the cores change hands from round to round: what else the machine does slows both alike. Results, store and Snakemake's
records are removed before every run. The processor time is that of the whole tree of processes, user and system.
"""

from __future__ import annotations

import argparse
import datetime
import os
import statistics
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

MADE = ["results/demo", "results/store", "results/logs", ".snakemake", "build"]


def run(checkout: Path, core: int) -> float:
    """Processor seconds of `make demo` from nothing, on one core."""
    subprocess.run(["rm", "-rf", *MADE], cwd=checkout, check=True)
    log = checkout / "demo.log"
    with log.open("w") as told:
        # The affinity is inherited, so Snakemake's `--cores all` is this core.
        child = subprocess.Popen(["taskset", "-c", str(core), "make", "demo"], cwd=checkout, stdout=told, stderr=told)
        _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"make demo exits {child.returncode} in {checkout}: see {log}")
    return usage.ru_utime + usage.ru_stime


def together(pair: list[Path], cores: list[int]) -> list[float]:
    """Both checkouts at once, each on its core."""
    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(run, pair, cores))


def commit(checkout: Path) -> str:
    asked = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="the table as Markdown")
    given = parser.parse_args()
    pair, cores = [given.before.resolve(), given.after.resolve()], sorted(os.sched_getaffinity(0))[:2]
    lines = [
        "# Processor time of make demo, before and after\n",
        f"{datetime.date.today()}, {' against '.join(commit(each) for each in pair)}, {os.cpu_count()} cores, "
        "both at once, each on one core:\n",
        "    python -m benchmarks.demo_time BEFORE AFTER\n",
        "| round | before, s | after, s | after / before |",
        "|---|---|---|---|",
    ]
    ratios = []
    for number in range(given.rounds):
        before, after = together(pair, cores if number % 2 == 0 else cores[::-1])
        ratios.append(after / before)
        lines.append(f"| {number + 1} | {before:.0f} | {after:.0f} | {ratios[-1]:.3f} |")
        print(lines[-1], flush=True)
    lines.append(f"\nMedian ratio {statistics.median(ratios):.3f}.")
    print(lines[-1].strip())
    if given.out:
        given.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
