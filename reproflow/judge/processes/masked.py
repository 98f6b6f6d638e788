"""What is checked of masked objectives and paths: tokens of three letters, and digits as tokens."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from reproflow.exact import four_tokens
from reproflow.foundation import seeds
from reproflow.judge.levels.schedule import SCHEDULES, Kind, Levels, Reading
from reproflow.judge.levels.weights import CHAINS, Chain
from reproflow.judge.objectives import gradient_variance
from reproflow.judge.objectives.gradient_identity import SIDES, Sample, Sides
from reproflow.judge.objectives.gradient_variance import MODELS, Model
from reproflow.judge.objectives.integrability import BOUND_CONSTANTS, BoundConstant
from reproflow.judge.objectives.numeric_objective import NumericObjective
from reproflow.judge.paths.continuity import RESIDUALS, TOKENS
from reproflow.judge.paths.derivatives import SPEEDS, Speed
from reproflow.judge.paths.path_values import Course
from reproflow.judge.training.trials import TRIALS, Trial
from reproflow.numerics.differences import derivative
from reproflow.numerics.quadrature import integral
from reproflow.theory.coefficients import Coefficients


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
        lambda subject, times: integral(lambda t: subject.w(t) * subject.dalpha(t), 0.0, 1.0, subject.dense, times),
        "the integral of w dalpha",
    )


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


@SIDES.register("masked")
def sides(subject: NumericObjective, at: Sample) -> Sides:
    """The same for the cross-entropy of the hidden tokens."""
    c, theta = subject.objective.path.at(at.t), _token_parameters().requires_grad_()
    weights = torch.ones(len(four_tokens.data()[0]), dtype=torch.float64), _data_weight()
    return theta, [(_conditional(theta, c, each), _marginal(theta, c, each)) for each in weights]


def _conditional(theta: Tensor, c: Coefficients, of_data: Tensor) -> Tensor:
    """E[w CE] at each time, over data and masks: (N,)."""
    x, z, index, q = four_tokens.pairs()
    chosen = _log_mu(theta, z, c.t).gather(-1, x[..., None].expand(len(c.t), -1, -1, 1))[..., 0]
    entropy = -(chosen * (z == four_tokens.LETTERS)).sum(-1)
    return (four_tokens.seen(z, c.alpha, c.sigma) * q * of_data[index] * entropy).sum(1)


def _marginal(theta: Tensor, c: Coefficients, of_data: Tensor) -> Tensor:
    """E[E[w|z] CE(posterior, network)] at each time, over states: (N,)."""
    z, shown, posterior = four_tokens.states()
    x, q = four_tokens.data()
    agrees = ((z[:, None] == x) | (z[:, None] == four_tokens.LETTERS)).all(-1)
    mean = (agrees * q * of_data).sum(1) / shown
    cross = -(posterior * _log_mu(theta, z, c.t)).sum(-1)
    entropy = (cross * (z == four_tokens.LETTERS)).sum(-1)
    return (four_tokens.seen(z, c.alpha, c.sigma) * shown * mean * entropy).sum(1)


def _log_mu(theta: Tensor, z: Tensor, t: Tensor) -> Tensor:
    """Log probabilities of a network that sees z (S, L) and t (N,): (N, S, L, V)."""
    features = four_tokens.features(z)
    by_state, by_time = theta.split([features.shape[1], 2])
    shift = t[:, None] * by_time[0] + t[:, None].square() * by_time[1]
    logits = (features @ by_state) + shift[:, None]
    return logits.unflatten(-1, (four_tokens.LENGTH, four_tokens.LETTERS)).log_softmax(-1)


def _token_parameters() -> Tensor:
    generator = seeds.generator("token network")
    return torch.randn(
        four_tokens.HIDDEN + 3, four_tokens.LENGTH * four_tokens.LETTERS, generator=generator, dtype=torch.float64
    )


def _data_weight() -> Tensor:
    """The control's weight of every sequence, from 1/4 to 2."""
    return torch.from_numpy(np.linspace(0.25, 2.0, len(four_tokens.data()[0])) ** 2)


@RESIDUALS.register("masked")
def residual(course: Course, t: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    """|dp/dt - what the rates move| over the states, largest at each of the times (T,), and its error."""
    (alpha, sigma), (dalpha, _) = course.values(t), course.slopes(t)
    change, error = derivative(lambda t: _law(course.values(t)), t, steps)
    with np.errstate(all="ignore"):
        rates = np.where(dalpha == 0, 0.0, dalpha / sigma) * TOKENS
        gain = np.concatenate([sigma * rates, -(sigma * rates).sum(0, keepdims=True)])
    scale = 1 + np.abs(gain).max(0)
    fault = ""
    if (bad := ~(rates >= 0).all(0)).any():
        fault = f"the rate alpha'/sigma at which tokens are shown is negative at t = {t[bad].min():.4g}"
    if (bad := ~((alpha >= 0) & (sigma >= 0))).any():
        fault = f"alpha and sigma are no probabilities at t = {t[bad].min():.4g}"
    return np.abs(change - gain).max(0) / scale, error.max(0) / scale, fault


def _law(values: np.ndarray) -> np.ndarray:
    """The probabilities of three values and the mask, (4, N)."""
    return np.concatenate([TOKENS * values[0], values[1:]])


@SCHEDULES.register("masked")
def schedules() -> dict[str, Kind]:
    """Of a chain that masks: the rate at which a token is masked in a step, or how likely it is still shown."""

    def shown(log_kept: np.ndarray) -> Reading:
        alpha, sigma = np.exp(log_kept), -np.expm1(log_kept)
        return Reading(alpha, sigma, log_kept - np.log(sigma), 1 / sigma)

    return {
        "betas": Kind(lambda betas: shown(np.cumsum(np.log1p(-betas))), 0.0, 1.0, "rates of masking"),
        "alphas_cumprod": Kind(lambda kept: shown(np.log(kept)), 0.0, 1.0, "probabilities of being shown"),
    }


def _steps_of_masking(levels: Levels) -> np.ndarray:
    """(1 - alpha_i) / (alpha_{i-1} - alpha_i), (N,): NaN at the first level."""
    return np.concatenate([[np.nan], levels.sigma[1:] / -np.diff(levels.alpha)])


@CHAINS.register("masked")
def chain() -> Chain:
    """The share of the masked tokens that a step shows, on their cross-entropy; 1 - alpha of all tokens is masked."""
    return Chain("ce", _steps_of_masking, lambda levels, s: levels.sigma)
