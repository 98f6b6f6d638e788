"""The ledger: run claims, explain them, write their rows as claims.csv."""

from __future__ import annotations

import csv
import importlib
import inspect
import io
import pkgutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from reproflow.claims.policy import COLUMNS, TIERS, Claim, Context, run_claim
from reproflow.foundation import registry
from reproflow.foundation.errors import ReproflowError, UsageError, did_you_mean
from reproflow.foundation.files import write_text

FAMILIES = ("paths", "losses", "generator_matching", "bounds", "tutorials", "errata")
NUMBERS = ("statistic", "tolerance")


def run(ids: Iterable[str] | None = None, tier: str = "exact", context: Context | None = None) -> list[dict[str, Any]]:
    """The rows of the claims named (all by default) of one tier ("exact", "mc") or of "all", sorted.

    Raises `UsageError` for an unknown id or tier, or where the ids named have nothing in that tier.
    """
    if tier not in (*TIERS, "all"):
        raise UsageError(f"unknown tier {tier!r}; known: exact, mc, all")
    ids = list(ids or ())
    chosen = [entry for entry in find(ids) if tier in ("all", _of(entry).tier)]
    if not chosen:
        raise UsageError(f"no claim of tier {tier!r} among {', '.join(ids) or 'all'}; try --tier all.")
    return sort([row for entry in chosen for row in run_claim(entry, context)])


def find(ids: Iterable[str] = ()) -> list[registry.Entry]:
    """The registered claims of these ids, every tier; all of them for none. Raises `UsageError` for an unknown id."""
    load()
    known = registry.entries("claim")
    names = {_of(entry).id.upper(): _of(entry).id for entry in known}
    wanted = set()
    for each in ids:
        if each.upper() not in names:
            raise UsageError(
                f"unknown claim {each!r};{did_you_mean(each.upper(), names)} known: {', '.join(sorted(names.values()))}"
            )
        wanted.add(names[each.upper()])
    return [entry for entry in known if not wanted or _of(entry).id in wanted]


def load() -> None:
    """Imports theory's nouns and every family of claims, which registers them."""
    importlib.import_module("reproflow.theory")
    for family in FAMILIES:
        package = importlib.import_module(f"reproflow.claims.{family}")
        for theme in sorted(module.name for module in pkgutil.iter_modules(package.__path__)):
            importlib.import_module(f"{package.__name__}.{theme}")


HEADINGS = ("Statement", "Assumptions", "Proof idea", "Computed", "Source", "Refuted by")


def statement(entry: registry.Entry) -> list[tuple[str, str]]:
    """A claim's docstring as (heading, text): the headline without a heading, then its blocks in their order."""
    blocks: list[tuple[str, list[str]]] = [("", [])]
    for line in (inspect.getdoc(entry.function) or "").splitlines():
        heading, colon, rest = line.partition(":")
        if colon and heading in HEADINGS:
            blocks.append((heading, []))
            line = rest
        blocks[-1][1].append(line.strip())
    return [(heading, " ".join(filter(None, lines))) for heading, lines in blocks if any(lines)]


def sort(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows by id, tier and case."""
    return sorted((dict(row) for row in rows), key=lambda row: (row["id"], row["tier"], row["case"]))


def write_csv(rows: Iterable[Mapping[str, Any]], path: str | Path) -> None:
    """claims.csv: its columns (no `seconds`: that is for timings.csv), sorted rows, floats `%.17g`, missing empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([_text(row[column]) for column in COLUMNS] for row in sort(rows))
    write_text(path, text.getvalue())


def read_csv(path: str | Path) -> list[dict[str, Any]]:
    """The rows of a claims.csv as `run` gave them, without `seconds`.

    Raises `ReproflowError` naming the file when its columns are not those of claims.csv.
    """
    text = Path(path).read_bytes().decode()
    reader = csv.DictReader(io.StringIO(text, newline=""))
    rows = list(reader) if tuple(reader.fieldnames or ()) == COLUMNS and text.endswith("\n") else None
    if rows is None or any(None in row or None in row.values() for row in rows):
        raise ReproflowError(f"{path} is not a whole claims.csv; make it again.")
    return [{**row, "n": int(row["n"]), **{key: _number(row[key]) for key in NUMBERS}} for row in rows]


def _of(entry: registry.Entry) -> Claim:
    return entry.meta["claim"]


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.17g}" if isinstance(value, float) else str(value)


def _number(text: str) -> float | str | None:
    if text in ("", "inf", "-inf"):
        return text or None
    return float(text)
