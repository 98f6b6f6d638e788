"""What is checked of Gaussian objectives and paths: three Gaussians on a line, and eight in the plane."""

from __future__ import annotations

import numpy as np

from reproflow.judge.objectives import gradient_identity, gradient_variance
from reproflow.judge.objectives.gradient_identity import SIDES, Sample, Sides
from reproflow.judge.objectives.gradient_variance import FEATURES, MODELS, Model
from reproflow.judge.objectives.integrability import BOUND_CONSTANTS, OWN, BoundConstant
from reproflow.judge.objectives.numeric_objective import NumericObjective
from reproflow.judge.paths import continuity
from reproflow.judge.paths.continuity import RESIDUALS
from reproflow.judge.paths.derivatives import SPEEDS, Speed
from reproflow.judge.paths.path_values import Course
from reproflow.judge.training.trials import TRIALS, Trial
from reproflow.numerics.quadrature import integral


@SIDES.register("gaussian")
def sides(subject: NumericObjective, at: Sample) -> Sides:
    """The squared error, given x and noise and given the state."""
    return gradient_identity.gaussian_sides(subject, at)


@MODELS.register("gaussian")
def model() -> Model:
    """Eight Gaussians in the plane and a network that is linear in its parameters."""
    return Model(
        f"eight_gaussians; a network linear in its parameters, {FEATURES} tanh features of x and t",
        gradient_variance.of_points,
    )


@BOUND_CONSTANTS.register("gaussian")
def bound_constant() -> BoundConstant:
    """The integral of w dlam to the data.

    This is sufficient, and needed where the data have a density; towards the noise the loss itself falls like exp(lam).
    """
    return BoundConstant(
        lambda subject: integral(lambda t: subject.w(t) * subject.dlam(t), 0.5, 1.0, (OWN, subject.dense[1])),
        "the integral of w dlam towards the data",
        " for data with a density, unless lam is cut",
    )


@RESIDUALS.register("gaussian")
def residual(course: Course, t: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    """The continuity equation of a mixture on the line."""
    return continuity.gaussian_residual(course, t, steps)


@SPEEDS.register("gaussian")
def speed() -> Speed:
    """The size of the velocity target for standardised data."""
    return Speed(
        "alpha'² + sigma'²",
        lambda dalpha, dsigma: dalpha**2 + dsigma**2,
        ", and the conditional loss on the velocity is infinite under uniform t",
    )


@TRIALS.register("gaussian")
def trial() -> Trial:
    """Eight Gaussians in the plane, measured by the likelihood of the flow."""
    settings = {
        "dataset": "eight_gaussians",
        "model": {"width": 64, "depth": 3},
        "training": {"batch": 128, "lr": 5e-3, "t_range": (0.01, 0.99)},
        "likelihood": {"points": 500, "steps": 16},
    }
    return Trial(1500, settings, "a small network on eight_gaussians")
