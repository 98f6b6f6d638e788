"""The grid: a configuration's cells, and the shards they are trained in.

A cell is one network: a process, data set, path, time law, weighting, target and seed. Its key is its name in files,
wildcards and tables. A shard is a list of cells of one experiment, hence of one architecture, data set, batch and
optimiser, that one process trains together.
"""

from __future__ import annotations

import fnmatch
import itertools
from dataclasses import dataclass

from reproflow.foundation import specs
from reproflow.foundation.config import Config, Experiment
from reproflow.foundation.errors import ConfigError


@dataclass(frozen=True)
class Cell:
    """One network to train; nouns are canonical spec texts."""

    key: str
    experiment: str
    process: str
    dataset: str
    path: str
    time: str
    weighting: str
    target: str
    seed: int


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
    axes = (experiment.paths, experiment.times, experiment.weightings, experiment.output_targets)
    parsed = [[specs.parse(text) for text in axis] for axis in axes]
    cells = [_cell(experiment, nouns, seed) for *nouns, seed in itertools.product(*parsed, experiment.seeds)]
    if experiment.only is not None:
        cells = [cell for cell in cells if any(fnmatch.fnmatchcase(cell.key, pattern) for pattern in experiment.only)]
    if not cells:
        raise ConfigError(f"0 cells selected by only: {experiment.only} in experiment {experiment.name!r}; patterns match cell keys.")
    return cells


def shards(config: Config) -> dict[str, list[Cell]]:
    """Cells by shard id, in order; a shard holds at most `shard_size` cells of one experiment."""
    parts = {}
    for experiment in config.experiments:
        cells = expand_experiment(experiment)
        for index, start in enumerate(range(0, len(cells), experiment.shard_size)):
            parts[f"{experiment.name}-{index:03d}"] = cells[start : start + experiment.shard_size]
    return parts


def experiment_of(config: Config, name: str) -> Experiment:
    """The experiment of that name (cells and shards carry it)."""
    return next(experiment for experiment in config.experiments if experiment.name == name)


def _cell(experiment: Experiment, nouns: list[specs.Spec], seed: int) -> Cell:
    path, time, weighting, target = nouns
    parts = [experiment.dataset, experiment.process, *(noun.slug for noun in nouns), f"s{seed}"]
    key = ".".join(parts)
    if not specs.SLUG.fullmatch(key):
        raise ConfigError(f"cell key {key!r} does not match {specs.SLUG.pattern}; shorten the names or parameters.")
    return Cell(key, experiment.name, experiment.process, experiment.dataset, str(path), str(time), str(weighting), str(target), seed)
