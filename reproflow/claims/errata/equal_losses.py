"""Errata about losses that are called the same: 004's equal SGD (E28), 002's dropped constant (E29)."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from reproflow.claims.errata.erratum import PRINTED, erratum
from reproflow.claims.policy import Context, Measurement, told, worst
from reproflow.exact import gradient_moments, three_gaussians
from reproflow.exact.minimiser import of_quadratic
from reproflow.foundation import seeds
from reproflow.numerics.arrays import on_arrays
from reproflow.theory.bounds import CERTIFIED, analyse
from reproflow.theory.objective import Objective
from reproflow.theory.paths import forward_path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

TWICE = "mean of two targets drawn from the posterior"
SEES_EPS = "factor that sees eps"
BATCH = 64
STEPS = 50
RATE = 0.05
POINTS = torch.tensor([[-1.5], [-0.5], [0.25], [1.75]], dtype=torch.float64)


@erratum(
    "E28",
    title="SGD on L_cfm has the mean step of SGD on L_fm, not the same steps",
    source="004, 'Why gradients being equal matters'",
    tolerance=1e-11,
    controls=(TWICE,),
)
def equal_descent(form: str, context: Context) -> Measurement:
    """E g_cfm = E g_fm with Cov g_cfm = Cov g_fm + 4 E[J Var(u|x, t) J']; printed: SGD on both is exactly the same.

    Statement: printed, a step on one loss is a step on the other, as a random variable (same law) or as a number (same
        draws of t and x). Right: the gradients of the losses are equal, so a step has the same mean on both; its
        covariance is larger on L_cfm, which is what the targets drawn from the posterior cost (LOSS-12).
    Assumptions: plain SGD with independent draws; linear path; E|u|² finite.
    Computed: three Gaussians on a line, a random network. Means and covariances of one draw's gradient, by Gauss-
        Hermite over (component, z, eps) and by the trapezoid rule over x. And fifty steps of SGD, batch 64, on each
        loss from the same network with the same draws of (t, x). The statistic: the relative gap of the means, and of
        the covariances taken for equal (printed) or with the second term (corrected); printed also the distance that
        the two runs end at, relative to the way that one went.
    Source: 004: "Stochastic gradient descent on L_cfm is exactly the same as on L_fm".
    Refuted by: a gap above 1e-11. Half of the second term, as the mean of two targets would have, must show one.
    """
    path, theta = forward_path("linear"), three_gaussians.parameters(0)
    places = gradient_moments.marginal(path)
    draws, averaged = (gradient_moments.moments(law, theta) for law in (gradient_moments.conditional(path), places))
    extra = {PRINTED: 0.0, TWICE: 0.5}.get(form, 1.0) * gradient_moments.conditioning(places, theta)
    difference = draws.covariance - averaged.covariance - extra
    parts = {
        "mean": float((draws.mean - averaged.mean).norm() / draws.covariance.trace().sqrt()),
        "covariance": float(difference.norm() / draws.covariance.norm()),
    }
    if form == PRINTED:
        parts["end of fifty steps"] = apart()
    return Measurement(worst(parts.values()), detail=told(parts))


def apart() -> float:
    """How far two runs of SGD with common (t, x) end from each other, relative to the first one's way."""
    start = three_gaussians.parameters(0)
    ends = [_descent(start, conditional) for conditional in (True, False)]
    return float((ends[0] - ends[1]).norm() / (ends[0] - start).norm())


def _descent(theta: Tensor, conditional: bool) -> Tensor:
    generator = seeds.generator("E28")
    low, high = three_gaussians.T_RANGE
    for _ in range(STEPS):
        c = forward_path("linear").at(low + (high - low) * torch.rand(BATCH, generator=generator, dtype=torch.float64))
        z = three_gaussians.MIXTURE.sample(BATCH, generator)
        eps = torch.randn(z.shape, generator=generator, dtype=torch.float64)
        x = c.alpha[:, None] * z + c.sigma[:, None] * eps
        closed = three_gaussians.MIXTURE.marginal_velocity(x, c)
        target = c.dalpha[:, None] * z + c.dsigma[:, None] * eps if conditional else closed
        error = three_gaussians.network(theta, x[:, 0], c.t) - target[:, 0]
        theta = theta - RATE * 2 * error @ three_gaussians.jacobian(theta, x[:, 0], c.t) / BATCH
    return theta


@erratum(
    "E29",
    title="what DDPM's loss drops is a weight in t, not a constant",
    source="002, 'Score Matching', DDPM loss",
    tolerance=1e-10,
    controls=(SEES_EPS,),
)
def dropped_constant(form: str, context: Context) -> Measurement:
    """E|s_theta - grad log p_t(x|z)|² = E[|eps_theta - eps|²/sigma_t²]: the dropped 1/sigma_t² depends on t.

    Statement: printed, a constant is dropped, so that the two losses are proportional. Right: a weight is, sigma_t² to
        the one that was there. The losses have one unrestricted minimiser (LOSS-6), and are different objectives:
        gradients of a network are not parallel, and the canonical weight, on which hangs what the loss bounds (ST-11),
        is multiplied by sigma_t².
    Assumptions: sigma > 0; t uniform; eps_theta = -sigma s_theta.
    Computed: on every registered Gaussian path, 1 on the score's error and 1 on that of eps, their canonical weights by
        the package at 199 times. Printed: the largest range of the logarithm of their ratio, 0 if and only if it is
        constant. Corrected: the same of the ratio over sigma_t²; and four points on a line as data, 36 places (t, x),
        the minimisers of both losses, each from two gradients, as eps: their largest distance, relative. The detail
        says on which paths the loss is a sum of bounds with the factor and without.
    Source: 002: "constant 1/sigma_t² is dropped".
    Refuted by: a value above 1e-10. A factor that sees eps as well must move the minimiser.
    """
    names = three_gaussians.gaussian_paths()
    parts = {"range of the ratio": worst(_range(name, form) for name in names)}
    if form != PRINTED:
        parts["minimisers"] = worst(_minimisers_apart(name, form == SEES_EPS) for name in names)
    return Measurement(worst(parts.values()), detail=f"{told(parts)}; {certified()}")


def _objective(path_name: str, on: str) -> Objective:
    return Objective(forward_path(path_name), get_time_law("uniform"), get_weighting("expr:1", on=on))


def _range(path_name: str, form: str) -> float:
    t = torch.linspace(0.005, 0.995, 199, dtype=torch.float64)
    on_score, on_eps = (_objective(path_name, on).weight(t).log() for on in ("score", "eps"))
    ratio = on_eps - on_score
    if form != PRINTED:
        ratio = ratio - 2 * forward_path(path_name)(t)[1].log()
    return float(ratio.max() - ratio.min())


def _minimisers_apart(path_name: str, sees_eps: bool) -> float:
    """Distance of the eps that minimise the score's error and that of eps, given x, relative to the largest."""
    t = torch.linspace(0.1, 0.9, 9, dtype=torch.float64).repeat_interleave(4)
    c = forward_path(path_name).at(t)
    x = (
        c.alpha[:, None] * POINTS.repeat(9, 1)
        + c.sigma[:, None] * torch.tensor([1.0, -0.5, 0.25, -1.5]).repeat(9)[:, None]
    )
    eps = (x - c.alpha[:, None] * POINTS[:, 0]) / c.sigma[:, None]
    joint = (-0.5 * eps.square()).exp()
    factor = eps.square() if sees_eps else torch.ones_like(eps)

    def on_score(s: Tensor) -> Tensor:
        return (joint * factor * (s[:, None] + eps / c.sigma[:, None]).square()).sum()

    def on_eps(e: Tensor) -> Tensor:
        return (joint * (e[:, None] - eps).square()).sum()

    pairs: tuple[Callable[[Tensor], Tensor], ...] = (on_score, on_eps)
    score, noise = (of_quadratic(loss, torch.zeros_like(t)) for loss in pairs)
    return float((-c.sigma * score - noise).abs().max() / noise.abs().max())


@functools.cache
def certified() -> str:
    """On which paths each loss is a sum of bounds, in words."""
    names = {}
    for on in ("score", "eps"):
        kept = [name for name in three_gaussians.gaussian_paths() if _verdict(name, on) == CERTIFIED]
        names[on] = ", ".join(kept) or "no path"
    return f"a sum of bounds with 1/sigma² on {names['score']}, without it on {names['eps']}"


def _verdict(path_name: str, on: str) -> str:
    objective = _objective(path_name, on)
    return analyse(on_arrays(objective.weight), on_arrays(lambda t: objective.path.at(t).lam), points=2001).verdict
