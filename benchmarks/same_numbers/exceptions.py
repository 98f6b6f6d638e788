"""What is not compared, and why: the one table of exceptions, and the tolerances of a list."""

from __future__ import annotations

import fnmatch
import tomllib
from dataclasses import dataclass
from pathlib import Path

RELATIVE = 1e-12
"""The largest relative difference that a tolerance list can allow."""

# Files: a pattern of their path in a side's folder, which begins with the part, and why their content is not compared.
# That they exist is.
FILES = {
    "*.md": "prose; its numbers stand in the CSV of the same table",
    "*.tex": "prose; its numbers stand in the CSV of the same table",
    "*.html": "prose; its numbers stand in the tables",
    "*.svg": "a picture; its numbers stand in the CSV of the same figure",
    "*.pdf": "a picture; its numbers stand in the CSV of the same figure",
    "*.png": "a picture; its numbers stand in the CSV of the same figure",
    "*/gate.txt": "prose; what the gate judges is compared, and that it passed is the workflow's exit code",
    "*/shards/*": "a fingerprint, which names the code",
    "*/timings.csv": "seconds",
}
# Files that are no result: not even that they exist is compared.
NO_RESULT = {
    "*/logs/*": "what jobs print",
    "*/.snakemake/*": "the workflow's own records",
    "*/lock": "which process held a folder of the store",
    "*/arguments.json": "what was asked for, the same for both sides",
    "*/user_code.py": "what was asked for, the same for both sides",
}
# Columns of a CSV, and keys of a JSON object at any depth.
FIELDS = {
    "reason": "free text",
    "why_admissible": "free text",
    "why_identified": "free text",
    "why_bound": "free text",
    "advice": "free text",
    "caption": "free text",
    "note": "free text",
    "title": "free text: the statement in a few words",
    "statement": "free text",
    "seconds": "a duration",
    "where": "a place in the code",
    "fingerprint": "names the code",
    "parts": "digests of code by module; the settings among them stand in config.json",
    "digest": "over a record with its fingerprint",
}
# Keys of one file: (pattern of the file, key).
FIELDS_OF = {
    ("*/provenance.json", "git_commit"): "names the code",
    ("*/provenance.json", "dirty"): "whether the worktree had uncommitted changes",
    ("*/provenance.json", "git_unknown"): "why there is no commit",
    ("*/provenance.json", "created"): "a date",
}


def file_exception(name: str) -> str:
    """Why a file's content is not compared, or nothing."""
    return next((reason for pattern, reason in FILES.items() if fnmatch.fnmatchcase(name, pattern)), "")


def no_result(name: str) -> bool:
    """Whether a file is no result at all."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in NO_RESULT)


def field_exception(name: str, field: str) -> str:
    """Why a column or key of a file is not compared, or nothing."""
    particular = (
        reason for (pattern, key), reason in FIELDS_OF.items() if key == field and fnmatch.fnmatchcase(name, pattern)
    )
    return FIELDS.get(field) or next(particular, "")


@dataclass(frozen=True)
class Tolerance:
    """Places where a routine replaced another: a pattern of them, and which routine it was."""

    pattern: str
    reason: str

    def covers(self, place: str) -> bool:
        return fnmatch.fnmatchcase(place, self.pattern)


def read_tolerances(path: Path | None) -> list[Tolerance]:
    """The entries of a tolerance list. Raises `ValueError` for one without pattern or reason, or with another key."""
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("place", []) if path else []
    for entry in entries:
        if entry.keys() != {"pattern", "reason"} or not all(str(value).strip() for value in entry.values()):
            raise ValueError(f"{path}: a [[place]] has `pattern` and `reason`, and nothing else; found {entry}")
    return [Tolerance(**entry) for entry in entries]
