"""Configuration: a closed schema, checked before anything runs.

A configuration names its experiments; each experiment is a product of paths, time laws, weightings, targets and seeds
over one process and data set. Every object is closed: an unknown key is refused with the nearest known one. Whatever is
wrong is a `ConfigError` that names file, key, value and cure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from reproflow.foundation import names, specs
from reproflow.foundation.errors import ConfigError, UsageError, did_you_mean

EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Seeds = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
Specs = Annotated[list[str], Field(min_length=1)]
Id = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")]


class Closed(BaseModel):
    """Unknown keys, and values of another type, are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Model(Closed):
    """A class-conditional MLP: `depth` hidden layers of `width` units."""

    width: Count = 64
    depth: Count = 3


class Training(Closed):
    """One training run. `lr` is reached after `warmup` steps and falls to zero along a cosine; `ema` is the decay."""

    steps: Count = 1000
    batch: Count = 256
    lr: Positive = 2e-3
    warmup: Annotated[int, Field(ge=0)] = 100
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    clip: Positive = 1.0
    ema: Fraction = 0.99
    save_every: Count = 500
    log_every: Count = 10
    t_range: tuple[Fraction, Fraction] = (1e-3, 1 - 1e-3)
    invariant: bool = True

    @field_validator("t_range", mode="before")
    @classmethod
    def _pair(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _consistent(self) -> Training:
        if not self.t_range[0] < self.t_range[1]:
            raise ValueError(f"t_range {list(self.t_range)} is empty; give [low, high] with low < high")
        if self.warmup >= self.steps:
            raise ValueError(f"warmup {self.warmup} is not below steps {self.steps}")
        return self


class Sampling(Closed):
    """How samples are drawn: `solver` with `steps` steps, `n` samples."""

    solver: Literal["euler", "heun", "rk4", "ancestral"] = "heun"
    steps: Count = 16
    n: Count = 2000


class Likelihood(Closed):
    """How likelihoods are measured: at `points` held-out points, with `steps` solver steps or `repeats` noise draws."""

    points: Count = 1000
    steps: Count = 25
    repeats: Count = 4


class Experiment(Closed):
    """A product of nouns over one process and data set."""

    name: Id
    process: Literal["gaussian", "masked"]
    dataset: str
    paths: Specs
    times: Specs = ["uniform"]
    weightings: Specs
    targets: Specs | None = None
    drawing: Literal["iid", "stratified"] = "stratified"
    seeds: Seeds
    only: list[str] | None = None
    shard_size: Count = 32
    model: Model = Model()
    training: Training = Training()
    sampling: Sampling = Sampling()
    likelihood: Likelihood = Likelihood()

    @model_validator(mode="after")
    def _check(self) -> Experiment:
        kinds = {"dataset": [self.dataset], "path": self.paths, "time": self.times, "weighting": self.weightings}
        if self.process == "gaussian":
            kinds["target"] = self.output_targets
        elif self.output_targets != ["ce"]:
            raise ValueError(f"targets {self.targets} of a masked process: the only one is 'ce'; leave the key out")
        for kind, written in kinds.items():
            _check_specs(kind, written, self.process)
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds {self.seeds} repeat one; give each seed once")
        self._check_invariance()
        self._check_solver()
        return self

    @property
    def output_targets(self) -> list[str]:
        """What the networks put out: velocity unless said otherwise; `ce` for a masked process."""
        return self.targets or (["ce"] if self.process == "masked" else ["velocity"])

    def _check_invariance(self) -> None:
        size = self.training.batch * self.model.width
        if self.training.invariant and (size % 16 or self.training.batch % 16 or self.model.width % 16):
            raise ValueError(
                f"batch {self.training.batch} and width {self.model.width} must be multiples of 16 for results that "
                "do not depend on sharding; change them or set training.invariant: false"
            )

    def _check_solver(self) -> None:
        if (self.sampling.solver == "ancestral") != (self.process == "masked"):
            allowed = "ancestral" if self.process == "masked" else "euler, heun, rk4"
            raise ValueError(
                f"sampling.solver {self.sampling.solver!r} does not sample a {self.process} process; use {allowed}"
            )


class Claims(Closed):
    """Which claims are run."""

    tier: Literal["exact", "mc", "all"] = "all"
    ids: list[str] | None = None
    network: str | None = None


class Config(Closed):
    """A whole run; results go to `results/<name>/`."""

    name: Id
    device: Literal["auto", "cpu", "cuda"] = "auto"
    experiments: Annotated[list[Experiment], Field(min_length=1)]
    claims: Claims = Claims()

    @model_validator(mode="after")
    def _unique(self) -> Config:
        seen = [experiment.name for experiment in self.experiments]
        for name in seen:
            if seen.count(name) > 1:
                raise ValueError(f"two experiments are named {name!r}; give each its own name")
        return self


def load(path: str | Path) -> Config:
    """Reads and checks a YAML or JSON file. Raises `ConfigError` naming file, key, value and cure."""
    try:
        text = Path(path).read_text(encoding="utf-8")
        raw = yaml.load(text, Loader=_Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read the configuration {path}: {getattr(error, 'strerror', None) or error}."
        ) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    return check(raw, str(path))


def check(raw: Any, source: str = "config") -> Config:
    """Checks a mapping against the schema. Raises `ConfigError`; `source` is the file named in its message."""
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{source}: a configuration is a mapping with the keys {', '.join(Config.model_fields)}.")
    _refuse_unknown_keys(dict(raw), Config, source, "")
    try:
        return Config.model_validate(_numbers(dict(raw)))
    except ValidationError as error:
        raise ConfigError(_explain(error, source)) from None


def dump(config: Config) -> str:
    """The configuration with every default written out, as JSON."""
    return json.dumps(config.model_dump(mode="json"), indent=1) + "\n"


def _check_specs(kind: str, written: list[str], process: str) -> None:
    parsed = []
    for text in written:
        try:
            spec = specs.parse(text, kind)
            name = names.find(kind, spec.name, process)
            ranges = {key: _interval(pair) for key, pair in name.ranges.items()}
            specs.bind(spec, name.params, ranges, kind)
        except UsageError as error:
            raise ValueError(str(error)) from None
        if spec in parsed:
            raise ValueError(f"{kind} {text!r} is given twice")
        parsed.append(spec)


def _interval(pair: list[float | None]) -> tuple[float, float]:
    low, high = pair
    return (float("-inf") if low is None else low, float("inf") if high is None else high)


def _refuse_unknown_keys(raw: Any, schema: type[BaseModel], source: str, where: str) -> None:
    """The did-you-mean check, which runs before the schema so that a typo is not reported as a missing key."""
    if not isinstance(raw, Mapping):
        return
    for key, value in raw.items():
        if key not in schema.model_fields:
            known = schema.model_fields
            raise ConfigError(
                f"{source}: unknown key {where + str(key)!r};{did_you_mean(str(key), known)}\n"
                f"known here: {', '.join(known)}"
            )
        inner = _inner_schema(schema.model_fields[key].annotation)
        if inner is not None:
            items = enumerate(value) if isinstance(value, list) else [("", value)]
            for index, item in items:
                place = f"{where}{key}[{index}]." if index != "" else f"{where}{key}."
                _refuse_unknown_keys(item, inner, source, place)


def _inner_schema(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        inner = _inner_schema(argument)
        if inner is not None:
            return inner
    return None


def _explain(error: ValidationError, source: str) -> str:
    problems = error.errors(include_url=False)
    first = problems[0]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
    message = first["msg"].removeprefix("Value error, ")
    shown = first.get("input")
    value = (
        f" (got {shown!r})"
        if isinstance(shown, (str, int, float, bool, list, type(None))) and first["type"] != "missing"
        else ""
    )
    more = f"\nand {len(problems) - 1} more like it" if len(problems) > 1 else ""
    return f"{source}: {where or 'config'}: {message}{value}{more}"


def _numbers(value: Any) -> Any:
    """YAML 1.1, which Snakemake reads too, takes 2e-3 for text (it wants 2.0e-3); here it is a number."""
    if isinstance(value, Mapping):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return float(value) if isinstance(value, str) and EXPONENT.fullmatch(value) else value


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key written twice."""


def _unique_mapping(loader: _Loader, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    for key in keys:
        if keys.count(key) > 1 and key != "<<":
            raise yaml.MarkedYAMLError(problem=f"the key {key!r} is written twice", problem_mark=node.start_mark)
    loader.flatten_mapping(node)
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)
