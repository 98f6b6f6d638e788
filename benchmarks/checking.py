"""How long `reproflow check` takes for every registered noun, start-up of its process included, and its verdict.

`python -m benchmarks.checking` asks for one after the other, as a user would. `--out FILE` writes the table as Markdown
with date, processor and versions. Seconds are those of this machine; the last line compares the slowest with the start
of a bare `import torch` in the same run.
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from reproflow.foundation import names, provenance

KINDS = ("weighting", "path", "time", "divergence")
HEADER = ["| noun | process | seconds | exit | verdicts |", "|---|---|---|---|---|"]


def timed(command: list[str]) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Wall-clock seconds of a process from start to end, and the process."""
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return time.perf_counter() - began, done


def verdicts(answer: dict[str, Any]) -> str:
    """Every verdict of an answer: `admissible supported, bound certified, ..`."""
    judged = {key: value["verdict"] for key, value in answer.items() if isinstance(value, dict) and "verdict" in value}
    return ", ".join(f"{key} {verdict}" for key, verdict in judged.items())


def ask(kind: str, process: str, name: str) -> tuple[float, int, str]:
    """Seconds, exit code and verdicts of one registered noun."""
    of_process = ["--process", process] if kind in ("weighting", "path") else []
    seconds, done = timed([sys.executable, "-m", "reproflow", "check", kind, name, *of_process, "--json", "-"])
    return seconds, done.returncode, verdicts(json.loads(done.stdout))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out
    bare, _ = timed([sys.executable, "-c", "import torch"])
    rows = []
    nouns = [(known.kind, known.process, known.name) for kind in KINDS for known in names.known() if known.kind == kind]
    # A time law is registered for both processes and judged once.
    for kind, process, name in dict.fromkeys((k, p if k in ("weighting", "path") else "", n) for k, p, n in nouns):
        rows.append((f"{kind} {name}", process, *ask(kind, process, name)))
        print(*rows[-1], flush=True)
    slowest = max(rows, key=lambda row: row[2])
    lines = [
        f"`reproflow check`, a process each, {datetime.date.today()}, {provenance.cpu()}, torch {version('torch')}",
        "",
        *HEADER,
        *(f"| {noun} | {process} | {seconds:.1f} | {code} | {told} |" for noun, process, seconds, code, told in rows),
        "",
        f"{len(rows)} nouns; the slowest is {slowest[0]}, {slowest[2]:.1f} s, {slowest[2] / bare:.1f} times a bare "
        f"`import torch` ({bare:.1f} s).",
    ]
    if out:
        out.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
