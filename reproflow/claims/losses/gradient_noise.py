"""Losses: what the noise of a gradient owes to training on conditional targets (LOSS-12)."""

from __future__ import annotations

import torch
from torch import Tensor

from reproflow.claims.policy import STATEMENT, Context, Measurement, claim, told, worst
from reproflow.exact import gradient_moments, three_gaussians
from reproflow.exact.gradient_moments import Draws
from reproflow.theory.paths import forward_path

SAME = "no more than the marginal loss's"
TWICE = "mean of two targets drawn from the posterior"
COMMON = "common (t, x) for independent draws"

TRAINED = "linear"
SHOWN = (0, 100, 800)
RATE = 0.05


@claim(
    "LOSS-12",
    title="conditional targets leave the mean gradient and add to its noise",
    source="004 eq. 6 and what follows it; law of total variance",
    kind="exact",
    tolerance=1e-11,
    cases=three_gaussians.gaussian_paths,
    controls=(SAME, TWICE, COMMON),
)
def cost_of_conditioning(case: str, variant: str, context: Context) -> Measurement:
    """Cov g_CFM = Cov g_FM + 4 E[J Var(u_t(x|Z)|x, t) J'], J = du_theta/dtheta, and E g_CFM = E g_FM.

    Statement: one sample of the conditional loss has the mean gradient of the marginal one, and a larger covariance.
        What it has more depends on the network by its Jacobian only, and does not vanish as the network gets right. For
        gradients of independent draws the covariance of the difference is the sum of both; with common (t, x) it is
        the second term alone.
    Assumptions: E|u_t(x|Z)|² finite; plain gradients, one sample (B of them have 1/B of either covariance).
    Proof idea: given (t, x) the gradient is 2 J (u_theta - u_t(x|Z)), of mean g_FM; law of total variance.
    Computed: three Gaussians on a line, two random networks of 31 parameters. Moments of g_CFM by Gauss-Hermite over
        (component, z, eps), where no posterior occurs; those of g_FM and the second term by the trapezoid rule over x
        with closed posterior moments. The largest relative gap of the mean (to the root of the trace of Cov g_CFM), the
        covariance, and the covariance of the difference. On the linear path the detail has the second term's share of
        that trace at the start of a training on the exact marginal loss, and after 100 and 800 steps of it.
    Source: 004 says that SGD on the two losses is "exactly the same" (E28); the decomposition is written out here.
    Refuted by: a gap above 1e-11. Without the second term; with the mean of two targets drawn from the posterior, which
        has half of it; and with common (t, x) taken for independent draws, the covariances must not agree.
    """
    path = forward_path(case)
    samples, places = gradient_moments.conditional(path), gradient_moments.marginal(path)
    parts = [_gaps(samples, places, three_gaussians.parameters(seed), variant) for seed in range(2)]
    largest = {name: worst(part[name] for part in parts) for name in parts[0]}
    detail = told(largest)
    if case == TRAINED and variant == STATEMENT:
        shares = ", ".join(f"{100 * share(places, theta):.0f}" for theta in training(places).values())
        detail += f"; share of conditioning in training: {shares} %"
    return Measurement(worst(largest.values()), detail=detail)


def _gaps(samples: Draws, places: Draws, theta: Tensor, variant: str) -> dict[str, float]:
    conditional, marginal = (gradient_moments.moments(draws, theta) for draws in (samples, places))
    extra = gradient_moments.conditioning(places, theta)
    used = {SAME: 0.0, TWICE: 0.5}.get(variant, 1.0) * extra
    difference = extra if variant == COMMON else conditional.covariance + marginal.covariance
    return {
        "mean": float((marginal.mean - conditional.mean).norm() / conditional.covariance.trace().sqrt()),
        "covariance": _relative(marginal.covariance + used, conditional.covariance),
        "difference": _relative(2 * marginal.covariance + used, difference),
    }


def _relative(value: Tensor, truth: Tensor) -> float:
    return float((value - truth).norm() / truth.norm())


def share(places: Draws, theta: Tensor) -> float:
    """Of the trace of Cov g_CFM, what the conditional targets put there."""
    extra = gradient_moments.conditioning(places, theta).trace()
    return float(extra / (extra + gradient_moments.moments(places, theta).covariance.trace()))


def training(places: Draws) -> dict[int, Tensor]:
    """The network at the steps `SHOWN` of gradient descent with momentum on the exact marginal loss, by step."""
    theta, kept = three_gaussians.parameters(0), {}
    velocity, scale = torch.zeros_like(theta), 1 / float(places.p @ places.target.square())
    for step in range(SHOWN[-1] + 1):
        if step in SHOWN:
            kept[step] = theta
        velocity = 0.9 * velocity - RATE * scale * gradient_moments.moments(places, theta).mean
        theta = theta + velocity
    return kept
