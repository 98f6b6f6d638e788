"""Objectives that a measured weight may be: the published ones, and the registered combinations.

They are evaluated at the measured log-SNRs and ranked by the whole measured range: EDM's weight and the monotone one of
Kingma and Gao agree on 96 % of the draws, and have opposite verdicts.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from reproflow.auditing.naming.comparison import Comparison, compare, may_be_same
from reproflow.auditing.naming.density import Weight
from reproflow.auditing.naming.inverses import times_on
from reproflow.foundation import registry
from reproflow.judge import published_objectives
from reproflow.numerics.derivatives import Mode
from reproflow.theory.log_snr import elbo_coefficient
from reproflow.theory.objective import Objective, error_factor
from reproflow.theory.paths import get_path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

LISTED = 6
ANY = "any"


@dataclass(frozen=True)
class Candidate:
    """An objective by the specs of its parts; `name` is a published one's key, or what the combination is called."""

    name: str
    weighting: str
    path: str
    time: str
    on: str
    published: bool
    process: str
    comparison: Comparison

    def objective(self) -> Objective:
        """The objective itself."""
        if self.published:
            return _published(next(each for each in published_objectives.entries((self.name,))))
        path = get_path("linear" if self.path == ANY else self.path, self.process)
        law = get_time_law("uniform" if self.time == ANY else self.time, fine=True)
        return Objective(path, law, get_weighting(self.weighting, self.process))

    @property
    def spec(self) -> dict[str, str]:
        """Its parts in the words of `check weighting`."""
        return {"weighting": self.weighting, "on": self.on, "path": self.path, "time": self.time}

    def as_dict(self) -> dict[str, object]:
        """`same_as` of the JSON contract."""
        return {
            "name": self.name,
            "error_bulk": self.comparison.error_bulk,
            "error_range": self.comparison.error_range,
        }


Stated = tuple[Callable[[Comparison], Candidate], np.ndarray]
"""A candidate without its comparison, and its weight at the measured log-SNRs, (P,)."""


def same_as(weight: Weight, path: str | None = None) -> list[Candidate]:
    """The objectives whose weight is the measured one's where 96 % of the draws lie; the closest in the range first.

    Of equally close ones those on this path come first.
    """
    stated = [*_from_published(weight), *_from_registered(weight)]
    near = may_be_same(weight, np.stack([value for _, value in stated]))
    compared = [(named, compare(weight, value)) for (named, value), use in zip(stated, near, strict=True) if use]
    close = [named(found) for named, found in compared if found is not None and found.error_bulk <= weight.same]
    # Of equals a published objective is the better name.
    close.sort(key=lambda each: (_rank(each.comparison.error_range), not each.published, each.path != path))
    first: dict[str, Candidate] = {}
    for each in close:
        first.setdefault(each.name.replace("_", "-"), each)
    return list(first.values())[:LISTED]


def _rank(error: float) -> float:
    """Errors within a tenth of each other count as equal."""
    return round(float(np.log10(max(error, 1e-12))), 1) if np.isfinite(error) else np.inf


def _from_published(weight: Weight) -> Iterator[Stated]:
    for entry in published_objectives.entries():
        if entry.process != weight.process:
            continue
        objective = _published(entry)
        t = torch.from_numpy(times_on(entry.path_spec, weight.lam, entry.process))
        reached = t.isfinite()
        value = torch.where(reached, objective.weight(torch.where(reached, t, 0.5)), torch.nan)
        on = entry.on or objective.prediction
        parts = (entry.key, entry.weighting, entry.path, entry.time, on, True, entry.process)
        yield functools.partial(Candidate, *parts), value.detach().numpy()


def _published(entry: published_objectives.Entry) -> Objective:
    path = get_path(entry.path_spec, entry.process, Mode.REVERSE)
    law = get_time_law(entry.time, fine=True, mode=Mode.REVERSE)
    return Objective(path, law, get_weighting(entry.weighting, entry.process, entry.on))


def _from_registered(weight: Weight) -> Iterator[Stated]:
    """Every registered path, law and weighting at their defaults; a canonical weighting once."""
    lam = torch.from_numpy(weight.lam)
    process = weight.process
    weightings = [get_weighting(entry.name, process) for entry in registry.entries("weighting", process)]
    laws = [get_time_law(entry.name, fine=True) for entry in registry.entries("time", process)]
    t = torch.sigmoid(0.5 * lam)
    for each in weightings:
        if each.on == "canonical":
            parts = (each.name, each.name, ANY, ANY, each.on, False, process)
            yield functools.partial(Candidate, *parts), each.function(t, lam).detach().numpy()
    paths = [get_path(entry.name, process) for entry in registry.entries("path", process)]
    times = torch.stack([torch.from_numpy(times_on(path.name, weight.lam, process)) for path in paths])
    reached = times.isfinite()
    times = torch.where(reached, times, 0.5)
    # The laws at the times of all paths, (laws, paths, P): one bisection each.
    densities = [torch.where(reached, law.density(times), torch.nan).detach().numpy() for law in laws]
    for place, path in enumerate(paths):
        c = path.at(times[place])
        for each in weightings:
            if each.on == "canonical":
                continue
            shape = (each.at(c) * error_factor(each, c) / elbo_coefficient(c)).detach().numpy()
            for law, density in zip(laws, densities, strict=True):
                name = f"{each.name} ({path.name} path, {law.name} time)"
                parts = (name, each.name, path.name, law.name, each.on, False, process)
                yield functools.partial(Candidate, *parts), density[place] * shape
