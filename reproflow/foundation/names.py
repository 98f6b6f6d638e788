"""The committed list of registered names, so that config, grid and `reproflow list` need not import torch.

`names.json` is written by `reproflow list --refresh` from the registry; a test compares the two.
"""

from __future__ import annotations

import functools
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from reproflow.foundation import registry
from reproflow.foundation.errors import UsageError, did_you_mean

CHANGES_NO_NUMBER = "it says where nouns are defined; their definitions are parts of the fingerprint"

FILE = Path(__file__).with_name("names.json")


@dataclass(frozen=True)
class Name:
    """What the list says of an entry; `where` is `module:function`, `domain` is said of divergences (None is the real
    numbers), `images` and `sizes` of data sets: points by split, numbers a point, classes, features that FID compares.
    `facts` are what measures and processes declare besides (`foundation.measures`, `foundation.processes`).
    """

    kind: str
    process: str
    name: str
    where: str
    cite: str
    summary: str
    params: dict[str, Any] = field(default_factory=dict)
    ranges: dict[str, Any] = field(default_factory=dict)
    on: str | None = None
    images: bool = False
    domain: str | None = None
    sizes: dict[str, int] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """The name as `names.json` has it: facts only where there are any."""
        return {key: value for key, value in asdict(self).items() if key != "facts" or value}


@functools.cache
def known() -> tuple[Name, ...]:
    """All committed names, in order of registration."""
    return tuple(Name(**row) for row in json.loads(FILE.read_text(encoding="utf-8")))


def find(kind: str, name: str, process: str) -> Name:
    """The listed name. Raises `UsageError` with the closest name and all known ones."""
    candidates = [n for n in known() if n.kind == kind and n.process == process]
    for candidate in candidates:
        if candidate.name == name:
            return candidate
    words = [n.name for n in candidates]
    raise UsageError(f"unknown {process} {kind} {name!r};{did_you_mean(name, words)} known: {', '.join(words)}")


def claims() -> dict[str, set[str]]:
    """The tiers of every claim, by its id; a claim of another tier than the exact one is listed as `ID@tier`."""
    found: dict[str, set[str]] = {}
    for each in known():
        if each.kind == "claim":
            id, _, tier = each.name.partition("@")
            found.setdefault(id, set()).add(tier or "exact")
    return found


def snapshot() -> list[dict[str, Any]]:
    """The registry as the rows of `names.json` (the caller has imported the wings that register)."""
    return [_row(entry) for entry in registry.entries()]


def _row(entry: registry.Entry) -> dict[str, Any]:
    function = entry.function
    facts = {"facts": asdict(entry.meta["facts"])} if "facts" in entry.meta else {}
    row = {
        "kind": entry.kind,
        "process": entry.process,
        "name": entry.name,
        "where": f"{function.__module__}:{function.__qualname__}",
        "cite": entry.cite,
        "summary": entry.summary,
        "params": dict(entry.params) if entry.kind != "claim" else {},
        "ranges": {key: [_finite(end) for end in pair] for key, pair in entry.meta.get("ranges", {}).items()},
        "on": entry.meta.get("on"),
        "images": bool(entry.meta.get("images")),
        "domain": entry.meta.get("domain"),
        "sizes": dict(entry.meta.get("sizes", {})),
    }
    return row | facts


def _finite(value: float) -> float | None:
    """JSON has no infinity: an open end is null."""
    return None if value in (float("inf"), float("-inf")) else value
