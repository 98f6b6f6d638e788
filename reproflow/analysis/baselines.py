"""Baselines: the numbers of a run, kept in the repository to compare later runs with.

`<folder>/<name>.csv` holds one row a group and metric, keyed by device class, number format and configuration, with the
value of every seed; `<folder>/<name>.json` says why it was made, when, and from what. Both are committed.
"""

from __future__ import annotations

import csv
import datetime
import io
import re
import statistics
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from reproflow.analysis.margins import margin
from reproflow.analysis.snapshot import (
    GROUP,
    SETTING,
    Broken,
    Group,
    Series,
    Snapshot,
    label,
    number,
    read_json,
    read_rows,
)
from reproflow.foundation import config as configuration
from reproflow.foundation import files, provenance
from reproflow.foundation.config import Config, Model
from reproflow.foundation.errors import UndecidedError, UsageError, did_you_mean

NAME = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,59}")
FOLDER = Path("results/baselines")
# What a configuration may change and its numbers stay the same: repetition, cutting into shards, saving.
INERT = {"seeds", "shard_size", "save_every", "log_every", "invariant", "controls", "measures"}
LATER: dict[str, Any] = {"network": Model().network}
"""Keys that configurations got after baselines had been made, with the value that changes nothing."""
COLUMNS = [
    *SETTING, *GROUP, "metric", "features", "margin", "mean", "sd", "n", "seeds", "values", "missing", "fingerprints",
]  # fmt: skip
FEWEST = 20
"""Seeds of a row, so that three new ones can be told from them: docs/regression.md has the powers."""


