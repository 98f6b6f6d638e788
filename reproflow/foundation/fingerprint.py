"""Fingerprints: what a stored result depends on, as named parts and one digest.

A part is a config value, a noun's source, all sources of the stage, a library version, or the fingerprint of the stage
before. Each definition that the stage reaches is a part too, under its place: that one is for `reproflow why` alone and
not digested, so that a definition may be moved. Because parts are kept by name beside every result, `why` can say which
of them changed.
"""

from __future__ import annotations

import functools
import importlib.metadata
import platform
from dataclasses import dataclass

from reproflow.foundation import closure, coupled_pairs_file, expression_syntax, measures, names, processes
from reproflow.foundation.closure import Closure
from reproflow.foundation.config import Config, Experiment
from reproflow.foundation.files import digest
from reproflow.foundation.grid import Cell, experiment_of
from reproflow.foundation.specs import Spec

CHANGES_NO_NUMBER = "it says what a number depends on and computes none"

STAGES = ("train", "sample", "evaluate")
# What the verb of each stage calls. All that these reach counts, but for modules that say they change no number. The
# measures that an evaluation looks up by name are roots as well.
ROOTS = {
    "train": ("reproflow.learning.training.shard:train", "reproflow.learning.data:load"),
    "sample": ("reproflow.learning.sampling.samples:sample",),
    # FID's feature network is shipped: the sum of its weights is checked where it is installed.
    "evaluate": ("reproflow.evaluation.cells:evaluate", "reproflow.evaluation.features.extractors:install_features"),
    "features": (
        "reproflow.evaluation.features.extractors:install_features",
        "reproflow.evaluation.features.digits_network:train_features",
    ),
}
EXPRESSION = ("reproflow.theory.expression_values:function",)
CLAIMS = ("reproflow.claims.policy", "reproflow.claims.errata.erratum", "reproflow.claims.ledger")
UNCLAIMED = {"measure", "figure"}
"""Registered kinds that no claim is about."""
LIBRARIES = {"train": ("torch",), "sample": (), "evaluate": ("torch-fidelity",), "features": ("torch",)}
# What changes how a run is cut up and saved, but not what it computes.
INERT = {"save_every", "log_every", "invariant"}
SOURCES = "sources"
"""The part that holds the digest of all sources of a stage."""
SOURCE = "source "
"""How the part of a definition begins; these are not digested."""


@dataclass(frozen=True)
class Engine:
    """What all cells of a stage share: its parts, and those that are digested."""

    parts: dict[str, str]
    counted: dict[str, str]


@dataclass(frozen=True)
class Fingerprint:
    """The digest of a stage's parts, but for those that only say where its definitions lie."""

    value: str
    parts: dict[str, str]

    @classmethod
    def of(cls, own: dict[str, str], engine: Engine) -> Fingerprint:
        """Of a stage's own parts and those that it shares with other cells."""
        return cls(digest(own | engine.counted)[:16], own | engine.parts)


def stage(config: Config, cell: Cell, name: str) -> Fingerprint:
    """The fingerprint of one stage of one cell: its own parts, and the fingerprint of the stage before."""
    experiment = experiment_of(config, cell.experiment)
    engine = _engine(name, (cell.process,), _measures(experiment, name))
    own = _settings(experiment, cell, name)
    if name != "train":
        own["stage before"] = stage(config, cell, STAGES[STAGES.index(name) - 1]).value
    return Fingerprint.of(own, engine)


def features() -> Fingerprint:
    """The fingerprint of the feature network."""
    return Fingerprint.of({}, _engine("features", ()))


def data_file(config: Config, name: str) -> str:
    """The digest of the source of a configuration's data set, registered or a user's own."""
    experiment = next(each for each in config.experiments if each.dataset_spec.name == name)
    spec = experiment.dataset_spec
    return dataset(name) if spec.registered else _noun("dataset", spec, experiment.process)


def dataset(name: str) -> str:
    """The digest of a registered data set's source."""
    where = next(known.where for known in names.known() if (known.kind, known.name) == ("dataset", name))
    return source(where)


def claims() -> str:
    """The digest of every claim's source, and of all that is registered and claims may run over."""
    return source(*CLAIMS, *sorted({known.where for known in names.known() if known.kind not in UNCLAIMED}))


