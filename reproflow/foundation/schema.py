"""The schema of a configuration: every object closed, every value checked against the names that exist.

A configuration names its experiments; each experiment is a product of paths, time laws, weightings, targets and seeds
over one process and data set. `foundation.config` reads files against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from reproflow.foundation import limits, names, specs
from reproflow.foundation.errors import did_you_mean
from reproflow.foundation.experiment import Experiment
from reproflow.foundation.schema_entries import (
    Closed,
    Count,
    Fraction,
    Id,
    Metric,
    Named,
    parse,
)

CHANGES_NO_NUMBER = "every value of a configuration is a part of the fingerprint by itself"


class Claims(Closed):
    """Which claims are run."""

    tier: Literal["exact", "mc", "all"] = "all"
    ids: list[str] | None = None
    network: str | None = None


class Regression(Closed):
    """When a number counts as worse than its baseline: beyond its metric's margin, at family-wise level `alpha`.

    `baseline` is the name of a baseline, by default the configuration's. `margins` are absolute and are frozen in the
    baseline when it is made; those left out are the defaults. `looks`: how many comparisons of one change are planned.
    """

    baseline: Id | None = None
    alpha: Fraction = 0.05
    looks: Count = 1
    margins: dict[Metric, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(default_factory=dict)


class Cascade(Closed):
    """The cascade of bounds on trained image networks (`cascade.csv`), over the set that they were trained on.

    Of each product of nouns the first `seeds` seeds; `images` draws a level, chains of `steps` steps, `samples` samples
    for the divergence of data and model.
    """

    images: Annotated[int, Field(ge=16)] = 128
    steps: Annotated[tuple[Count, ...], Field(min_length=1)] = (8, 16, 32, 64)
    samples: Annotated[int, Field(ge=100)] = 2000
    seeds: Count = 1

    @field_validator("steps", mode="before")
    @classmethod
    def _numbers(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("steps")
    @classmethod
    def _rising(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if tuple(sorted(set(value))) != value or any(n % 4 for n in value) or value[-1] % 16:
            raise ValueError(
                f"steps {list(value)} must be rising multiples of 4, the last of 16: bounds are told at parts of it"
            )
        return value


class Config(Closed):
    """A whole run; results go to `results/<name>/`."""

    name: Id
    device: Literal["auto", "cpu", "cuda"] = "auto"
    experiments: Annotated[list[Experiment], Field(min_length=1)]
    claims: Claims = Claims()
    regression: Regression = Regression()
    cascade: Cascade | None = None

    @property
    def user_functions(self) -> list[specs.Spec]:
        """The user's own nouns."""
        found = []
        for each in self.experiments:
            axes: dict[str, Sequence[str | Named]] = {
                "dataset": [each.dataset],
                "path": each.paths,
                "time": each.times,
                "weighting": each.weightings,
                "divergence": [each.divergence],
                "target": each.targets or [],
                "coupling": [] if each.pairs_file else [each.coupling],
                "network": [each.model.network],
            }
            found += [
                spec for kind, axis in axes.items() for item in axis if not (spec := parse(item, kind)).registered
            ]
        return found

    @model_validator(mode="after")
    def _unique(self) -> Config:
        seen = [experiment.name for experiment in self.experiments]
        for name in seen:
            if seen.count(name) > 1:
                raise ValueError(f"two experiments are named {name!r}; give each its own name")
        check_datasets(self)
        check_cascade(self)
        check_claims(self)
        return self


def check_datasets(config: Config) -> None:
    """One name of a user's data set is one function: its prepared file goes by the name."""
    by_name: dict[str, specs.Spec] = {}
    for experiment in config.experiments:
        spec = experiment.dataset_spec
        if by_name.setdefault(spec.name, spec) != spec:
            raise ValueError(f"dataset {spec.name!r} names two functions; give each its own name")


def check_cascade(config: Config) -> None:
    """The cascade has networks to be about, and as many seeds as it asks for."""
    if config.cascade is None:
        return
    seeds = [len(e.seeds) for e in config.experiments if limits.has_images(e.dataset_spec, e.process)]
    if not seeds:
        raise ValueError("cascade: no experiment is on images; leave the key out, or add one")
    if config.cascade.seeds > max(seeds):
        raise ValueError(f"cascade.seeds {config.cascade.seeds}: experiments on images have {max(seeds)} at most")


def check_claims(config: Config) -> None:
    """The claims named exist, and at least one of them is of the tier."""
    tiers, wanted = names.claims(), config.claims
    for id in wanted.ids or ():
        if id.upper() not in tiers:
            raise ValueError(
                f"claims.ids: unknown claim {id!r};{did_you_mean(id.upper(), tiers)} reproflow list claims"
            )
    chosen = set().union(*(tiers[id.upper()] for id in wanted.ids)) if wanted.ids else {"exact", "mc"}
    if wanted.tier not in ("all", *chosen):
        raise ValueError(f"claims.tier {wanted.tier!r}: none of {', '.join(wanted.ids or ())} has that tier; use all")
