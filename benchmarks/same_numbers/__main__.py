"""The command line of the comparison: runs the sides, compares them, prints and writes what differs."""

from __future__ import annotations

import argparse
import fnmatch
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import benchmarks.same_numbers as package
from benchmarks.same_numbers import compare, exceptions
from benchmarks.same_numbers.compare import ABSENT, Difference
from benchmarks.same_numbers.side import PARTS, Side, SideError

SHOWN = 40
"""Differences that are printed; --json has all."""


def judge(
    differences: Sequence[Difference], tolerances: Sequence[exceptions.Tolerance], allowed: Sequence[str]
) -> tuple[list[Difference], list[Difference]]:
    """Differences that nothing allows, and those within a listed tolerance. New things that are allowed are neither."""
    refused, tolerated = [], []
    for each in differences:
        new = each.before == ABSENT and any(fnmatch.fnmatchcase(each.place, pattern) for pattern in allowed)
        close = each.relative is not None and each.relative <= exceptions.RELATIVE
        if close and any(tolerance.covers(each.place) for tolerance in tolerances):
            tolerated.append(each)
        elif not new:
            refused.append(each)
    return refused, tolerated


def line(each: Difference) -> str:
    relative = "" if each.relative is None else f"  (relative {each.relative:.2g})"
    return f"{each.place}: {each.before[:160]} -> {each.after[:160]}{relative}"


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benchmarks.same_numbers",
        description=package.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--work", type=Path, default=Path("build/same_numbers"))
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between")
    parser.add_argument("--json", type=Path)
    for side in ("before", "after"):
        parser.add_argument(f"--{side}-results", type=Path, help=f"{side.upper()}'s results: kept there, and reused")
    parser.add_argument("--allow-new", nargs="+", action="extend", default=[], metavar="PATTERN")
    parser.add_argument("--tolerance-list", type=Path)
    found = parser.parse_args(given)
    found.parts = found.only.split(",")
    for part in found.parts:
        if part not in PARTS:
            parser.error(f"unknown part {part!r}; known: {', '.join(PARTS)}")
    for worktree in (found.before, found.after):
        if not (worktree / "reproflow/__init__.py").is_file():
            parser.error(f"{worktree} holds no reproflow/; give the top folder of a worktree")
    return found


def main(given: Sequence[str] | None = None) -> int:
    found = arguments(given)
    try:
        tolerances = exceptions.read_tolerances(found.tolerance_list)
        before = Side(found.before.resolve(), (found.before_results or found.work / "before").resolve())
        after = Side(found.after.resolve(), (found.after_results or found.work / "after").resolve())
        reused = [side for side, kept in ((before, found.before_results), (after, found.after_results)) if kept]
        seconds = run(before, after, found.parts, reused)
        differences, compared = [], 0
        for part in found.parts:
            of_part, values = compare.folders(before.folder, after.folder, part)
            differences += of_part
            compared += values
    except (SideError, ValueError, OSError) as error:
        print(f"same_numbers: {error}", file=sys.stderr)
        return 2
    refused, tolerated = judge(differences, tolerances, found.allow_new)
    if found.json:
        found.json.write_text(json.dumps(report(refused, tolerated, compared, seconds), indent=1) + "\n")
    print(*map(line, refused[:SHOWN]), sep="\n", end="\n" if refused else "")
    if len(refused) > SHOWN:
        print(f".. and {len(refused) - SHOWN} more")
    print(f"{compared} values compared, {len(refused)} differ, {len(tolerated)} within a listed tolerance")
    return 1 if refused else 0


Seconds = dict[str, dict[str, float]]


def run(before: Side, after: Side, parts: Sequence[str], reused: Sequence[Side]) -> dict[str, Seconds]:
    """Runs the parts of both sides and returns their seconds; finished ones of the sides in `reused` are kept."""
    for side in (before, after):
        side.check_import()
    for part in parts:
        for name, side, asked in (("before", before, None), ("after", after, before)):
            if not (side in reused and part in side.done):
                print(f"{name}, {part}: {timed(side.run(part, asked))}", flush=True)
    return {"before": before.done, "after": after.done}


def timed(seconds: dict[str, float]) -> str:
    return f"{seconds['wall']:.0f} s wall, {seconds['processor']:.0f} s processor"


def report(
    refused: Sequence[Difference], tolerated: Sequence[Difference], compared: int, seconds: dict[str, Seconds]
) -> dict[str, object]:
    """What --json holds; an infinite relative difference is the word inf."""

    def row(each: Difference) -> dict[str, object]:
        infinite = each.relative is not None and math.isinf(each.relative)
        return asdict(each) | ({"relative": "inf"} if infinite else {})

    return {
        "same": not refused,
        "compared": compared,
        "differences": [row(each) for each in refused],
        "tolerated": [row(each) for each in tolerated],
        "seconds": seconds,
    }


if __name__ == "__main__":
    sys.exit(main())
