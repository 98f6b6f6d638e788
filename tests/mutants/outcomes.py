"""What became of each fault: kept line by line in build/mutants.jsonl, and shown in docs/mutants.md."""

from __future__ import annotations

import datetime
import json
import math
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

import faults
from faults import FOLDER, ROOT, Checks, Mutant

KEPT = ROOT / "build" / "mutants.jsonl"
PAGE = ROOT / "docs" / "mutants.md"

ROW = re.compile(r"\| `([^`]+)` \| (.+) \| (?:`([^`]+)`|\*\*missed\*\*: .+) \| (\S+), ([0-9-]{10}) \|")
"""A line of the page with a result: file, what breaks, what caught it (or nothing), commit and date."""

INTRODUCTION = """# Mutation test

What the ledger and the tests are worth: each line is one small fault put into a copy of the package (`make mutants`,
from [tests/mutants/faults](../tests/mutants/faults)), and the first of the claims and tests declared for that file that
noticed. Claims run before tests. An unbroken copy passes all of them. Files without a fault are listed there with the
reason.
"""


@dataclass(frozen=True)
class Outcome:
    """One line: a fault (or a check on an unbroken copy), its digests, what caught it, when and on which commit."""

    name: str
    fault: str
    tree: str
    caught: str
    seconds: float
    commit: str
    date: str


def keep(mutant: Mutant, caught: str, seconds: float) -> Outcome:
    """Adds the outcome of a mutant on this tree."""
    return _add(mutant.id, faults.fault_digest(mutant), faults.tree_digest(mutant.checks), caught, seconds)


def kept(mutant: Mutant) -> Outcome | None:
    """Its outcome on this very tree, if there is one."""
    tree = faults.tree_digest(mutant.checks)
    return next((each for each in reversed(_of(mutant)) if each.tree == tree), None)


def newest(mutant: Mutant) -> Outcome | None:
    """Its newest outcome, whatever the tree."""
    return _of(mutant)[-1] if _of(mutant) else None


def committed(mutants: Sequence[Mutant]) -> dict[str, Outcome]:
    """Outcomes from the committed page, of faults that are what they were when it was written.

    Those stand in the tables of the commit that last changed the page; later ones may hold another fault under the same
    words. A page does not say how long one took: their `seconds` are NaN.
    """
    folder, page = FOLDER.relative_to(ROOT).as_posix(), PAGE.relative_to(ROOT).as_posix()
    written = _git("log", "-1", "--format=%H", "--", page)
    with tempfile.TemporaryDirectory() as before:
        for name in _git("ls-tree", "--name-only", written, f"{folder}/").splitlines():
            (Path(before) / Path(name).name).write_text(_git("show", f"{written}:{name}"), encoding="utf-8")
        return shown(_git("show", f"{written}:{page}"), faults.read(Path(before)).mutants, mutants)


def shown(page: str, before: Sequence[Mutant], mutants: Sequence[Mutant]) -> dict[str, Outcome]:
    """The outcomes that a page of the faults `before` shows, of those that are the same now."""
    rows = {match.group(1, 2): match for match in map(ROW.fullmatch, page.splitlines()) if match}
    digests = {each.id: faults.fault_digest(each) for each in mutants}
    found = {}
    for each in before:
        row = rows.get((each.file, each.breaks))
        if row and digests.get(each.id) == (digest := faults.fault_digest(each)):
            found[each.id] = Outcome(each.id, digest, "", row[3] or "", math.nan, row[4], row[5])
    return found


def keep_passed(kind: str, names: list[str]) -> None:
    """That these claims or tests pass on the unbroken tree."""
    for name in names:
        _add(f"unbroken {kind} {name}", "", faults.tree_digest(Checks(**{kind: [name]})), "", 0.0)


def passed(kind: str, name: str) -> bool:
    """Whether that is known of this tree."""
    tree = faults.tree_digest(Checks(**{kind: [name]}))
    return any((each.name, each.tree) == (f"unbroken {kind} {name}", tree) for each in _read())


def _of(mutant: Mutant) -> list[Outcome]:
    digest = faults.fault_digest(mutant)
    return [each for each in _read() if (each.name, each.fault) == (mutant.id, digest)]


def _read() -> list[Outcome]:
    """All lines; one that a kill cut short is none."""
    found = []
    for line in KEPT.read_text(encoding="utf-8").splitlines() if KEPT.exists() else []:
        try:
            found.append(Outcome(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return found


def _add(name: str, fault: str, tree: str, caught: str, seconds: float) -> Outcome:
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    outcome = Outcome(name, fault, tree, caught, round(seconds, 1), _commit(), date)
    KEPT.parent.mkdir(exist_ok=True)
    with KEPT.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(asdict(outcome)) + "\n")
    return outcome


def _commit() -> str:
    """The checked-out commit, marked where package or tests differ from it."""
    dirty = _git("status", "--porcelain", "--", "reproflow", "tests")
    return _git("rev-parse", "--short", "HEAD") + ("+" if dirty else "")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def write_page(mutants: list[Mutant], found: Mapping[str, Outcome | None], path: Path = PAGE) -> int:
    """Writes docs/mutants.md; 1 where a mutant has no result or is missed without a reason."""
    path.write_text(page(mutants, found), encoding="utf-8")
    return int(any(not _caught(found[each.id]) and not each.missed for each in mutants))


def page(mutants: list[Mutant], found: Mapping[str, Outcome | None]) -> str:
    """docs/mutants.md: the totals, then a table a layer."""
    caught = sum(_caught(found[each.id]) for each in mutants)
    unrun = sum(found[each.id] is None for each in mutants)
    seconds = [each.seconds for each in found.values() if each and math.isfinite(each.seconds)]
    told = f"{caught} of {len(mutants)} mutants are caught{f', {unrun} were not run' if unrun else ''}"
    timed = f" for {len(seconds)} of them" if len(seconds) < len(mutants) - unrun else ""
    lines = [INTRODUCTION, f"{told}; {sum(seconds) / 60:.0f} minutes of one core{timed}."]
    for layer, group in groupby(mutants, key=lambda mutant: mutant.layer):
        lines += [
            f"\n## {layer.replace('_', ' ')}\n",
            "| file | fault | caught by | commit, date |",
            "|---|---|---|---|",
        ]
        lines += [_row(mutant, found[mutant.id]) for mutant in group]
    return "\n".join(lines) + "\n"


def _row(mutant: Mutant, outcome: Outcome | None) -> str:
    where = f"{outcome.commit}, {outcome.date}" if outcome else ""
    by = f"`{outcome.caught}`" if outcome and outcome.caught else f"**missed**: {mutant.missed or 'no reason known'}"
    shown = by if outcome else "not run"
    return f"| `{mutant.file}` | {mutant.breaks} | {shown} | {where} |".replace("\n", " ")


def _caught(outcome: Outcome | None) -> bool:
    return outcome is not None and bool(outcome.caught)
