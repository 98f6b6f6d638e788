"""Generator matching in linear coordinates: data prediction for flows (BIL-7), data and noise for diffusion (BIL-8)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from reproflow.claims.losses.minimisers import wild
from reproflow.claims.policy import Context, Measurement, claim, told, worst
from reproflow.exact import conditional_losses, three_gaussians
from reproflow.exact.empirical import posterior_mean
from reproflow.exact.matching import Problem
from reproflow.foundation import registry, seeds
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.divergences import get_divergence
from reproflow.theory.objective import get_objective
from reproflow.theory.paths import forward_path
from reproflow.theory.targets import convert, get_target

Map = Callable[[Tensor], Tensor]

DATA = torch.tensor([[-1.5, 0.5], [0.0, 1.0], [1.0, -0.5], [2.0, 1.5], [-0.5, -1.0]], dtype=torch.float64)
TIMES = 9
DRAWS = 16

POLAR = "direction and speed predicted"
SINH = "asinh of the velocity predicted"
L1 = "L1 loss"
DATA_POINT = "x1"
FRAME = "moving frame"


@dataclass(frozen=True)
class Chart:
    """Coordinates y of a velocity u at the nodes (.., N, D), and back; linear in u for `x1` and `moving frame`."""

    of: Map
    back: Map


def _cases() -> tuple[str, ...]:
    return (*(f"{DATA_POINT}, {path}" for path in three_gaussians.gaussian_paths()), f"{FRAME}, linear")


@claim(
    "BIL-7",
    title="a generator linear in what is predicted may be learnt by any Bregman loss on the prediction",
    source="000, abstract, Theorem 4.8",
    kind="exact",
    tolerance=1e-12,
    cases=_cases,
    controls=(POLAR, SINH, L1),
)
def linear_prediction(case: str, variant: str, context: Context) -> Measurement:
    """u_t(x|x1) = A_{t,x} F + b_{t,x}: grad E D(F^Z, F_hat) = grad E D(E[F^Z|x], F_hat), with A E[F^Z|x] + b = u_t(x).

    Statement: if the conditional velocity is affine in F (F = x1, or the velocity in a frame that moves with t and x),
        any Bregman divergence of F has equal conditional and marginal gradients, and its minimiser gives the marginal
        velocity. The squared error of x1 is that of the velocity in the metric (A A')^-1, so the factor 1/(1-t)² of
        the linear path is a choice. In coordinates that are not linear in the velocity neither holds.
    Assumptions: A invertible; the divergence convex and finite.
    Proof idea: a Bregman gradient is affine in the target; affine maps commute with the posterior mean.
    Computed: five points in the plane as data, 144 places (t, x) drawn from the path, t in [0.1, 0.9]; a random
        prediction. For every registered Bregman divergence of real targets: relative gap of the gradients of the
        conditional loss and of the loss at the coordinates of the marginal velocity, itself the posterior average of
        the conditional velocities. And the velocity of the posterior mean of F against the marginal one; for x1, with
        that mean by the package's attention, the metric identity through `convert` as well. The largest counts.
    Source: 000, abstract ("linear parameterization ... can depend on both X_t and t"; "X_1-predictor schemes").
    Refuted by: a gap above 1e-12. Predicting direction and log-speed, or asinh of the velocity, with the squared error
        in these coordinates, and the L1 loss of x1 must show one.
    """
    kind, path_name = case.split(", ")
    problem, c, conditional = flow_problem(path_name)
    chart = _chart(variant if variant in (POLAR, SINH) else kind, problem, c)
    marginal = problem.marginal
    in_chart = Problem("gaussian", "real", problem.t, problem.x, problem.joint, chart.of(conditional))
    losses = {L1: ("l1",), POLAR: ("squared",), SINH: ("squared",)}.get(variant) or _bregman()
    parts = {name: gradient_gap(in_chart, chart.of(marginal[:, None])[:, 0], name) for name in losses}
    mean = chart.back(in_chart.marginal[:, None])[:, 0]
    parts["minimiser"] = float((mean - marginal).abs().max() / marginal.abs().max())
    if kind == DATA_POINT:
        parts["attention"] = _attended(problem.x, c, marginal)
        parts["metric"] = _metric(problem.x, c)
    return Measurement(worst(parts.values()), detail=told(parts))


def flow_problem(path_name: str) -> tuple[Problem, Coefficients, Tensor]:
    """Places of the path with the exact posterior of five points, targets the conditional velocities (N, Z, D)."""
    generator = seeds.generator("BIL-7")
    t = torch.linspace(0.1, 0.9, TIMES, dtype=torch.float64).repeat_interleave(DRAWS)
    c = forward_path(path_name).at(t)
    chosen = torch.randint(len(DATA), (len(t),), generator=generator)
    noise = torch.randn(len(t), 2, generator=generator, dtype=torch.float64)
    x = c.alpha[:, None] * DATA[chosen] + c.sigma[:, None] * noise
    eps = (x[:, None] - c.alpha[:, None, None] * DATA) / c.sigma[:, None, None]
    velocity = c.dalpha[:, None, None] * DATA + c.dsigma[:, None, None] * eps
    return Problem("gaussian", "real", t, x, (-0.5 * eps.square().sum(2)).softmax(1), velocity), c, velocity


def _bregman() -> tuple[str, ...]:
    found = [get_divergence(entry.name) for entry in registry.entries("divergence")]
    return tuple(each.name for each in found if each.bregman and each.domain == "real")


def gradient_gap(problem: Problem, marginal: Tensor, name: str) -> float:
    """Relative gap of the gradients of conditional loss and loss at `marginal` (N, D), in a random prediction."""
    loss, weight = get_divergence(name), torch.ones(len(problem.t), dtype=torch.float64)
    noise = torch.randn(marginal.shape, generator=seeds.generator("BIL-7", "prediction"), dtype=torch.float64)
    prediction = (problem.marginal + 0.5 * noise).requires_grad_()
    conditional = problem.conditional_loss(prediction, loss, weight)
    averaged = (problem.joint.sum(1) * loss(marginal, prediction, problem.t, problem.x)).sum()
    g_conditional, g_marginal = (torch.autograd.grad(each, prediction)[0] for each in (conditional, averaged))
    return float((g_conditional - g_marginal).norm() / g_conditional.norm())


def _chart(name: str, problem: Problem, c: Coefficients) -> Chart:
    if name == POLAR:
        return Chart(_polar, lambda y: y[..., 1:].exp() * torch.cat([y[..., :1].cos(), y[..., :1].sin()], -1))
    if name == SINH:
        return Chart(torch.asinh, torch.sinh)
    x = problem.x[:, None]
    if name == FRAME:
        turn = _frame(problem.t, problem.x)
        return Chart(lambda u: (u - x) @ turn.mT, lambda y: y @ torch.linalg.inv(turn).mT + x)
    slope = (c.dsigma / c.sigma)[:, None, None]
    scale = c.dalpha[:, None, None] - slope * c.alpha[:, None, None]
    return Chart(lambda u: (u - slope * x) / scale, lambda y: scale * y + slope * x)


def _polar(u: Tensor) -> Tensor:
    """Direction, as an angle, and log-speed, (.., 2)."""
    return torch.stack([torch.atan2(u[..., 1], u[..., 0]), 0.5 * u.square().sum(-1).log()], -1)


def _frame(t: Tensor, x: Tensor) -> Tensor:
    """A^-1 of a frame that turns with x and stretches with t, (N, 2, 2)."""
    angle = x.sum(1)
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(-1, 2, 2)
    return turn @ torch.diag_embed(torch.stack([1 + t, 2 - t], 1)) + 0.3 * torch.eye(2, dtype=t.dtype)


def _attended(x: Tensor, c: Coefficients, marginal: Tensor) -> float:
    """Distance from the marginal velocity of the one that the package's posterior mean of x1 implies, relative."""
    implied = convert(posterior_mean(x, DATA, c), x, c, get_target("x1"), get_target("velocity"))
    return float((implied - marginal).abs().max() / marginal.abs().max())


def _metric(x: Tensor, c: Coefficients) -> float:
    """Relative distance of |x1 error|² from |u error|²/a² with A = a I, a = alpha' - alpha sigma'/sigma."""
    x1, other = torch.randn(2, *x.shape, generator=seeds.generator("BIL-7", "metric"), dtype=torch.float64)
    u, u_other = (convert(each, x, c, get_target("x1"), get_target("velocity")) for each in (x1, other))
    a = c.dalpha - c.alpha * c.dsigma / c.sigma
    error = (x1 - other).square().sum(1)
    return float(((u - u_other).square().sum(1) / a**2 / error - 1).abs().max())


ON_EPS = "weight depends on eps"
HOLE = "w = 0 on (0.3, 0.5)"
SCALED = "coefficient read off another prediction"


WILD = "wild: 1e-6 to 1e6 and back every 0.16"


def _weightings() -> tuple[str, ...]:
    return (*(entry.name for entry in registry.entries("weighting", "gaussian")), WILD)


@claim(
    "BIL-8",
    title="diffusion: data or noise prediction under any weight that is positive and a function of time alone",
    source="000, abstract; 002",
    kind="exact",
    tolerance=1e-12,
    cases=_weightings,
    controls=(ON_EPS, HOLE, SCALED),
)
def diffusion_prediction(case: str, variant: str, context: Context) -> Measurement:
    """E[w(t) |eps - eps_hat|²] = E[w(t) SNR |x1 - x1_hat|²] has the marginal gradient, and is identified, if w > 0.

    Statement: the drift u + g²/2 grad log p of a diffusion is affine in x1 and in eps, so predicting either one under
        any weight w(t) > 0 is generator matching: conditional and marginal gradients are equal, and the minimiser has
        the marginal drift. DDPM's dropped 1/sigma² is one such weight.
    Assumptions: w(t) > 0 for almost every t; E[w |eps|²] finite on the times used, [0.001, 0.999].
    Proof idea: at one x velocity and score are affine in eps, and in x1, so BIL-7 applies; a weight in t is a factor on
        its divergence.
    Computed: on the linear path and uniform times. At each t the weight cancels in the gap of gradients, so that all
        cases are one test of it, a weight like no other included; what a weighting adds of its own is whether it
        vanishes somewhere and its conversion to x1. For the weighting: the relative gap of the gradients of
        a network predicting eps, and of one predicting x1 (LOSS-1's quadratures, the coefficient converted by LOSS-5);
        the relative distance of the two losses of one prediction, said as eps and as x1; the share of times at
        which the coefficient is zero; the drift of the posterior means of eps and x1 against u + g²/2 grad log p in
        closed form, g = 1. The largest counts.
    Source: 000, abstract ("x_0-prediction schemes", time-dependent weighting); 002, DDPM's loss.
    Refuted by: more than 1e-12. A weight times eps² breaks the gradients, one that is zero on (0.3, 0.5) leaves
        predictions there free, and the eps coefficient put on x1 is another loss.
    """
    parts = {
        "gradient": worst(_weighted_gap(case, name, variant) for name in ("eps", "x1")),
        "two predictions": _same_loss(case, variant),
        "zero set": _zero_set(case, variant),
        "drift": _drift_gap(),
    }
    said = told(parts)
    return Measurement(worst(parts.values()), detail=said)


def _on(case: str, name: str, c: Coefficients, variant: str) -> Tensor:
    """The weighting's coefficient on the error of a prediction under uniform times on the linear path, of t's shape."""
    on_eps = wild(c.t) if case == WILD else get_objective("linear", "uniform", case).coefficient(c.t)
    on_eps = torch.where((c.t > 0.3) & (c.t < 0.5), 0.0, on_eps) if variant == HOLE else on_eps
    return on_eps if variant == SCALED else on_eps / get_target(name).error_factor(c)


def _weighted_gap(case: str, name: str, variant: str) -> float:
    c, conditional, marginal = _gradients(name, variant == ON_EPS)
    weights = _on(case, name, c, variant)
    return float((weights @ (conditional - marginal)).norm() / (weights @ conditional).norm())


@functools.cache
def _gradients(name: str, on_eps: bool) -> tuple[Coefficients, Tensor, Tensor]:
    """The two gradients of a network that predicts `name` at each quadrature time, with its weight, each (T, P)."""
    weight = conditional_losses.of_noise() if on_eps else conditional_losses.ONE
    return conditional_losses.gradients(
        conditional_losses.Regression(get_target(name), weight=weight), forward_path("linear"), 0
    )


def _same_loss(case: str, variant: str) -> float:
    """Largest relative distance of the weighted errors of one random prediction, said as x1 and as eps."""
    t = torch.linspace(0.02, 0.98, 49, dtype=torch.float64)
    c = forward_path("linear").at(t)
    x1, eps, x1_hat = torch.randn(3, len(t), 8, generator=seeds.generator("BIL-8"), dtype=torch.float64)
    x = c.alpha[:, None] * x1 + c.sigma[:, None] * eps
    eps_hat = convert(x1_hat, x, c, get_target("x1"), get_target("eps"))
    errors = {"x1": (x1_hat - x1).square().sum(1), "eps": (eps_hat - eps).square().sum(1)}
    on_x1, on_eps = (_on(case, name, c, variant) * error for name, error in errors.items())
    return float(torch.where(on_eps == on_x1, 0.0, on_x1 / on_eps - 1).abs().max())


def _zero_set(case: str, variant: str) -> float:
    """Share of the times at which the coefficient is zero."""
    t = (torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000
    return float((_on(case, "eps", forward_path("linear").at(t), variant) == 0).double().mean())


@functools.cache
def _drift_gap() -> float:
    """Distance from u + grad log p / 2 of the drifts that the posterior means of eps and of x1 give, relative."""
    x, _ = three_gaussians.line(101, 4.0)
    gaps = []
    for t in torch.linspace(0.1, 0.9, 9, dtype=torch.float64):
        c = forward_path("linear").at(t)
        drift = three_gaussians.MIXTURE.marginal_velocity(x, c) + 0.5 * three_gaussians.MIXTURE.score(x, c)
        for name in ("eps", "x1"):
            mean = three_gaussians.MIXTURE.target_mean(x, c, *get_target(name).coefficients(c))
            u, s = (convert(mean, x, c, get_target(name), get_target(to)) for to in ("velocity", "score"))
            gaps.append(float((u + 0.5 * s - drift).abs().max() / drift.abs().max()))
    return worst(gaps)