def source(*roots: str, process: str = "") -> str:
    """The digest of everything that these modules (or `module:definition`) reach, for one process or for all."""
    return _closure(roots, (process,) if process else processes.known()).value[:16]


def of_cells(config: Config, cells: list[Cell], name: str) -> str:
    """One digest for a shard's stage: the string that Snakemake sees as a parameter."""
    return digest([stage(config, cell, name).value for cell in cells])[:16]


def _settings(experiment: Experiment, cell: Cell, name: str) -> dict[str, str]:
    if name == "train":
        values = {f"training.{key}": value for key, value in experiment.training if key not in INERT}
        # The network is among the nouns, by its source.
        values |= {f"model.{key}": value for key, value in experiment.model if key != "network"}
        values |= {"drawing": experiment.drawing}
        return {key: str(value) for key, value in values.items()} | _nouns(experiment, cell)
    section = {"sample": "sampling", "evaluate": "likelihood"}[name]
    return {f"{section}.{key}": str(value) for key, value in getattr(experiment, section)}


def _nouns(experiment: Experiment, cell: Cell) -> dict[str, str]:
    """Nouns are looked up by name when a cell runs, so no other source leads to them."""
    nouns = {"dataset": experiment.dataset_spec, "path": cell.path, "time": cell.time, "weighting": cell.weighting}
    nouns |= {"network": experiment.model.network_spec}
    parts, facts = {"seed": str(cell.seed), "process": cell.process}, processes.facts(cell.process)
    parts["process source"] = source(processes.where(cell.process), process=cell.process)
    if facts.other_targets:
        nouns |= {"target": experiment.target_spec(cell.target)}
        parts["targets"] = _targets(cell.process)
    if facts.other_divergences:
        nouns |= {"divergence": cell.divergence}
    if facts.coupling:
        pairs = experiment.pairs_file
        nouns |= {"coupling": experiment.coupling_spec}
        parts |= {"coupling pairs": coupled_pairs_file.sha256(pairs)} if pairs else {}
    return parts | {f"{kind} {spec}": _noun(kind, spec, cell.process) for kind, spec in nouns.items()}


def _noun(kind: str, spec: Spec, process: str) -> str:
    """The digest of a noun: its source with everything it reaches, and what a user said of his own."""
    if spec.registered:
        return _registered(kind, spec.name, process)
    if spec.is_expression:
        return digest([expression_syntax.normal(spec.expression), spec.on, source(*EXPRESSION, process=process)])[:16]
    return digest([closure.reached([spec.source], (process,)).value, spec.params, spec.on])[:16]


@functools.cache
def _registered(kind: str, name: str, process: str) -> str:
    """The digest of a registered noun: cells of a grid share theirs."""
    return source(names.find(kind, name, process).where, process=process)


@functools.cache
def _targets(process: str) -> str:
    """What a network predicts is converted to what a weighting multiplies and a sampler asks for: all targets."""
    targets = [known.where for known in names.known() if (known.kind, known.process) == ("target", process)]
    return source(*targets, process=process)


def _measures(experiment: Experiment, name: str) -> tuple[str, ...]:
    """Where the measures are that an experiment's evaluation computes: they are looked up by name."""
    return tuple(measures.places(experiment.process, experiment.measures)) if name == "evaluate" else ()


@functools.cache
def _engine(name: str, of_processes: tuple[str, ...], looked_up: tuple[str, ...] = ()) -> Engine:
    """The sources and versions of a stage, with what is entered for the processes (`foundation.by_process`)."""
    found = _closure((*ROOTS[name], *looked_up), of_processes)
    counted = {SOURCES: found.value}
    counted |= {f"version {library}": importlib.metadata.version(library) for library in LIBRARIES[name]}
    counted |= {"version python": ".".join(platform.python_version_tuple()[:2])}
    return Engine(counted | {f"{SOURCE}{place}": text for place, text in found.definitions.items()}, counted)


@functools.cache
def _closure(roots: tuple[str, ...], of_processes: tuple[str, ...]) -> Closure:
    return closure.reached(roots, of_processes)


def forget() -> None:
    """Forgets what was read, for a process in which sources change."""
    for function in (_closure, _engine, _registered, _targets):
        function.cache_clear()
    closure.forget()
