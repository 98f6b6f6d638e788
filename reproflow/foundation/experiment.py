"""An experiment of a configuration: a product of components over one process and data set, and what must fit together.

Told before anything runs: which couplings, divergences and solvers go together, and the sizes that a data set allows.
Only squared errors convert from one prediction to another (LOSS-5). Under any other divergence a weighting must weigh
the output itself, and the output must be the network's own numbers: not a posterior over grey levels, nor tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from reproflow.foundation import coupled_pairs_file, limits, measures, names, processes
from reproflow.foundation.errors import UsageError, did_you_mean
from reproflow.foundation.limits import IMAGES_A_FEATURE, check_pairs, check_points, sizes
from reproflow.foundation.schema_entries import (
    Closed,
    Controls,
    Count,
    Id,
    Likelihood,
    Model,
    Named,
    ProcessName,
    Sampling,
    Seeds,
    Specs,
    Training,
    Written,
    check_specs,
    parse,
)
from reproflow.foundation.specs import Spec

CHANGES_NO_NUMBER = "every value of a configuration is a part of the fingerprint by itself"


def _uniform() -> list[str | Named]:
    return ["uniform"]


class Experiment(Closed):
    """A product of nouns over one process and data set.

    With `dedupe`, cells of one ideal objective that also share path, target and drawing scheme are trained once;
    `merged` (cell -> the cell that stands for it) is filled in when the configuration is resolved. `measures` are those
    to be computed besides the usual ones.
    """

    name: Id
    process: ProcessName
    dataset: Written
    paths: Specs
    times: Specs = Field(default_factory=_uniform)
    weightings: Specs
    targets: Specs | None = None
    drawing: Literal["iid", "stratified", "antithetic", "low_discrepancy"] = "stratified"
    coupling: Written = coupled_pairs_file.INDEPENDENT
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
    measures: list[str] = Field(default_factory=list)

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
            "network": [self.model.network],
        }
        facts = self.facts
        if not facts.solvers:
            raise ValueError(
                f"process {self.process!r} cannot be trained: no sampler, loss or noise is declared for it; "
                f"trained are {', '.join(processes.trained())}"
            )
        if facts.other_targets:
            kinds |= {"target": self.targets or self.output_targets}
        elif self.output_targets != [facts.prediction]:
            raise ValueError(
                f"targets {self.targets} of a {self.process} process: the only one is {facts.prediction!r}; "
                "leave the key out"
            )
        if facts.other_divergences:
            kinds |= {"divergence": [self.divergence]}
        if facts.coupling and not self.pairs_file:
            kinds |= {"coupling": [self.coupling]}
        for kind, written in kinds.items():
            check_specs(kind, written, self.process)
        if not facts.flow and not self.dataset_spec.registered:
            raise ValueError(
                f"dataset {self.dataset_spec.name!r}: a {self.process} process is trained on images, and your own "
                "images cannot be trained on yet; use digits8"
            )
        network = self.model.network_spec
        if not facts.flow and not network.registered:
            raise ValueError(
                f"network {network.name!r}: a {self.process} process is trained with logits over tokens, and your own "
                "networks cannot be trained yet; leave model.network out"
            )
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds {self.seeds} repeat one; give each seed once")
        self._check_compatibility()
        self._check_invariance()
        self._check_controls()
        self._check_measures()
        return self

    @property
    def facts(self) -> processes.Facts:
        """What the process allows."""
        return processes.facts(self.process)

    @property
    def output_targets(self) -> list[str]:
        """What the networks put out, by name: what the process predicts by default, unless asked otherwise."""
        return [str(spec) for spec in self.target_specs]

    @property
    def target_specs(self) -> list[Spec]:
        """The targets, as specs."""
        default: list[str | Named] = [self.facts.prediction]
        return [parse(item, "target") for item in self.targets or default]

    def target_spec(self, name: str) -> Spec:
        """The target of that name, as a spec."""
        return next(spec for spec in self.target_specs if str(spec) == name)

    @property
    def dataset_spec(self) -> Spec:
        """The data set, as a spec; its name stands in keys, files and tables."""
        return parse(self.dataset, "dataset")

    @property
    def pairs_file(self) -> str:
        """The file of given pairs of noise and data, or nothing."""
        given = isinstance(self.coupling, str) and coupled_pairs_file.is_file(self.coupling)
        return str(self.coupling) if given else ""

    @property
    def coupling_name(self) -> str:
        """The coupling as cells and tables name it: as it is written, or a user's name for his own."""
        return self.coupling if isinstance(self.coupling, str) else self.coupling.name

    @property
    def coupling_spec(self) -> Spec:
        """The coupling of data and noise that are drawn: of given pairs, none."""
        return parse(coupled_pairs_file.INDEPENDENT if self.pairs_file else self.coupling, "coupling")

    def _check_measures(self) -> None:
        images = limits.has_images(self.dataset_spec, self.process)
        known = measures.chosen(self.process, images, measures.further())
        possible = [each.name for each in known if not each.facts.usual]
        for name in self.measures:
            if name not in possible:
                raise ValueError(
                    f"measures name {name!r}, which {self.process} cells on {self.dataset_spec.name} do not have "
                    f"besides the usual ones;{did_you_mean(name, possible)} known: {', '.join(possible) or 'none'}"
                )
        if len(set(self.measures)) < len(self.measures):
            raise ValueError(f"measures {self.measures} repeat one; give each once")

    def _check_controls(self) -> None:
        arms = [str(parse(item, "weighting")) for item in self.weightings]
        for name in sorted(self.controls.names - set(arms)):
            raise ValueError(f"controls name {name!r}, which is no weighting here;{did_you_mean(name, arms)}")
        if self.dedupe and self.controls.same:
            raise ValueError("controls.same with dedupe: one network stands for both names; set dedupe: false")

    def _check_compatibility(self) -> None:
        weightings = [parse(item, "weighting") for item in self.weightings]
        try:
            check_coupling(self)
            check_divergence(self, parse(self.divergence, "divergence"), weightings)
            check_solver(self)
            check_experiment(self)
        except UsageError as error:
            raise ValueError(str(error)) from None

    def _check_invariance(self) -> None:
        size = self.training.batch * self.model.width
        if self.training.invariant and (size % 16 or self.training.batch % 16 or self.model.width % 16):
            raise ValueError(
                f"batch {self.training.batch} and width {self.model.width} must be multiples of 16 for results that "
                "do not depend on sharding; change them or set training.invariant: false"
            )


