"""The entries of a configuration that need no other: kinds of numbers, a user's own noun, and sections of settings.

`foundation.schema` makes experiments and whole configurations of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from reproflow.foundation import limits, measures, names, processes, specs, user_files
from reproflow.foundation.errors import UsageError

CHANGES_NO_NUMBER = "every value of a configuration is a part of the fingerprint by itself"

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Seeds = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
if TYPE_CHECKING:
    Metric = str
else:
    Metric = Literal[measures.held()]
ProcessName = Annotated[
    str,
    AfterValidator(processes.check),
    Field(json_schema_extra=lambda schema: schema.update(enum=list(processes.known()))),
]
SolverName = Annotated[
    str,
    AfterValidator(processes.check_solver),
    Field(json_schema_extra=lambda schema: schema.update(enum=list(processes.solvers()))),
]
Id = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")]


class Closed(BaseModel):
    """Unknown keys, and values of another type, are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Named(Closed):
    """A user's own component: `spec` is `FILE.py:FUNCTION` or `expr:..`; `on` says what a weighting multiplies."""

    name: Id
    spec: str
    on: str | None = None


def _tag(item: Any) -> str:
    """Which of the two a value was meant to be, so that the error is about that one."""
    return "_own" if isinstance(item, dict | Named) else "_name"


Written = Annotated[Annotated[str, Tag("_name")] | Annotated[Named, Tag("_own")], Discriminator(_tag)]
Specs = Annotated[list[Written], Field(min_length=1)]


class Model(Closed):
    """The network: a registered builder with `depth` hidden layers of `width` units, or a user's own."""

    network: Written = "stacked_mlp"
    width: Count = 64
    depth: Count = 3

    @property
    def network_spec(self) -> specs.Spec:
        """The network, as a spec."""
        return parse(self.network, "network")


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
    """How samples are drawn: `solver` with `steps` steps, `n` samples; `eta` is the share of noise that `sde` adds."""

    solver: SolverName = "heun"
    steps: Count = 16
    n: Count = 2000
    eta: Annotated[float, Field(ge=0, le=1)] = 1.0


class Likelihood(Closed):
    """How likelihoods are measured: at `points` held-out points (all of them where fewer are held out than the usual
    number), with `steps` solver steps or `repeats` noise draws.

    The probability flow of images is measured at `ode_points` of them (0: not at all) with `ode_steps` steps, its
    divergence exact or by Hutchinson's estimate with `probes` probes.
    """

    points: Count = limits.USUAL_POINTS
    steps: Count = 25
    repeats: Count = 4
    ode_points: Annotated[int, Field(ge=0)] = 0
    ode_steps: Count = 16
    divergence: Literal["exact", "hutchinson"] = "hutchinson"
    probes: Count = 1


class Controls(Closed):
    """Arms of a block of weightings that check the block itself, by their names in `weightings`.

    `separated` must come out worse than the best, else the block is too insensitive to say anything of the others.
    `same` are pairs of one objective under two names, which must not come out apart.
    """

    separated: list[str] = []
    same: list[tuple[str, str]] = []

    @field_validator("same", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return [tuple(pair) if isinstance(pair, list) else pair for pair in value]

    @property
    def names(self) -> set[str]:
        """Every arm that is named."""
        return {*self.separated, *(name for pair in self.same for name in pair)}


def check_specs(kind: str, written: Any, process: str) -> None:
    parsed: list[specs.Spec] = []
    for item in written:
        try:
            spec = parse(item, kind)
            user_files.check(kind, spec, process)
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
