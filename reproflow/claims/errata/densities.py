"""Errata about densities: a variance misread (E01), and constants that are infinite as printed (E03, E26)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from reproflow.claims.errata.erratum import CORRECTED, PRINTED, erratum
from reproflow.claims.policy import Context, Measurement, worst
from reproflow.exact import three_gaussians
from reproflow.exact.empirical import posterior_mean
from reproflow.numerics import gauss_rules
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.paths import forward_path
from reproflow.theory.processes.gaussian import blend
from reproflow.theory.targets import get_target
from reproflow.theory.times import get_time_law

STD = "std entered as variance"
SIGMA = "weight sigma"
RAND_SQUARED = "rand**2"

DATA = torch.tensor([[-1.5], [0.25], [1.75]], dtype=torch.float64)
DECADES = 4
NODES = 8
LINE = 301
"""Decades of cuts towards an end of time, nodes in each of them, and points on the line in x."""


@erratum(
    "E01",
    title="the CondOT path's variance is (1-t)², not 1-t²",
    source="002, 'Flow Matching Training Procedure'",
    tolerance=1e-14,
    controls=(STD,),
)
def condot_variance(form: str, context: Context) -> Measurement:
    """p_t(x|z) = N(t z, (1-t)² I), the law of t z + (1-t) eps; printed with the variance 1 - t².

    Statement: the procedure's own line x = t z + (1-t) eps draws from the law that its heading states. At the ends the
        two agree; between them the printed variance is (1+t)/(1-t) times the right one (0.64 for 0.16 at t = 0.6), and
        a score or likelihood computed from it belongs to another path.
    Assumptions: eps ~ N(0, I); t in (0, 1).
    Computed: the quantiles of eps are carried along the registered linear path to x; the statistic is the largest
        distance between the stated CDF at x and Phi(eps), the Kolmogorov distance of the two laws, over nine times and
        three z.
    Source: 002, heading of "Flow Matching Training Procedure": "N(tz, (1-t^2) I_d)".
    Refuted by: a distance above 1e-14. The standard deviation 1 - t entered as variance must show one.
    """
    t = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    z, eps = torch.meshgrid(DATA[:, 0], torch.linspace(-4, 4, 161, dtype=torch.float64), indexing="ij")
    alpha, sigma = forward_path("linear")(t)
    x = blend(alpha, z.reshape(1, -1).expand(9, -1), sigma, eps.reshape(1, -1).expand(9, -1))
    variance = {PRINTED: 1 - t**2, CORRECTED: (1 - t) ** 2, STD: 1 - t}[form][:, None]
    stated = torch.special.ndtr((x - t[:, None] * z.reshape(1, -1)) / variance.sqrt())
    gap = (stated - torch.special.ndtr(eps.reshape(1, -1))).abs().max()
    return Measurement(float(gap), detail=f"variance {float(variance[5]):.3g} stated at t = 0.6")


@erratum(
    "E03",
    title="score matching's constant is infinite up to t = 1, for data with a density",
    source="002, 'Score Matching'; Vincent 2011",
    tolerance=0.1,
    controls=(SIGMA,),
)
def score_matching_constant(form: str, context: Context) -> Measurement:
    """L_SM = L_CSM + C needs a finite C = -E tr Var(score(x|z)|x); printed with t ~ Unif[0, 1] and no weight: infinite.

    Statement: the constant between score matching and conditional score matching is finite under the loss as defined.
        For data with a density it is not: eps given x keeps its variance as sigma -> 0, so Var(-eps/sigma | x) is of
        order 1/sigma² and the loss of every network is infinite. Weighted by sigma² (the noise prediction of DDPM), or
        with t cut off below 1, it is finite. On a finite data set the posterior collapses faster than any power of
        sigma, and the printed constant is finite.
    Assumptions: linear path; data with a density, unless said otherwise.
    Computed: the integral of w E tr Var(score|x) dt over each decade of the distance to t = 0 and to t = 1, from 1e-1
        to 1e-5. The statistic is the last decade's share over the first's, at the worse end: for w f ~ |1-t|^p it is
        10^(-3 (1+p)), 1000 for p = -2, 1 for the logarithm, 0.001 for a bounded integrand. Three Gaussians on a line
        by the trapezoid rule in x; the corrected form also on three points, without a weight, by attention and
        Gauss-Hermite.
    Source: 002, "Score Matching" and the step t ~ Unif; the identity is Vincent 2011.
    Refuted by: a share above 0.1: the sum over decades does not converge. The weight sigma in place of sigma², which
        leaves a logarithm, must have one.
    """
    power = {PRINTED: 0, CORRECTED: 2, SIGMA: 1}[form]
    value, sums = last_over_first(lambda c: c.sigma**power * toy_variance("score", c))
    if form == CORRECTED:
        value = worst(value, last_over_first(_finite_set_variance)[0])
    return Measurement(value, detail=f"added by each decade towards the worse end: {sums}")


@erratum(
    "E26",
    title="the VP path with sigma_t = t has an infinite CFM loss",
    source="003, 'Variance-Preserving Loss'",
    tolerance=0.1,
    controls=(RAND_SQUARED,),
)
def vp_sigma_t_loss(form: str, context: Context) -> Measurement:
    """On the VP path sigma_t = t (003's time) E|u(x|z)|² is not integrable: the CFM loss of every network is infinite.

    Statement: the "common choice" has a finite conditional flow matching loss under uniform t. It has not: next to the
        noise alpha' is 1/sqrt(2 s), s the distance to the end, and x says next to nothing about z, so
        E tr Var(u|x), which no network can reduce, is Var(z)/(2 s) there: log 10/2 Var(z) for each decade, for every
        data distribution but a point. Finite: the cosine schedule on the same circle of alpha² + sigma² = 1, or the
        same path with times of density 2 s.
    Assumptions: data with a finite variance.
    Computed: as E03, the integral of pi(t) E tr Var(u|x) dt over decades of the distance to either end; the statistic
        is the last decade's share over the first's (1 where the integral grows like a logarithm).
    Source: 003, "Variance-Preserving Loss": "Common choice: sigma_t = t".
    Refuted by: a share above 0.1. 003's own time law rand**2, which crowds the data, must not mend it.
    """
    objectives = {
        PRINTED: [("vp_sigma_t", "uniform")],
        CORRECTED: [("cosine", "uniform"), ("vp_sigma_t", "beta:a=2,b=1")],
        RAND_SQUARED: [("vp_sigma_t", "one_minus_u_squared")],
    }[form]
    results = [_cfm_growth(path, law) for path, law in objectives]
    value, sums = _worse(results)
    return Measurement(value, detail=f"added by each decade towards the worse end: {sums}")


def _cfm_growth(path: str, law: str) -> tuple[float, str]:
    density = get_time_law(law).density
    return last_over_first(lambda c: density(c.t) * toy_variance("velocity", c), path)


def last_over_first(f: Callable[[Coefficients], Tensor], path: str = "linear") -> tuple[float, str]:
    """How the integral of f over t grows near an end: its last decade over its first, and all decades, in words.

    Decades of the distance to t = 0 and t = 1, from 0.1 down; the worse of the two ends.
    """
    return _worse([_decades(f, path, end) for end in (0, 1)])


def _worse(found: list[tuple[float, str]]) -> tuple[float, str]:
    """The one with the larger number; a NaN is the worst of all."""
    return max(found, key=lambda each: math.inf if math.isnan(each[0]) else each[0])


def _decades(f: Callable[[Coefficients], Tensor], path: str, end: int) -> tuple[float, str]:
    nodes, weights = gauss_rules.legendre_on(0.0, 1.0, NODES)
    decade = torch.arange(1, DECADES + 1, dtype=torch.float64)[:, None]
    distance = 10.0 ** -(decade + nodes)
    values = f(forward_path(path).at((end - distance).abs().flatten())).view_as(distance)
    sums = (math.log(10) * distance * values) @ weights
    return float(sums[-1] / sums[0]), ", ".join(f"{value:.3g}" for value in sums.tolist())


def toy_variance(target: str, c: Coefficients) -> Tensor:
    """E tr Var(target | x_t) of the toy mixture at the times of c (B,), by the trapezoid rule over x, (B,)."""
    x, spacing = three_gaussians.line(LINE)
    each = c.map(lambda value: value.repeat_interleave(LINE))
    x = x.repeat(len(c.t), 1)
    variance = three_gaussians.MIXTURE.target_variance(x, each, *get_target(target).coefficients(each))
    return spacing * (three_gaussians.MIXTURE.log_density(x, each).exp() * variance).view(-1, LINE).sum(1)


def _finite_set_variance(c: Coefficients) -> Tensor:
    """E tr Var(score | x_t) at the times of c (B,) where the data are three points, by their exact posterior."""
    eps, weights = gauss_rules.tensors(gauss_rules.hermite(64))
    z, noise = DATA.repeat_interleave(len(eps), 0), eps.repeat(len(DATA))[:, None]
    rows = len(z)
    each = c.map(lambda value: value.repeat_interleave(rows))
    z = z.repeat(len(c.t), 1)
    x = blend(each.alpha, z, each.sigma, noise.repeat(len(c.t), 1))
    error = (z - posterior_mean(x, DATA, each)).square().view(-1, rows) @ weights.repeat(len(DATA)) / len(DATA)
    # An error of z is one of eps times alpha/sigma, and that one of the score times its error factor (LOSS-5).
    return (c.alpha / c.sigma) ** 2 * get_target("score").error_factor(c) * error
