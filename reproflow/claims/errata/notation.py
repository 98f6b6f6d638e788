"""Errata in what 002 writes: a sign in the DDPM loss (E02), and names, domains and limits that do not run (E25)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from reproflow.claims.errata import defects
from reproflow.claims.errata.erratum import PRINTED, erratum
from reproflow.claims.policy import Context, Measurement, worst
from reproflow.exact import three_gaussians
from reproflow.foundation import seeds
from reproflow.numerics import gauss_rules
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.paths import forward_path
from reproflow.theory.processes.gaussian import blend
from reproflow.theory.targets import get_target
from reproflow.theory.times import get_time_law

INTERVAL = "interval reversed"
DOMAIN = "scalar domain"
ARGUMENT = "x for x_t"
SIGMA = "sigma_t for two things"
DIMENSION = 3
BATCH = 8
NODES = 120
"""In each of z and eps: 64 leave the gain off by 1e-8 at t = 0.8."""


@erratum("E02", title="the DDPM loss is |eps_theta - eps|²", source="002, 'Score Matching', DDPM loss", tolerance=1e-8)
def ddpm_sign(form: str, context: Context) -> Measurement:
    """With eps_theta = -sigma s_theta the loss is E|eps_theta - eps|²; printed with +, which learns minus the score.

    Statement: the loss is minimised by the noise predictor whose s_theta = -eps_theta/sigma is the score. With the
        printed sign it is minimised by -E[eps|x], and s_theta is minus the score: a sampler built on it goes away from
        the data. The conditional score loss above it, |sigma s_theta + eps|², has its + rightly; the sign of eps
        changes with the substitution.
    Assumptions: sigma > 0.
    Computed: in the family s_theta = g grad log p_t, each loss is a parabola in g, whose vertex follows from its values
        at -1, 0 and 1; expectations over (component, z, eps) of three Gaussians on a line by Gauss-Hermite, where no
        posterior occurs. The statistic is the largest |g - 1| over the linear path, 003's VP path and three t.
    Source: 002, DDPM loss: "|eps_theta(mu_t(z) + sigma_t eps) + eps|^2" with "-sigma_t s_theta = eps_theta".
    Refuted by: |g - 1| above 1e-8 (printed: g = -1).
    """
    sign = 1 if form == PRINTED else -1
    times = torch.tensor([0.2, 0.5, 0.8], dtype=torch.float64)
    gains = [_fitted_gain(forward_path(name).at(t), sign) for name in ("linear", "vp_sigma_t") for t in times]
    low, high = min(gains), max(gains)
    return Measurement(
        worst(abs(gain - 1) for gain in gains), detail=f"fitted score is {low:.6g} .. {high:.6g} times the score"
    )


def _fitted_gain(c: Coefficients, sign: int) -> float:
    """The g that minimises E|-sigma g score(x) + sign eps|² at one time."""
    nodes, weights = gauss_rules.tensors(gauss_rules.hermite(NODES))
    z = three_gaussians.MIXTURE.means + three_gaussians.MIXTURE.stds[:, None] * nodes
    joint = three_gaussians.MIXTURE.weights[:, None, None] * weights[:, None] * weights
    x = c.alpha * z[:, :, None] + c.sigma * nodes
    score = three_gaussians.MIXTURE.score(x.reshape(-1, 1), c).view_as(x)
    low, zero, high = (float((joint * (-c.sigma * g * score + sign * nodes) ** 2).sum()) for g in (-1.0, 0.0, 1.0))
    return (low - high) / (2 * (low + high - 2 * zero))


@erratum(
    "E25",
    title="misprints of an interval and a domain that stop the procedure",
    source="002, 'Score Matching'",
    tolerance=0.0,
    controls=(INTERVAL, DOMAIN),
    textual={
        ARGUMENT: "step 5 of the procedure has s_t(x) where step 4 sets x_t; no x is defined",
        SIGMA: "sigma_t is the path's standard deviation and the SDE's diffusion coefficient, which are free of each "
        "other (PATH-8)",
    },
)
def misprints(form: str, context: Context) -> Measurement:
    """t ~ Unif[0, 1], eps_theta: R^d x [0, 1] -> R^d, s_theta(x_t); printed Unif[1, 0], R x [0, 1] -> R^d, s_theta(x).

    Statement: the score matching procedure runs as written, in d = 3. Printed, the interval of the uniform law is
        empty, and the network takes a scalar where it is given x in R^d.
    Assumptions: d > 1.
    Computed: the two lines, one at a time and everything else right, with the linear path and the score's target; a
        linear network of the stated domain. The statistic is the number of them that raise (ValueError, RuntimeError),
        the detail what they say.
    Source: 002, end of "Score Matching": "epsilon_t^theta: R x [0,1] -> R^d"; step 2 of its training procedure:
        "t ~ Unif_[1,0]".
    Refuted by: a line that raises; each alone is a control.
    """
    attempts = {
        INTERVAL: _tried(ValueError, low=1.0, high=0.0),
        DOMAIN: _tried(RuntimeError, domain=1),
    }
    return defects.count(attempts, form)


def _tried(kind: type[Exception], **misprint: Any) -> defects.Attempt:
    """Whether the procedure raises this kind of error, with the misprint in and without."""
    return lambda faulty: defects.raises(kind, lambda: score_matching_loss(**(misprint if faulty else {})))


def score_matching_loss(low: float = 0.0, high: float = 1.0, domain: int = DIMENSION) -> Tensor:
    """The loss of one batch of 002's score matching procedure, a scalar, with t ~ Unif[low, high].

    `domain` is the dimension of the network's first argument. Raises what the misprint raises: ValueError for an empty
    interval, RuntimeError for the shapes.
    """
    generator = seeds.generator("E25")
    z, eps = torch.randn(2, BATCH, DIMENSION, generator=generator, dtype=torch.float64)
    interval = torch.distributions.Uniform(low, high)
    u = (torch.arange(BATCH, dtype=torch.float64) + 0.5) / BATCH
    t = get_time_law("uniform").quantile(interval.icdf(u))
    c = forward_path("linear").at(t)
    weight = torch.randn(DIMENSION, domain + 1, generator=generator, dtype=torch.float64)
    score = torch.cat([blend(c.alpha, z, c.sigma, eps), t[:, None]], 1) @ weight.T
    return (score - get_target("score").of(z, eps, c)).square().sum(1).mean()
