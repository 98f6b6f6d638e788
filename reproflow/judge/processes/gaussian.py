"""What is checked of Gaussian objectives and paths: three Gaussians on a line, and eight in the plane."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from reproflow.exact import conditional_losses, three_gaussians
from reproflow.exact.mixture import Mixture
from reproflow.judge.levels.schedule import SCHEDULES, Kind, Levels, Reading
from reproflow.judge.levels.weights import CHAINS, Chain
from reproflow.judge.objectives import gradient_variance
from reproflow.judge.objectives.gradient_identity import SIDES, Sample, Sides
from reproflow.judge.objectives.gradient_variance import FEATURES, MODELS, Model
from reproflow.judge.objectives.integrability import BOUND_CONSTANTS, OWN, BoundConstant
from reproflow.judge.objectives.numeric_objective import NumericObjective
from reproflow.judge.paths.continuity import ACROSS, RESIDUALS
from reproflow.judge.paths.derivatives import SPEEDS, Speed
from reproflow.judge.paths.path_values import Course
from reproflow.judge.training.trials import TRIALS, Trial
from reproflow.numerics.differences import derivative
from reproflow.numerics.quadrature import integral
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.targets import get_target


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
        lambda subject, times: integral(
            lambda t: subject.w(t) * subject.dlam(t), 0.5, 1.0, (OWN, subject.dense[1]), times
        ),
        "the integral of w dlam towards the data",
        " for data with a density, unless lam is cut",
    )


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


@SIDES.register("gaussian")
def sides(subject: NumericObjective, at: Sample) -> Sides:
    """Parameters, and the two losses at every time (N,) under the weight and under the control's."""
    c, size = _scaled(subject.objective.path.at(at.t), subject.output)
    theta = three_gaussians.parameters(0).requires_grad_()
    f = partial(three_gaussians.network, theta)
    problems = [
        conditional_losses.Regression(get_target("velocity"), weight=weight)
        for weight in (conditional_losses.ONE, _of_data())
    ]
    return theta, [(size * each.conditional(f, c), size * each.marginal(f, c)) for each in problems]


def _scaled(c: Coefficients, output: str) -> tuple[Coefficients, Tensor]:
    """Coefficients of unit size whose velocity is the target over k = sqrt(a² + b²), and k² (N,)."""
    a, b = get_target(output).coefficients(c)
    state, size = torch.hypot(c.alpha, c.sigma), torch.hypot(a, b)
    return Coefficients(c.t, c.alpha / state, c.sigma / state, a / size, b / size, c.process), size.square()


def _of_data() -> conditional_losses.Weight:
    """The control's weight, of component m and noise: w_m + (1 + eps)², with its posterior mean."""
    by_component = conditional_losses.of_component()

    def mean(x: Tensor, c: Coefficients) -> Tensor:
        zero, one = torch.zeros_like(c.t), torch.ones_like(c.t)
        first = three_gaussians.MIXTURE.target_mean(x, c, zero, one)[:, 0]
        return by_component.mean(x, c) + (1 + first).square() + three_gaussians.MIXTURE.target_variance(x, c, zero, one)

    return conditional_losses.Weight(lambda nodes: by_component.at(nodes) + (1 + nodes.eps).square(), mean)


MIXTURE = Mixture(
    torch.tensor([0.35, 0.4, 0.25], dtype=torch.float64),
    torch.tensor([[-1.25], [0.5], [1.5]], dtype=torch.float64),
    torch.tensor([0.5, 0.25, 0.375], dtype=torch.float64),
)


