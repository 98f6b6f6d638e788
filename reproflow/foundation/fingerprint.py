"""Fingerprints: what a stored result depends on, as named parts and one digest.

A part is a config value, a noun's source, a source file of the stage, a library version, or the fingerprint of the
stage before. Because parts are kept by name beside every result, `reproflow why` can say which of them changed.
"""

from __future__ import annotations

import functools
import importlib.metadata
import platform
from dataclasses import dataclass

from reproflow.foundation import expressions, names, pairing, sources
from reproflow.foundation.config import Config, Experiment
from reproflow.foundation.files import digest
from reproflow.foundation.grid import Cell, experiment_of
from reproflow.foundation.specs import Spec, parse

STAGES = ("train", "sample", "evaluate")
ROOTS = {
    "train": ("reproflow.learning.training.shard",),
    "sample": ("reproflow.learning.sampling",),
    "evaluate": ("reproflow.evaluation.cell",),
    "features": ("reproflow.evaluation.features",),
}
LIBRARIES = {"train": ("torch",), "sample": (), "evaluate": ("torch-fidelity",), "features": ("torch",)}
# What changes how a run is cut up and saved, but not what it computes.
INERT = {"save_every", "log_every", "invariant"}


@dataclass(frozen=True)
class Fingerprint:
    """The digest of a stage's parts."""

    value: str
    parts: dict[str, str]


def stage(config: Config, cell: Cell, name: str) -> Fingerprint:
    """The fingerprint of one stage of one cell: its own parts, and the fingerprint of the stage before."""
    experiment = experiment_of(config, cell.experiment)
    parts = dict(_settings(experiment, cell, name)) | dict(_engine(name))
    if name != "train":
        parts["stage before"] = stage(config, cell, STAGES[STAGES.index(name) - 1]).value
    return Fingerprint(digest(parts)[:16], parts)


def features() -> Fingerprint:
    """The fingerprint of the feature network."""
    parts = dict(_engine("features"))
    return Fingerprint(digest(parts)[:16], parts)


def dataset(name: str) -> str:
    """The digest of a data set's source."""
    where = next(known.where for known in names.known() if (known.kind, known.name) == ("dataset", name))
    return source(where)


def claims() -> str:
    """The digest of every claim's source, and of every noun's: claims run over all that is registered."""
    policy = (f"reproflow.claims.{module}" for module in ("policy", "erratum", "ledger"))
    return source(*policy, *sorted({known.where for known in names.known()}))


def source(*roots: str) -> str:
    """The digest of everything that these modules (or `module:definition`) reach."""
    return digest(_closure(roots))[:16]


def of_cells(config: Config, cells: list[Cell], name: str) -> str:
    """One digest for a shard's stage: the string that Snakemake sees as a parameter."""
    return digest([stage(config, cell, name).value for cell in cells])[:16]


def _settings(experiment: Experiment, cell: Cell, name: str) -> dict[str, str]:
    if name == "train":
        values = {f"training.{key}": value for key, value in experiment.training if key not in INERT}
        values |= {f"model.{key}": value for key, value in experiment.model} | {"drawing": experiment.drawing}
        return {key: str(value) for key, value in values.items()} | _nouns(cell)
    section = {"sample": "sampling", "evaluate": "likelihood"}[name]
    return {f"{section}.{key}": str(value) for key, value in getattr(experiment, section)}


def _nouns(cell: Cell) -> dict[str, str]:
    nouns = {"dataset": Spec(cell.dataset), "path": cell.path, "time": cell.time, "weighting": cell.weighting}
    if cell.process == "gaussian":
        nouns |= {"target": Spec(cell.target), "divergence": cell.divergence}
        nouns |= {} if pairing.is_file(cell.coupling) else {"coupling": parse(cell.coupling)}
    parts = {"seed": str(cell.seed), "process": cell.process}
    parts |= {"coupling pairs": pairing.sha256(cell.coupling)} if pairing.is_file(cell.coupling) else {}
    return parts | {f"{kind} {spec}": _noun(kind, spec, cell.process) for kind, spec in nouns.items()}


def _noun(kind: str, spec: Spec, process: str) -> str:
    """The digest of a noun: its source with everything it reaches, and what a user said of his own."""
    if spec.registered:
        return digest(_closure((names.find(kind, spec.name, process).where,)))[:16]
    if spec.is_expression:
        return digest([expressions.normal(spec.expression), spec.on, _closure(("reproflow.theory.expressions",))])[:16]
    return digest([sources.closure([spec.source]), spec.params, spec.on])[:16]


@functools.cache
def _engine(name: str) -> dict[str, str]:
    parts = {f"source {unit}": value for unit, value in _closure(ROOTS[name]).items()}
    parts |= {f"version {library}": importlib.metadata.version(library) for library in LIBRARIES[name]}
    return parts | {"version python": ".".join(platform.python_version_tuple()[:2])}


@functools.cache
def _closure(roots: tuple[str, ...]) -> dict[str, str]:
    return sources.closure(roots)
