"""Planning a large grid: what `snakemake --dry-run` takes with 1000 and with 10 000 cells, side by side in one run.

`python -m benchmarks.scale` writes configurations of these sizes into a folder of its own, plans each in turn, several
times, and prints the median seconds, the peak memory and the jobs; then the ratio of the time per cell of the two. What
planning a single cell takes, most of it the start of Python and Snakemake, stands beside them. `--out FILE` writes it
as Markdown.
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from reproflow.foundation import provenance

ROOT = Path(__file__).parents[1]
SIZES = (1, 1000, 10_000)
ROUNDS = 3
# 10 weightings x 5 time laws x 2 paths x seeds
GRID = """
name: scale{cells}
experiments:
  - name: toy
    process: gaussian
    dataset: eight_gaussians
    paths: [{paths}]
    times: [{times}]
    weightings: [{weightings}]
    seeds: {seeds}
    shard_size: {shard_size}
"""
PATHS = ("linear", "cosine")
TIMES = ("uniform", "logit_normal", "u_squared", "one_minus_u_squared", "beta")
WEIGHTINGS = ("uniform", "elbo", "sigmoid", "fm", "v_cosine", "iddpm", "indi", "p2", "edm", "edm_monotone")


def configuration(cells: int, shard_size: int) -> str:
    """A configuration of so many cells, a hundred a seed, or of a single one."""
    few = slice(0, 1) if cells == 1 else slice(None)
    nouns = {"paths": PATHS[few], "times": TIMES[few], "weightings": WEIGHTINGS[few]}
    joined = {name: ", ".join(values) for name, values in nouns.items()}
    return GRID.format(cells=cells, seeds=list(range(max(1, cells // 100))), shard_size=shard_size, **joined)


def plan(config: Path, folder: Path) -> tuple[float, float, int]:
    """Seconds, peak MiB and number of jobs of one dry run."""
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--dry-run",
        "--quiet",
        "rules",
        "--snakefile",
        str(ROOT / "Snakefile"),
    ]
    before = time.perf_counter()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [*command, "--configfile", config], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0, said
    seconds = time.perf_counter() - before
    total = re.search(r"^total\s+(\d+)", said, re.MULTILINE)
    return seconds, used.ru_maxrss / 1024, int(total.group(1)) if total else 0


def measure(shard_size: int, folder: Path) -> list[str]:
    """Rows of the table for one shard size."""
    configs = {cells: folder / f"{cells}.yaml" for cells in SIZES}
    for cells, path in configs.items():
        path.write_text(configuration(cells, shard_size))
    rounds = [{cells: plan(path, folder) for cells, path in configs.items()} for _ in range(ROUNDS)]
    seconds = {cells: statistics.median(each[cells][0] for each in rounds) for cells in SIZES}
    rows = [
        f"| {shard_size} | {cells} | {rounds[0][cells][2]} | {seconds[cells]:.1f} | {rounds[0][cells][1]:.0f} |"
        for cells in SIZES
    ]
    _, small, large = SIZES
    whole = seconds[large] / large / (seconds[small] / small)
    return [*rows, f"| {shard_size} | {large} to {small}, a cell | | {whole:.2f} | |"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out
    lines = [
        f"`snakemake --dry-run`, {datetime.date.today()}, {provenance.cpu()}, medians of {ROUNDS} rounds",
        "",
        "| cells a shard | cells | jobs | seconds | peak MiB |",
        "|---:|---:|---:|---:|---:|",
    ]
    for shard_size in (50, 10):
        with tempfile.TemporaryDirectory() as folder:
            lines += measure(shard_size, Path(folder))
    print("\n".join(lines))
    if out:
        out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