@RESIDUALS.register("gaussian")
def residual(course: Course, t: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    """|dp/dt + d(p u)/dx| over x from end to end of the mixture, largest at each of the times (T,), and its error."""
    alpha, sigma = course.values(t)
    variance = alpha**2 * MIXTURE.stds.numpy()[:, None] ** 2 + sigma**2
    if (bad := ~((variance > 0) & np.isfinite(variance)).all(0)).any():
        return np.full(len(t), np.nan), np.full(len(t), np.inf), f"x_t has no density at t = {t[bad][0]:.4g}"
    means, reach = alpha * MIXTURE.means.numpy(), 4 * np.sqrt(variance.max(0))
    x = np.linspace(means.min(0) - reach, means.max(0) + reach, ACROSS).ravel()
    values, slopes = np.tile(course.values(t), ACROSS), np.tile(course.slopes(t), ACROSS)
    widths = np.tile(np.sqrt(variance.min(0)), ACROSS)
    change, first = derivative(lambda t: _density(course.values(t), x), np.tile(t, ACROSS), np.tile(steps, ACROSS))
    moved, second = derivative(lambda x: _flux(values, slopes, x), x, widths / 2)
    change, moved, error, p = (
        each.reshape(ACROSS, len(t)) for each in (change, moved, first + second, _density(values, x))
    )
    scale = np.abs(change).max(0) + np.abs(moved).max(0) + p.max(0)
    return np.abs(change + moved).max(0) / scale, error.max(0) / scale, ""


def _density(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    return MIXTURE.log_density(torch.from_numpy(x)[:, None], _coefficients(values, values)).exp().numpy()


def _flux(values: np.ndarray, slopes: np.ndarray, x: np.ndarray) -> np.ndarray:
    """p u with u the posterior average of alpha' x1 + sigma' eps."""
    column = torch.from_numpy(x)[:, None]
    velocity = MIXTURE.marginal_velocity(column, _coefficients(values, slopes))[:, 0]
    return _density(values, x) * velocity.numpy()


def _coefficients(values: np.ndarray, slopes: np.ndarray) -> Coefficients:
    alpha, sigma, dalpha, dsigma = (torch.from_numpy(np.array(row)) for row in (*values, *slopes))
    return Coefficients(torch.zeros_like(alpha), alpha, sigma, dalpha, dsigma, "gaussian")


def _unit_variance(log_kept: np.ndarray) -> Reading:
    """Levels of alpha² + sigma² = 1 from log alpha²."""
    lost = -np.expm1(log_kept)
    return Reading(np.exp(0.5 * log_kept), np.sqrt(lost), log_kept - np.log(lost), 1 / lost)


def _of_betas(betas: np.ndarray) -> Reading:
    # Every beta is off by the same share at most, and so are 1 - alpha² and the step of lam: no digits cancel.
    return replace(_unit_variance(np.cumsum(np.log1p(-betas))), spread=np.zeros_like(betas))


def _of_log_snrs(lam: np.ndarray) -> Reading:
    return Reading(np.exp(-0.5 * np.logaddexp(0, -lam)), np.exp(-0.5 * np.logaddexp(0, lam)), lam, np.abs(lam))


@SCHEDULES.register("gaussian")
def schedules() -> dict[str, Kind]:
    """The tables that diffusion codes hold; betas accumulate from the data, so they start there."""
    return {
        "betas": Kind(_of_betas, 0.0, 1.0, "betas"),
        "alphas_cumprod": Kind(lambda kept: _unit_variance(np.log(kept)), 0.0, 1.0, "cumulated alphas"),
        "sigmas": Kind(
            lambda s: Reading(np.ones_like(s), s, -2 * np.log(s), np.full_like(s, 2.0)),
            0.0, np.inf, "sigmas of x1 + sigma eps",
        ),
        "flow_sigmas": Kind(
            lambda s: Reading(1 - s, s, 2 * (np.log1p(-s) - np.log(s)), 2 / (1 - s), (1.0, -1.0)),
            0.0, 1.0, "sigmas of (1 - sigma) x1 + sigma eps",
        ),
        "log_snr": Kind(_of_log_snrs, -np.inf, np.inf, "log-SNRs"),
    }  # fmt: skip


def _steps_of_snr(levels: Levels) -> np.ndarray:
    """2 / (SNR_{i-1} - SNR_i), (N,): NaN at the first level, and at the one after data without noise."""
    lam = levels.lam
    found = -2 / (np.exp(lam[:-1]) * np.expm1(np.diff(lam)))
    return np.concatenate([[np.nan], np.where(np.isinf(lam[:-1]), np.nan, found)])


@CHAINS.register("gaussian")
def chain() -> Chain:
    """Half the fall of the SNR on the error of x1; the best linear denoiser of data N(0, s²) has s²/(1 + s² SNR)."""
    return Chain("x1", _steps_of_snr, lambda levels, s: s**2 / (1 + s**2 * np.exp(levels.lam)))
