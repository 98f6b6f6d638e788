"""The schema of a configuration: every object closed, every value checked against the names that exist.

A configuration names its experiments; each experiment is a product of paths, time laws, weightings, targets and seeds
over one process and data set. `foundation.config` reads files against it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from reproflow.foundation import compatibility, limits, names, pairing, specs, usercode
from reproflow.foundation.errors import UsageError, did_you_mean
from reproflow.foundation.schema_entries import (
    Closed,
    Controls,
    Count,
    Fraction,
    Id,
    Likelihood,
    Metric,
    Model,
    Named,
    Sampling,
    Seeds,
    Specs,
    Training,
    Written,
)

CHANGES_NO_NUMBER = "every value of a configuration is a part of the fingerprint by itself"


def _uniform() -> list[str | Named]:
    return ["uniform"]


class Experiment(Closed):
    """A product of nouns over one process and data set.

    With `dedupe`, cells of one ideal objective that also share path, target and drawing scheme are trained once;
    `merged` (cell -> the cell that stands for it) is filled in when the configuration is resolved.
    """

    name: Id
    process: Literal["gaussian", "masked"]
    dataset: str
    paths: Specs
    times: Specs = Field(default_factory=_uniform)
    weightings: Specs
    targets: Annotated[list[str], Field(min_length=1)] | None = None
    drawing: Literal["iid", "stratified", "antithetic", "low_discrepancy"] = "stratified"
    coupling: str = "independent"
    divergence: Written = "squared"
    seeds: Seeds
    only: list[str] | None = None
    dedupe: bool = False
    merged: dict[str, str] = Field(default_factory=dict)
    shard_size: Count = 32
    model: Model = Model()
    training: Training = Training()
    sampling: Sampling = Sampling()
    likelihood: Likelihood = Likelihood()
    controls: Controls = Controls()

    @model_validator(mode="before")
    @classmethod
    def _points(cls, raw: Any) -> Any:
        return limits.with_held_out_points(raw)

    @model_validator(mode="after")
    def _check(self) -> Experiment:
        kinds: dict[str, Any] = {
            "dataset": [self.dataset],
            "path": self.paths,
            "time": self.times,
            "weighting": self.weightings,
        }
        if self.process == "gaussian":
            kinds |= {"target": self.output_targets, "divergence": [self.divergence]}
            kinds |= {} if pairing.is_file(self.coupling) else {"coupling": [self.coupling]}
        elif self.output_targets != ["ce"]:
            raise ValueError(f"targets {self.targets} of a masked process: the only one is 'ce'; leave the key out")
        for kind, written in kinds.items():
            _check_specs(kind, written, self.process)
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds {self.seeds} repeat one; give each seed once")
        self._check_compatibility()
        self._check_invariance()
        self._check_controls()
        return self

    @property
    def output_targets(self) -> list[str]:
        """What the networks put out: velocity unless said otherwise; `ce` for a masked process."""
        return self.targets or (["ce"] if self.process == "masked" else ["velocity"])

    def _check_controls(self) -> None:
        arms = [str(parse(item, "weighting")) for item in self.weightings]
        for name in sorted(self.controls.names - set(arms)):
            raise ValueError(f"controls name {name!r}, which is no weighting here;{did_you_mean(name, arms)}")
        if self.dedupe and self.controls.same:
            raise ValueError("controls.same with dedupe: one network stands for both names; set dedupe: false")

    def _check_compatibility(self) -> None:
        weightings = [parse(item, "weighting") for item in self.weightings]
        try:
            compatibility.check_coupling(self)
            compatibility.check_divergence(self, parse(self.divergence, "divergence"), weightings)
            compatibility.check_solver(self)
            limits.check_experiment(self)
        except UsageError as error:
            raise ValueError(str(error)) from None

    def _check_invariance(self) -> None:
        size = self.training.batch * self.model.width
        if self.training.invariant and (size % 16 or self.training.batch % 16 or self.model.width % 16):
            raise ValueError(
                f"batch {self.training.batch} and width {self.model.width} must be multiples of 16 for results that "
                "do not depend on sharding; change them or set training.invariant: false"
            )


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
    def _rising(cls, value: Any) -> Any:
        if isinstance(value, list) and (sorted(set(value)) != value or any(n % 4 for n in value) or value[-1] % 16):
            raise ValueError(
                f"steps {value} must be rising multiples of 4, the last of 16: bounds are told at parts of it"
            )
        return tuple(value) if isinstance(value, list) else value


class Config(Closed):
    """A whole run; results go to `results/<name>/`."""

    name: Id
    device: Literal["auto", "cpu", "cuda"] = "auto"
    experiments: Annotated[list[Experiment], Field(min_length=1)]
    claims: Claims = Claims()
    regression: Regression = Regression()
    cascade: Cascade | None = None

    @property
    def guests(self) -> list[specs.Spec]:
        """The user's own nouns."""
        found = []
        for each in self.experiments:
            axes = {
                "path": each.paths,
                "time": each.times,
                "weighting": each.weightings,
                "divergence": [each.divergence],
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
        limits.check_cascade(self)
        limits.check_claims(self)
        return self


def _check_specs(kind: str, written: Any, process: str) -> None:
    parsed: list[specs.Spec] = []
    for item in written:
        try:
            spec = parse(item, kind)
            usercode.check(kind, spec, process)
            if not spec.registered:
                _check_own_name(kind, spec, process)
        except UsageError as error:
            raise ValueError(str(error)) from None
        if spec.name in [other.name for other in parsed if not (other.registered and spec.registered)]:
            raise ValueError(f"{kind} {spec.name!r} names two things; give each its own name")
        if spec in parsed:
            raise ValueError(f"{kind} {str(spec)!r} is given twice")
        parsed.append(spec)


def parse(item: str | Named, kind: str) -> specs.Spec:
    """The spec of a noun as a configuration holds it. Raises `UsageError`."""
    return specs.parse(item if isinstance(item, str) else item.model_dump(), kind)


def _check_own_name(kind: str, spec: specs.Spec, process: str) -> None:
    if spec.name == spec.source or spec.name.startswith(f"{spec.source}:"):
        raise UsageError(
            f"{kind} {spec.name!r} is your own: give it a name for cell keys, {{name: mine, spec: {spec.name!r}}}."
        )
    if any((known.kind, known.name, known.process) == (kind, spec.name, process) for known in names.known()):
        raise UsageError(f"{spec.name!r} is a registered {kind}; give yours another name.")
