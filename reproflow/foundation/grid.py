"""The grid: a configuration's cells, and the shards they are trained in.

A cell is one network: a process, data set, path, time law, weighting, target and seed. Its key is its name in files,
wildcards and tables. A shard is a list of cells of one experiment, hence of one architecture, data set, batch and
optimiser, that one process trains together.
"""

from __future__ import annotations

import fnmatch
import itertools
from dataclasses import dataclass

from reproflow.foundation import coupled_pairs_file, limits, processes, specs
from reproflow.foundation.config import Config, Experiment, parse
from reproflow.foundation.errors import ConfigError, did_you_mean
from reproflow.foundation.specs import Spec

CHANGES_NO_NUMBER = "all that a cell holds is a part of the fingerprint by itself"


@dataclass(frozen=True)
class Cell:
    """One network to train."""

    key: str
    experiment: str
    process: str
    dataset: str
    path: Spec
    time: Spec
    weighting: Spec
    target: str
    seed: int
    coupling: str
    divergence: Spec


LARGEST = 1000
"""Shards of one experiment: their number has three digits in names of files."""


def check(config: Config) -> None:
    """What can be said of a configuration only once its cells are known. Raises `ConfigError`."""
    cells = {cell.key: cell for cell in expand(config)}
    for experiment in config.experiments:
        if (found := len(_cut(experiment))) > LARGEST:
            raise ConfigError(
                f"experiment {experiment.name!r} has {found} shards, {LARGEST} at most; raise shard_size."
            )
    wanted = config.claims.network
    if wanted is None:
        return
    if wanted not in cells:
        raise ConfigError(f"claims.network {wanted!r} is no cell of this run;{did_you_mean(wanted, cells)}")
    cell = cells[wanted]
    images = limits.has_images(experiment_of(config, cell.experiment).dataset_spec, cell.process)
    if not (processes.facts(cell.process).flow and cell.target == "x1" and images):
        raise ConfigError(f"claims.network {wanted!r}: claims are tried on a Gaussian cell on images with target x1.")


def expand(config: Config) -> list[Cell]:
    """All cells in the order of the configuration. Raises `ConfigError` for an empty selection or an unusable key."""
    cells = [cell for experiment in config.experiments for cell in expand_experiment(experiment)]
    keys = [cell.key for cell in cells]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ConfigError(f"two experiments contain the cell {twice}; give their product different nouns or seeds.")
    return cells


def expand_experiment(experiment: Experiment) -> list[Cell]:
    """The cells of one experiment."""
    axes = {"path": experiment.paths, "time": experiment.times, "weighting": experiment.weightings}
    parsed = [[parse(item, kind) for item in axis] for kind, axis in axes.items()]
    nouns = itertools.product(*parsed, experiment.target_specs)
    cells = [_cell(experiment, each, seed) for each in nouns for seed in experiment.seeds]
    cells = [cell for cell in cells if cell.key not in experiment.merged]
    if experiment.only is not None:
        cells = [cell for cell in cells if any(fnmatch.fnmatchcase(cell.key, pattern) for pattern in experiment.only)]
    if not cells:
        raise ConfigError(
            f"0 cells selected by only: {experiment.only} in experiment {experiment.name!r}; patterns match cell keys."
        )
    return cells


def shards(config: Config) -> dict[str, list[Cell]]:
    """Cells by shard id, in order; a shard holds at most `shard_size` cells of one experiment and target."""
    return {shard: cells for experiment in config.experiments for shard, cells in _cut(experiment).items()}


def _cut(experiment: Experiment) -> dict[str, list[Cell]]:
    """The target decides what a network puts out, so cells of two targets are not stacked."""
    cells, size, parts = expand_experiment(experiment), experiment.shard_size, []
    for wanted in dict.fromkeys(cell.target for cell in cells):
        alike = [cell for cell in cells if cell.target == wanted]
        parts += [alike[start : start + size] for start in range(0, len(alike), size)]
    return {f"{experiment.name}-{index:03d}": part for index, part in enumerate(parts)}


def experiment_of(config: Config, name: str) -> Experiment:
    """The experiment of that name (cells and shards carry it)."""
    return next(experiment for experiment in config.experiments if experiment.name == name)


def _cell(experiment: Experiment, nouns: tuple[Spec, ...], seed: int) -> Cell:
    path, time, weighting, target = nouns
    pairs, divergence = experiment.pairs_file, parse(experiment.divergence, "divergence")
    coupling = coupled_pairs_file.slug(pairs) if pairs else experiment.coupling_spec.slug
    dataset = experiment.dataset_spec.name
    # Said in the key only where they are not the usual ones.
    unusual = [coupling] if coupling != coupled_pairs_file.INDEPENDENT else []
    unusual += [divergence.slug] if str(divergence) != "squared" else []
    key = ".".join([dataset, experiment.process, *(noun.slug for noun in nouns), *unusual, f"s{seed}"])
    if not specs.SLUG.fullmatch(key):
        raise ConfigError(f"cell key {key!r} does not match {specs.SLUG.pattern}; shorten the names or parameters.")
    return Cell(
        key,
        experiment.name,
        experiment.process,
        dataset,
        path,
        time,
        weighting,
        str(target),
        seed,
        experiment.coupling_name,
        divergence,
    )
