"""A results folder as numbers to compare: the values of every group and metric by seed, and the cells without a number.

A group is a cell without its seed. What its numbers cannot be compared across (the class of device, the number format,
the configuration, the feature network behind FID) stands beside them.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from reproflow.foundation import files, measures
from reproflow.foundation.errors import ReproflowError, UsageError

SETTING = ("device", "dtype", "configuration")
NOUNS = ("dataset", "process", "path", "time", "weighting", "target", "coupling", "divergence")
GROUP = (*NOUNS, "steps")
USUAL = {"coupling": "independent", "divergence": "squared", "dtype": "float32"}  # where cells.csv does not say
NEEDED = {"dataset", "process", "path", "time", "weighting", "target", "steps", "seed", "status", "device", "cell"}
Group = tuple[str, ...]


@dataclass(frozen=True)
class Series:
    """One group's values of one metric by seed, and where they come from.

    `missing`: seeds whose cell ended well without this number. `margin`: the baseline's, frozen when it was made.
    """

    values: dict[int, float]
    setting: tuple[str, str, str]
    features: str = ""
    fingerprints: str = ""
    missing: tuple[int, ...] = ()
    margin: float | None = None


@dataclass(frozen=True)
class Broken:
    """A cell that ended without a number: its group without steps, its seed, how it ended and why."""

    nouns: Group
    seed: int
    status: str
    reason: str

    def __str__(self) -> str:
        return f"{label(self.nouns)}, seed {self.seed}: {self.status}" + (f" ({self.reason})" if self.reason else "")


@dataclass(frozen=True)
class Snapshot:
    """All series of a results folder or a baseline by (group, metric), and its broken cells.

    `empty`: the seeds of groups that ended well without any number of a metric.
    """

    name: str
    series: dict[tuple[Group, str], Series]
    broken: tuple[Broken, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)
    empty: dict[tuple[Group, str], tuple[int, ...]] = field(default_factory=dict)

    @property
    def seeds(self) -> list[int]:
        """Every seed that has a number."""
        return sorted({seed for each in self.series.values() for seed in each.values})

    def restricted(self, seeds: Collection[int]) -> Snapshot:
        """The same with these seeds only."""
        kept = {
            key: replace(
                each,
                values={seed: v for seed, v in each.values.items() if seed in seeds},
                missing=tuple(seed for seed in each.missing if seed in seeds),
            )
            for key, each in self.series.items()
        }
        broken = tuple(each for each in self.broken if each.seed in seeds)
        return replace(self, series={key: each for key, each in kept.items() if each.values}, broken=broken)


def read_results(folder: str | Path) -> Snapshot:
    """The snapshot of `results/<name>`.

    Raises `UsageError` where there is no such folder, `ReproflowError` where its cells.csv cannot be used.
    """
    folder = Path(folder)
    if not (folder / "cells.csv").is_file():
        raise UsageError(f"no results in {folder}: it has no cells.csv; run the workflow first, or give --results.")
    config, provenance = (read_json(folder / name) for name in ("config.json", "provenance.json"))
    # A configuration that names its baseline is measured in that one's setting.
    own = (config.get("regression") or {}).get("baseline") or config.get("name")
    name = str(own or provenance.get("config_name") or folder.name)
    rows = [_filled(row) for row in read_rows(folder / "cells.csv", NEEDED)]
    broken = [
        Broken(tuple(row[key] for key in NOUNS), int(row["seed"]), row["status"], row.get("reason", ""))
        for row in rows
        if row["status"] != "ok"
    ]
    groups: dict[Group, list[dict[str, str]]] = {}
    for row in rows:
        if row["status"] == "ok":
            groups.setdefault(tuple(row[key] for key in GROUP), []).append(row)
    every = {key: each for group, own in groups.items() for key, each in _series(group, own, name, folder).items()}
    series = {key: each for key, each in every.items() if each.values}
    empty = {key: each.missing for key, each in every.items() if not each.values}
    about = {"config": config, "provenance": provenance}
    return Snapshot(name, dict(sorted(series.items())), tuple(sorted(broken, key=str)), about, empty)


def _filled(row: Mapping[str, str]) -> dict[str, str]:
    return {**row, **{key: usual for key, usual in USUAL.items() if not row.get(key)}}


def _series(group: Group, rows: list[dict[str, str]], name: str, folder: Path) -> dict[tuple[Group, str], Series]:
    """The series of one group. Raises `ReproflowError` for a seed that is there twice."""
    seeds = [int(row["seed"]) for row in rows]
    if len(set(seeds)) < len(seeds):
        raise ReproflowError(f"{folder}/cells.csv: two cells of {label(group)} have one seed; keep one of them.")
    # Cells of one group that ran on several devices get all their names: such a mixture compares with its like only.
    setting = (_joined(device_class(row["device"]) for row in rows), _joined(row["dtype"] for row in rows), name)
    fingerprints = files.digest(sorted(row.get("fingerprint", "") for row in rows))[:16]
    found = {}
    for metric in measures.held():
        measured = {
            seed: number(row.get(metric, "")) for seed, row in sorted(zip(seeds, rows, strict=True), key=_first)
        }
        values = {seed: value for seed, value in measured.items() if value is not None}
        features = _joined(row.get("fid_features", "") for row in rows) if measures.facts(metric).features else ""
        missing = tuple(seed for seed in measured if seed not in values)
        found[group, metric] = Series(values, setting, features, fingerprints, missing)
    return found


def _first(pair: tuple[int, Any]) -> int:
    return pair[0]


def _joined(texts: Iterable[str]) -> str:
    return "+".join(sorted(set(texts)))


def device_class(device: str) -> str:
    """`cpu`, or `cuda:` and the family of the card: `cuda:NVIDIA H200 141GB` is `cuda:h200`."""
    kind, _, card = device.strip().lower().partition(":")
    if kind != "cuda":
        return kind
    words = [word for word in re.split(r"[\s_-]+", card) if word not in ("nvidia", "geforce", "tesla")]
    family = [word for word in words if not re.fullmatch(r"\d+(\.\d+)?[gm]i?b|pcie|sxm\d?|hbm\d*e?|nvl", word)]
    return f"cuda:{'-'.join(family) or 'unnamed'}"


def label(group: Group) -> str:
    """A group for people: its nouns, the usual coupling and divergence left out, and the steps where it has them."""
    named = dict(zip(GROUP, group, strict=False))
    words = [text for key, text in named.items() if key != "steps" and text and text != USUAL.get(key)]
    return " ".join(words) + (f" ({named['steps']} steps)" if named.get("steps") else "")


def read_rows(path: Path, needed: Collection[str]) -> list[dict[str, str]]:
    """The rows of a CSV file. Raises `ReproflowError` for a file that is empty, cut off or lacks a needed column."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ReproflowError(f"cannot read {path}: {error}.") from error
    rows = list(csv.DictReader(io.StringIO(text)))
    lacking = sorted(set(needed) - set(rows[0] if rows else ()))
    if not rows or lacking:
        raise ReproflowError(f"{path} {'lacks ' + ', '.join(lacking) if rows else 'has no rows'}; make it again.")
    if not text.endswith("\n") or any(None in row or None in row.values() for row in rows):
        raise ReproflowError(f"{path} is cut off or has broken rows; make it again.")
    return rows


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, or nothing where there is none that can be read."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def number(text: str) -> float | None:
    """A finite number, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
