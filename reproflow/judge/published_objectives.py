"""The field, judged: training objectives in use in public code and papers, put to `judge.weighting` one by one.

published_objectives.toml restates each in this house's convention (t = 0 noise, t = 1 data) and names its source.
`judge_all` judges them; `published_objectives_table` reads and writes what is committed of that, which the report
shows. Two objectives of one process are the same where their canonical weights are proportional.
"""

from __future__ import annotations

import functools
import importlib.metadata
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reproflow.foundation import files, registry, specs
from reproflow.foundation.errors import UsageError, did_you_mean
from reproflow.foundation.specs import Spec
from reproflow.judge.objectives.judgement import Judgement, weighting
from reproflow.judge.published_objectives_table import COLUMNS, HYPOTHESES, LAM, Field
from reproflow.numerics.derivatives import Mode
from reproflow.theory import equivalence
from reproflow.theory.equivalence import proportional
from reproflow.theory.objective import Objective
from reproflow.theory.paths import get_path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

FILE = Path(__file__).with_name("published_objectives.toml")
CLOSE = 1e-5  # relative, in six digits; curves in decades
NUMBERS = ("mass", "lam_low", "lam_high", "t_low", "t_high", "minorant")
WORDS = ("process", "path", "time", "weighting", "on", "admissible", "identified", "bound", "constant", "registered")
TOLD = {"family", "name", "source", "note"}  # copied, not judged


@dataclass(frozen=True)
class Entry:
    """One objective of published_objectives.toml: components are specs as on the command line, `path` may be named."""

    key: str
    family: str
    name: str
    weighting: str
    source: str
    process: str = "gaussian"
    path: str = "linear"
    time: str = "uniform"
    on: str = ""
    note: str = ""

    @property
    def path_spec(self) -> Spec:
        """The path, with its name in published_objectives.toml if it is an expression."""
        named = _document().get("paths", {}).get(self.path)
        return specs.parse({"name": self.path, **named} if named else self.path, "path")


@functools.cache
def _document() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text(encoding="utf-8"))


def entries(keys: Sequence[str] = ()) -> tuple[Entry, ...]:
    """The objectives of those keys, in their order; all of them without. Raises `UsageError` for an unknown key."""
    found = {row["key"]: Entry(**row) for row in _document()["objective"]}
    for key in keys:
        if key not in found:
            raise UsageError(f"the field has no objective {key!r};{did_you_mean(key, found)} docs/field.md lists them.")
    return tuple(found[key] for key in keys) if keys else tuple(found.values())


def judge_entry(entry: Entry) -> Judgement:
    """What `reproflow check weighting` says of it."""
    return weighting(entry.weighting, entry.process, entry.path_spec, entry.time, entry.on or None)


def judge_all(keys: Sequence[str] = ()) -> Iterator[dict[str, str]]:
    """A row (`published_objectives_table.COLUMNS`) for each objective, as it is judged; `same` compares with all."""
    for entry in entries(keys):
        yield row(entry, judge_entry(entry))


def row(entry: Entry, found: Judgement) -> dict[str, str]:
    """A judgement as a row of published_objectives.csv."""
    hull = found.bound["violation"] or {"lam": ["", ""], "t": ["", ""], "intervals": []}
    flags = found.bound["flags"]
    values = vars(entry) | {
        "path": found.path, "time": found.time, "on": found.target,
        "admissible": found.admissible["verdict"], "mass": _number(found.admissible["mass"]),
        "identified": found.identified["verdict"], "bound": found.bound["verdict"],
        "rises": ", ".join(" ".join(map(_number, piece["lam"])) for piece in hull["intervals"]),
        "lam_low": _number(hull["lam"][0]), "lam_high": _number(hull["lam"][1]),
        "t_low": _number(hull["t"][0]), "t_high": _number(hull["t"][1]),
        "minorant": _number(found.bound["minorant"]), "constant": flags["c_w"]["verdict"] if flags else "",
        "registered": "; ".join(map(_named, _registered(entry, found))), "same": " ".join(same(entry)),
        **{f"why_{key}": getattr(found, key)["reason"] for key in HYPOTHESES}, "curve": _curve(found),
    }  # fmt: skip
    return {column: values[column] for column in COLUMNS}


def _registered(entry: Entry, found: Judgement) -> list[dict[str, Any]]:
    """What is equivalent among the registered combinations, without those on a path or under a law of its own."""
    paths, laws = (
        {equivalence.ANY, *(each.name for each in registry.entries(kind, entry.process))} for kind in ("path", "time")
    )
    return [each for each in found.equivalent if each["path"] in paths and each["time"] in laws]


def same(entry: Entry) -> list[str]:
    """The keys of the other objectives of the field with a proportional canonical weight."""
    others = [each for each in entries() if each.process == entry.process and each != entry]
    return [each.key for each in others if proportional(_signature(each), _signature(entry)) is not None]


@functools.cache
def _signature(entry: Entry) -> torch.Tensor:
    # published_objectives.toml's own expressions are smooth: reverse mode, which starts at once, serves them too.
    path = get_path(entry.path_spec, entry.process, Mode.REVERSE)
    law = get_time_law(entry.time, fine=True, mode=Mode.REVERSE)
    return Objective(path, law, get_weighting(entry.weighting, entry.process, entry.on)).signature()


def _number(value: float | str | None) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else f"{value:.6g}"


def _named(each: dict[str, str]) -> str:
    """A registered combination in a few words."""
    if each["path"] == "any":
        return f"{each['weighting']} (canonical)"
    return f"{each['weighting']} ({each['path']}{'' if each['time'] == 'uniform' else ', ' + each['time'] + ' time'})"


def _curve(found: Judgement) -> str:
    lam, w = found.curve
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log10(w)
        shown = np.interp(LAM, lam, log) - np.interp(0.0, lam, log)
    return " ".join(f"{value:.3f}" for value in shown)


def differences(rows: Sequence[dict[str, str]], committed: dict[str, dict[str, str]]) -> list[str]:
    """What is otherwise than committed, in words: verdicts and names exactly, numbers to five digits."""
    found = []
    for new in rows:
        old = committed.get(new["key"])
        if old is None:
            found.append(f"{new['key']}: not in the committed table")
            continue
        changed = [key for key in (*WORDS, "same", *TOLD) if new[key] != old[key]]
        changed += [key for key in NUMBERS if not _close(new[key], old[key], CLOSE)]
        changed += [key for key in ("curve",) if not _close(new[key], old[key], 0.0, 2e-3)]
        found += [f"{new['key']}: {key} is {new[key][:80]!r}, committed {old[key][:80]!r}" for key in changed]
    return found


def _close(new: str, old: str, relative: float, absolute: float = 2e-6) -> bool:
    """Whether two texts of numbers say the same."""
    a, b = (np.array([float(each) for each in text.split()]) for text in (new, old))
    return a.shape == b.shape and np.allclose(a, b, relative, absolute, equal_nan=True)


def whole_table(rows: Sequence[dict[str, str]]) -> Field:
    """The rows of every objective as the table that is committed, with where it came from."""
    return Field(provenance(), {row["key"]: row for row in rows})


def provenance() -> str:
    """Where the table came from, without dates: the same inputs give the same line."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("reproflow", "torch", "numpy"))
    origin = f"{FILE.name} {files.sha256(FILE)[:16]}"
    return f"Written by: reproflow check field --refresh; from {origin}, with {versions}"
