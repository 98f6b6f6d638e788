"""What is checked of masked objectives and paths: tokens of three letters, and digits as tokens."""

from __future__ import annotations

import numpy as np

from reproflow.exact import four_tokens
from reproflow.judge.objectives import gradient_identity, gradient_variance
from reproflow.judge.objectives.gradient_identity import SIDES, Sample, Sides
from reproflow.judge.objectives.gradient_variance import MODELS, Model
from reproflow.judge.objectives.integrability import BOUND_CONSTANTS, BoundConstant
from reproflow.judge.objectives.numeric_objective import NumericObjective
from reproflow.judge.paths import continuity
from reproflow.judge.paths.continuity import RESIDUALS
from reproflow.judge.paths.derivatives import SPEEDS, Speed
from reproflow.judge.paths.path_values import Course
from reproflow.judge.training.trials import TRIALS, Trial
from reproflow.numerics.quadrature import integral


@SIDES.register("masked")
def sides(subject: NumericObjective, at: Sample) -> Sides:
    """The cross-entropy of hidden tokens, given x and given the state."""
    return gradient_identity.masked_sides(subject, at)


@MODELS.register("masked")
def model() -> Model:
    """Four tokens and a network that is linear in its parameters."""
    return Model(
        f"four tokens of three letters; a network linear in its parameters, {four_tokens.HIDDEN} tanh features",
        gradient_variance.of_tokens,
    )


@BOUND_CONSTANTS.register("masked")
def bound_constant() -> BoundConstant:
    """The integral of w dalpha."""
    return BoundConstant(
        lambda subject: integral(lambda t: subject.w(t) * subject.dalpha(t), 0.0, 1.0, subject.dense),
        "the integral of w dalpha",
    )


@RESIDUALS.register("masked")
def residual(course: Course, t: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    """The master equation of one token."""
    return continuity.masked_residual(course, t, steps)


@SPEEDS.register("masked")
def speed() -> Speed:
    """The rate at which tokens are shown."""
    return Speed("|alpha'|", lambda dalpha, dsigma: np.abs(dalpha))


@TRIALS.register("masked")
def trial() -> Trial:
    """Digits as tokens, measured by the bound."""
    settings = {
        "dataset": "digits8",
        "model": {"width": 128, "depth": 2},
        "training": {"batch": 64, "lr": 4e-3},
        "likelihood": {"points": 450, "repeats": 1},
        "sampling": {"solver": "ancestral"},
    }
    caution = "a small network on digits8, measured by the bound that the ELBO's weighting minimises"
    return Trial(400, settings, caution)