def check_coupling(experiment: Experiment) -> None:
    """Raises `ValueError`, and `UsageError` for a file of pairs that cannot be read."""
    coupling = experiment.coupling_name
    if not experiment.facts.coupling and coupling != coupled_pairs_file.INDEPENDENT:
        raise ValueError(f"coupling {coupling!r}: a {experiment.process} process pairs no noise; leave the key out")
    if experiment.pairs_file:
        coupled_pairs_file.sha256(coupling)
        if _posterior_head(experiment):
            raise ValueError(f"coupling {coupling!r}: x1 of pairs are not on grey levels; use targets: [velocity]")


def check_divergence(experiment: Experiment, divergence: Spec, weightings: Sequence[Spec]) -> None:
    """Raises `ValueError`."""
    shown, targets = f"divergence {str(divergence)!r}", experiment.output_targets
    if str(divergence) == "squared":
        return
    if not experiment.facts.other_divergences:
        loss = experiment.facts.loss
        raise ValueError(f"{shown}: the loss of a {experiment.process} process is the {loss}; leave the key out")
    if divergence.registered and names.find("divergence", divergence.name, experiment.process).domain == "positive":
        raise ValueError(f"{shown} is for positive rates; what a Gaussian network predicts is real")
    if _posterior_head(experiment):
        raise ValueError(f"{shown}: on images the target x1 is a posterior over grey levels; use targets: [velocity]")
    for weighting in weightings:
        on = _said_on(weighting, experiment.process)
        if on and {on} != set(targets):
            raise ValueError(
                f"{shown} with weighting {str(weighting)!r} on {on} and target {', '.join(targets)}: only squared "
                "errors convert (LOSS-5); choose weightings on the target, and one target"
            )


def check_solver(experiment: Experiment) -> None:
    """Raises `ValueError`."""
    solver, allowed_solvers = experiment.sampling.solver, experiment.facts.solvers
    if solver not in allowed_solvers:
        allowed = ", ".join(allowed_solvers)
        raise ValueError(f"sampling.solver {solver!r} does not sample a {experiment.process} process; use {allowed}")
    if solver == "sde" and experiment.sampling.eta > 0 and experiment.coupling_name != coupled_pairs_file.INDEPENDENT:
        raise ValueError(
            f"sampling.solver 'sde' with coupling {experiment.coupling_name!r}: the score that pays for its noise is "
            "-eps/sigma for independent pairs only; use heun, or sampling.eta: 0"
        )


def _posterior_head(experiment: Experiment) -> bool:
    return limits.has_images(experiment.dataset_spec, experiment.process) and "x1" in experiment.output_targets


def _said_on(weighting: Spec, process: str) -> str:
    """What a weighting multiplies, as far as can be told without running a user's file."""
    if weighting.registered:
        return names.find("weighting", weighting.name, process).on or ""
    return weighting.on or (processes.facts(process).prediction if weighting.is_expression else "")


def check_experiment(experiment: Experiment) -> None:
    """Samples, likelihood points, curves and given pairs of one experiment."""
    dataset = experiment.dataset_spec.name
    known = sizes(dataset)
    _check_samples(experiment, known)
    for key in ("points", "ode_points"):
        check_points(key, getattr(experiment.likelihood, key), dataset, known)
    training = experiment.training
    if training.log_every > training.steps:
        raise ValueError(
            f"training.log_every {training.log_every} is more than training.steps {training.steps}: no point of the "
            "learning curve would be written; lower it"
        )
    if experiment.pairs_file:
        check_pairs(experiment.pairs_file, dataset, known)


def _check_samples(experiment: Experiment, known: Mapping[str, int]) -> None:
    least = IMAGES_A_FEATURE * known.get("features", 0)
    if experiment.sampling.n < least:
        raise ValueError(
            f"sampling.n {experiment.sampling.n}: FID on the {known['features']} features of "
            f"{experiment.dataset_spec.name} needs at least {least} samples"
        )