def update(
    name: str,
    snapshot: Snapshot,
    reason: str,
    folder: Path = FOLDER,
    allow_failed: bool = False,
    allow_few: bool = False,
) -> Path:
    """Writes the snapshot as the baseline `name`, its margins as absolute numbers, and returns its CSV.

    Raises `UsageError` for an unusable name, an empty reason, no commit or uncommitted changes (the numbers could not
    be traced), no numbers, and, unless `allow_failed`, cells that diverged or failed, unless `allow_few`, rows with
    fewer than 20 seeds.
    """
    if not NAME.fullmatch(name):
        raise UsageError(f"a baseline's name is lower-case letters, digits, _ . and - (60 at most), not {name!r}.")
    if not reason.strip():
        raise UsageError('a baseline needs a reason: --reason "why these numbers are the ones to hold to".')
    code = provenance.state(Path())
    if code.commit is None:
        raise UsageError(f"a baseline says which commit made it, and that is unknown: {code.reason}.")
    changed = provenance.changed_files(folder)
    if changed:
        raise UsageError(
            f"the working tree has uncommitted changes ({', '.join(changed[:3])}{', ..' if len(changed) > 3 else ''}); "
            "commit them, run again, and update then."
        )
    if snapshot.broken and not allow_failed:
        raise UsageError(
            f"{len(snapshot.broken)} cells have no numbers, the first is {snapshot.broken[0]}; "
            "mend them, or give --allow-failed."
        )
    if not snapshot.series:
        raise UsageError("the results hold no number to keep; a baseline needs cells that ended well.")
    few = [key for key, series in snapshot.series.items() if seed_count(snapshot, key[0], series) < FEWEST]
    if few and not allow_few:
        raise UsageError(
            f"{len(few)} of {len(snapshot.series)} rows have fewer than {FEWEST} seeds; run what `reproflow baseline "
            f"config CONFIG` writes (docs/regression.md), or give --allow-few for a baseline that shows less."
        )
    # A run that stopped at cells.csv, as `make baseline` does, has no provenance: which code trained it is not known.
    unknown = {"git_commit": None, "dirty": None}
    made = snapshot.about.get("provenance") or provenance.describe(snapshot.name, "", "") | unknown
    stated = ((snapshot.about.get("config") or {}).get("regression") or {}).get("margins")
    about = {
        "reason": reason.strip(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": code.commit,
        "configuration": snapshot.name,
        "configuration_digest": experiments_digest(snapshot.about.get("config") or {}),
        "run": {key: made.get(key) for key in ("git_commit", "dirty", "versions", "cpu")},
        "broken": [asdict(each) for each in snapshot.broken],
    }
    target = folder / f"{name}.csv"
    files.write_text(target, _csv(snapshot, stated))
    files.write_json(target.with_suffix(".json"), about)
    return target


def seed_count(snapshot: Snapshot, group: Group, series: Series) -> int:
    """How many seeds a row was made with, those without a number included."""
    failed = sum(each.nouns == group[: len(each.nouns)] for each in snapshot.broken)
    return len(series.values) + len(series.missing) + failed


def enlarged(config: Config, seeds: int) -> Config:
    """The configuration that a baseline of another is made with: seeds 0 to `seeds` - 1 in every experiment.

    Its results have a folder of their own; in `regression.baseline` stands which baseline they are for.
    """
    known = config.regression.model_copy(update={"baseline": config.regression.baseline or config.name})
    experiments = [each.model_copy(update={"seeds": list(range(seeds))}) for each in config.experiments]
    name = f"{config.name[:31]}_baseline"
    changed = config.model_copy(update={"name": name, "experiments": experiments, "regression": known, "cascade": None})
    return configuration.check(changed.model_dump(mode="json", exclude_none=True), name)


def read(name: str, folder: Path = FOLDER) -> Snapshot:
    """A baseline as a snapshot. Raises `UndecidedError` (exit 5) where there is none of that name."""
    path = folder / f"{name}.csv"
    if not path.is_file():
        known = sorted(each.stem for each in folder.glob("*.csv"))
        raise UndecidedError(
            f"no baseline {name!r} in {folder};{did_you_mean(name, known)} known: {', '.join(known) or 'none'}\n"
            f'make one: reproflow baseline update {name} --reason ".."'
        )
    series = {}
    for row in read_rows(path, set(COLUMNS)):
        seeds, values = row["seeds"].split(";"), [number(text) for text in row["values"].split(";")]
        if len(seeds) != len(values) or None in values:
            raise UsageError(f"{path}: seeds {row['seeds']!r} and values {row['values']!r} do not match; restore it.")
        pairs = {int(seed): value for seed, value in zip(seeds, values, strict=True) if value is not None}
        setting = (row["device"], row["dtype"], row["configuration"])
        key = tuple(row[column] for column in GROUP), row["metric"]
        if key in series:
            raise UsageError(f"{path} has {label(key[0])}, {key[1]} twice; restore the file.")
        missing = tuple(int(seed) for seed in row["missing"].split(";") if seed)
        if number(row["margin"]) is None or len(set(seeds)) < len(seeds):
            raise UsageError(f"{path}: margin {row['margin']!r}, seeds {row['seeds']!r} of one row; restore the file.")
        series[key] = Series(pairs, setting, row["features"], row["fingerprints"], missing, number(row["margin"]))
    about = read_json(path.with_suffix(".json"))
    broken = tuple(Broken(**each | {"nouns": tuple(each["nouns"])}) for each in about.get("broken", []))
    return Snapshot(name, series, broken, about)


def known_baselines(folder: Path = FOLDER) -> list[Snapshot]:
    """Every baseline in the folder, by name."""
    return [read(path.stem, folder) for path in sorted(folder.glob("*.csv"))]


def experiments_digest(config: dict[str, Any]) -> str:
    """The digest of a resolved configuration's experiments but for what cannot change a number, or nothing."""
    return files.digest(_telling(config["experiments"]))[:16] if config.get("experiments") else ""


def _telling(value: Any) -> Any:
    if isinstance(value, dict):
        counted = {key: inner for key, inner in value.items() if key not in INERT and LATER.get(key, ...) != inner}
        return {key: _telling(inner) for key, inner in counted.items()}
    return [_telling(inner) for inner in value] if isinstance(value, list) else value


def _csv(snapshot: Snapshot, stated: Mapping[str, float] | None) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_row(group, metric, each, stated) for (group, metric), each in sorted(snapshot.series.items()))
    return text.getvalue()


def _row(group: tuple[str, ...], metric: str, series: Series, stated: Mapping[str, float] | None) -> dict[str, Any]:
    values = list(series.values.values())
    mean = statistics.fmean(values)
    return {
        **dict(zip(SETTING, series.setting, strict=True)),
        **dict(zip(GROUP, group, strict=True)),
        "metric": metric,
        "features": series.features,
        "margin": f"{margin(metric, mean, stated):.6g}",
        "mean": f"{mean:.17g}",
        "sd": f"{statistics.stdev(values):.17g}" if len(values) > 1 else "",
        "n": len(values),
        "seeds": ";".join(map(str, series.values)),
        "values": ";".join(f"{value:.17g}" for value in values),
        "missing": ";".join(map(str, series.missing)),
        "fingerprints": series.fingerprints,
    }
