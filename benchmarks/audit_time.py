"""How long `reproflow audit` takes for plain losses, start-up included, beside a bare `import torch`.

`python -m benchmarks.audit_time` runs `import torch` and an audit in turn, so that both meet the same machine. Told are
processor time (of the command and its child process), the ratio, and the peak of memory above that import's. `--out
FILE` writes the table as Markdown with date, commit, processor and versions; `--repeats N` is how often each pair is
run, and medians are told. Exit 1: a ratio above `MOST`, or memory above `MEMORY`.
"""

from __future__ import annotations

import argparse
import datetime
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from reproflow.foundation import provenance

MOST = 2.5
"""Times the processor time of a bare import of torch."""
MEMORY = 1024.0
"""MiB above the peak of that import."""
ROOT = Path(__file__).parent
FILE = ROOT / "audited" / "plain.py"
IMPORT = [sys.executable, "-c", "import torch"]
AUDIT = [sys.executable, "-m", "reproflow", "audit"]
IMAGES = ["--shape", "3,32,32"]
LOSSES = {
    "flow matching": ["flow_matching", *IMAGES],
    "DDPM, 1000 steps": ["ddpm", *IMAGES],
    "EDM": ["edm", *IMAGES],
    "masked tokens": ["tokens", "--shape", "64", "--vocab", "13", "--mask", "12"],
}


@dataclass(frozen=True)
class Used:
    """What a process and the children that it waited for used: processor seconds, the peak of memory in MiB."""

    seconds: float
    memory: float
    code: int


def used(command: list[str]) -> Used:
    """What a command uses from its start to its end; its output is thrown away."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Used(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, process.returncode)


def pairs(arguments: list[str], repeats: int) -> list[tuple[Used, Used]]:
    """An import and an audit in turn. Raises `RuntimeError` where an audit does not come to an answer."""
    function, *options = arguments
    command = [*AUDIT, f"{FILE}:{function}", *options]
    found = [(used(IMPORT), used(command)) for _ in range(repeats)]
    codes = {each.code for _, each in found}
    if codes != {0}:
        raise RuntimeError(f"{' '.join(command)} ends with {sorted(codes)}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    used(IMPORT), used([*AUDIT, "--help"])  # files that nobody has read since the machine started
    rows, worst = [], 0.0
    for name, arguments in LOSSES.items():
        found = pairs(arguments, asked.repeats)
        bare, whole = (statistics.median(each[i].seconds for each in found) for i in (0, 1))
        ratio = statistics.median(whole.seconds / bare.seconds for bare, whole in found)
        memory = max(whole.memory - bare.memory for bare, whole in found)
        worst = max(worst, ratio / MOST, memory / MEMORY)
        rows.append(f"| {name} | {bare:.2f} | {whole:.2f} | {ratio:.2f} | {memory:.0f} |")
        print(rows[-1], flush=True)
    commit = (provenance.state(ROOT).commit or "unknown")[:7]
    lines = [
        f"`reproflow audit`, start-up included, {datetime.date.today()}, {commit}, {provenance.cpu()}, "
        f"torch {version('torch')}; medians of {asked.repeats} pairs, run in turn. At most {MOST:g} times the import, "
        f"{MEMORY:g} MiB above it.",
        "",
        "| loss | import torch, s | audit, s | ratio | peak memory above the import's, MiB |",
        "|---|---|---|---|---|",
        *rows,
    ]
    if asked.out:
        asked.out.write_text("\n".join(lines) + "\n")
    raise SystemExit(worst > 1)


if __name__ == "__main__":
    main()
