"""Which couplings, divergences and solvers an experiment can be run with, told before anything runs.

Only squared errors convert from one prediction to another (LOSS-5). Under any other divergence a weighting must weigh
the output itself, and the output must be the network's own numbers: not a posterior over grey levels, nor tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reproflow.foundation import names, pairing
from reproflow.foundation.specs import Spec

if TYPE_CHECKING:
    from reproflow.foundation.schema import Experiment


def check_coupling(experiment: Experiment) -> None:
    """Raises `ValueError`, and `UsageError` for a file of pairs that cannot be read."""
    coupling = experiment.coupling
    if experiment.process != "gaussian" and coupling != pairing.INDEPENDENT:
        raise ValueError(f"coupling {coupling!r}: a {experiment.process} process pairs no noise; leave the key out")
    if pairing.is_file(coupling):
        pairing.sha256(coupling)
        if _posterior_head(experiment):
            raise ValueError(f"coupling {coupling!r}: x1 of pairs are not on grey levels; use targets: [velocity]")


def check_divergence(experiment: Experiment, divergence: Spec, weightings: Sequence[Spec]) -> None:
    """Raises `ValueError`."""
    shown, targets = f"divergence {str(divergence)!r}", experiment.output_targets
    if str(divergence) == "squared":
        return
    if experiment.process != "gaussian":
        raise ValueError(f"{shown}: the loss of a {experiment.process} process is the cross-entropy; leave the key out")
    if divergence.registered and names.find("divergence", divergence.name, "gaussian").domain == "positive":
        raise ValueError(f"{shown} is for positive rates; what a Gaussian network predicts is real")
    if _posterior_head(experiment):
        raise ValueError(f"{shown}: on images the target x1 is a posterior over grey levels; use targets: [velocity]")
    for weighting in weightings:
        on = _said_on(weighting)
        if on and {on} != set(targets):
            raise ValueError(
                f"{shown} with weighting {str(weighting)!r} on {on} and target {', '.join(targets)}: only squared "
                "errors convert (LOSS-5); choose weightings on the target, and one target"
            )


def check_solver(experiment: Experiment) -> None:
    """Raises `ValueError`."""
    solver, masked = experiment.sampling.solver, experiment.process == "masked"
    if (solver == "ancestral") != masked:
        allowed = "ancestral" if masked else "euler, heun, rk4, sde"
        raise ValueError(f"sampling.solver {solver!r} does not sample a {experiment.process} process; use {allowed}")
    if solver == "sde" and experiment.sampling.eta > 0 and experiment.coupling != pairing.INDEPENDENT:
        raise ValueError(
            f"sampling.solver 'sde' with coupling {experiment.coupling!r}: the score that pays for its noise is "
            "-eps/sigma for independent pairs only; use heun, or sampling.eta: 0"
        )


def _posterior_head(experiment: Experiment) -> bool:
    images = names.find("dataset", experiment.dataset, experiment.process).images
    return images and "x1" in experiment.output_targets


def _said_on(weighting: Spec) -> str:
    """What a weighting multiplies, as far as can be told without running a user's file."""
    if weighting.registered:
        return names.find("weighting", weighting.name, "gaussian").on or ""
    return weighting.on or ("velocity" if weighting.is_expression else "")
