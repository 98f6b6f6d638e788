"""What an audit says of the losses with a bug, and of right losses of unusual shape, of the tests' catalogues.

    python -m benchmarks.audit_mutants [--float64] [--out FILE]

One row a loss: the finding that it must have, what was found with nothing told, what with the loss's expectation or
sampler, and seconds of processor time.
"""

from __future__ import annotations

import argparse
import datetime
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "unit" / "auditing"))


def found(case, told: bool, double: bool) -> tuple[list[str], int, float]:
    """Ids of the findings, the exit code, and seconds."""
    from losses import run

    started = time.process_time()
    audited = run.of(case, told, float64=double)
    return [each.id for each in audited.findings], audited.exit_code, time.process_time() - started


def mutants(double: bool) -> list[str]:
    """The table of losses with a bug, and how many are found with nothing restated; legal designs are counted apart."""
    from losses.run import FAULTY

    from reproflow.auditing.findings import LEVELS, Level

    rows, bugs, alone, noted, designs, by_more, largest = [], 0, 0, 0, [], [], 0.0
    for key, case in FAULTY.items():
        ids, code, seconds = found(case, False, double)
        seen = bool(set(ids) & ({case.finding} | (set(case.others) if case.sampler else set())))
        more = ""
        if case.expect is not None or case.sampler is not None:
            again, _, second = found(case, True, double)
            by = "--expect" if case.expect is not None else "--sampler"
            more = f"{by}: {', '.join(again)}"
            seconds = max(seconds, second)
            if not set(ids) & {case.finding, *case.others} and case.finding in again:
                by_more.append(f"`{key}` ({by})")
        if LEVELS[case.finding] is Level.NOTE:
            designs.append(f"`{key}`")
            noted += seen
        else:
            bugs += 1
            alone += seen and code != 0
        kind = "tokens" if case.tokens else ""
        must = case.finding + (f" (or {', '.join(case.others)})" if case.sampler and case.others else "")
        rows.append(f"| `{key}` | {kind} | {must} | {', '.join(ids)} | {code} | {more} | {seconds:.1f} |")
        largest = max(largest, seconds)
    return [
        f"{alone} of {bugs} bugs are found with nothing restated, by a defect or a question ({alone / bugs:.1%}), "
        f"{len(by_more)} more by what is told: {', '.join(by_more)}. Of {len(designs)} designs that are legal and "
        f"called by a note, exit 0, {noted} have it: {', '.join(designs)}. The longest takes {largest:.1f} s.\n",
        "| loss | process | must be found | found with nothing told | exit | found with what is told | seconds |",
        "|---|---|---|---|---|---|---|",
        *rows,
    ]


def unusual(double: bool) -> list[str]:
    """The table of right losses."""
    from losses import run
    from losses.run import UNUSUAL

    rows, accused = [], 0
    for key, case in UNUSUAL.items():
        started = time.process_time()
        audited = run.of(case, float64=double)
        seconds = time.process_time() - started
        named, ids = audited.identification, [each.id for each in audited.findings]
        accused += audited.exit_code != 0
        path, target = (part["name"] if part else "" for part in (named.path, named.target))
        law = named.time["law"]["name"] if named.time else ""
        rows.append(f"| `{key}` | {', '.join(ids)} | {audited.exit_code} | {path} | {target} | {law} | {seconds:.1f} |")
    return [
        f"{len(rows)} right losses of unusual shape, {accused} of them with a question or a defect.\n",
        "| loss | said | exit | path | target | times | seconds |",
        "|---|---|---|---|---|---|---|",
        *rows,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--float64", action="store_true")
    parser.add_argument("--out", type=Path, help="the tables as Markdown")
    given = parser.parse_args()
    asked = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    lines = [
        "# Losses with a bug, and right losses of unusual shape, audited\n",
        f"{datetime.date.today()}, {commit}, {'float64' if given.float64 else 'float32'}, seconds of processor time:\n",
        f"    python -m benchmarks.audit_mutants{' --float64' if given.float64 else ''}\n",
        "## Losses with a bug\n",
        *mutants(given.float64),
        "\n## Right losses of unusual shape\n",
        *unusual(given.float64),
    ]
    text = "\n".join(lines) + "\n"
    if given.out is not None:
        given.out.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
