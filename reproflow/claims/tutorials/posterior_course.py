"""Tutorials: how the posterior of the data point sharpens along the path, on average and one by one (TUT-14)."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from reproflow.claims.policy import REFUTED, STATEMENT, Context, Measurement, claim, worst
from reproflow.exact import gaussian_chain, three_gaussians
from reproflow.learning.sampling.ode import integrate
from reproflow.numerics import trapezoid
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.paths import Path, forward_path
from reproflow.theory.targets import convert, get_target

COURSE = "0.5, 0.8, 0.95 at t = 0, 0.5, 0.9"
EACH = "for each data point and noise"
FLOW = "along each trajectory of the flow"
NEAR = "points 2.2 apart"

APART = 6.0
"""Two 8 x 8 digits with pixels in [-1, 1] are 6.05 apart on average."""
NEARER = 2.2
SUBSTEPS = 2
"""Of rk4 from one of the times to the next."""
STATED = {0.0: 0.5, 0.5: 0.8, 0.9: 0.95}
TIMES = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)


def _cases() -> tuple[str, ...]:
    return (*three_gaussians.gaussian_paths(), COURSE)


@claim(
    "TUT-14",
    title="the posterior of the data point sharpens with t on average, at times that its distances set",
    source="004, 'Early on', 'Halfway there', 'Almost done'",
    kind="exact",
    tolerance=lambda case: 0.06 if case == COURSE else 1e-6,
    cases=_cases,
    controls=lambda case: (NEAR,) if case == COURSE else (EACH, FLOW),
    expected={COURSE: REFUTED},
)
def posterior_course(case: str, variant: str, context: Context) -> Measurement:
    """E P(z|x_t) and E log P(z|x_t) of the z that made x_t do not fall with t; for single z and noise P(z|x_t) may.

    Statement: on average the posterior goes from the prior at the noise to certainty at the data, for every path whose
        SNR rises. It is no statement about a single pair of data point and noise, nor about a trajectory of the
        marginal flow and the point that it ends at. When it sharpens is a matter of distances: 004's example of two
        equally likely points, of 0.5, 0.8 and 0.95 at t = 0, 0.5 and 0.9, is that of points 2.2 apart; pictures are
        decided long before halfway. (The case says that the course is the same at any distance, and is to be refuted.)
    Assumptions: a finite data set.
    Proof idea: x_s for s < t is x_t, scaled and with more noise, so x_s tells no more of z: Jensen.
    Computed: three points on a line of probabilities 1/4, 1/2, 1/4, every registered path, 50 times; Bayes' posterior,
        averaged over eps by the trapezoid rule. The statistic is the largest fall of E P or E log P below an earlier
        value. Controls: the largest fall of P at fixed z and eps, 33 of them in [-4, 4]; and at 33 starts of the flow,
        rk4, of the posterior of the point nearest to its end. The course: two points 6 apart, as two 8 x 8 digits are,
        linear path; the largest distance of E P at the three times from what 004 says, to 0.06 since it writes "≈".
    Source: 004, the posterior as an average "weighted by" how clear the point is: 0.5 and 0.5, 0.8, 0.95.
    Refuted by: a fall above 1e-6, or a distance above 0.06. Single pairs and trajectories must show a fall; at the
        distance 2.2 the course must be as 004 says.
    """
    if case == COURSE:
        course = {t: two_points(t, NEARER if variant == NEAR else APART) for t in STATED}
        listed = ", ".join(f"{value:.3g} at t = {t:g}" for t, value in course.items())
        return Measurement(worst(abs(course[t] - stated) for t, stated in STATED.items()), detail=f"E P = {listed}")
    path = forward_path(case)
    fall = {STATEMENT: _on_average, EACH: _one_by_one, FLOW: _along_the_flow}[variant](path)
    return Measurement(fall, detail=f"largest fall {fall:.2g}")


def two_points(t: float, apart: float) -> float:
    """E P(z|x_t) for two equally likely points so far apart on the linear path: the mean of a logistic function."""
    alpha, sigma = forward_path("linear")(torch.tensor(t, dtype=torch.float64))
    between = alpha * apart / sigma
    eps, spacing = trapezoid.line(1201, 9.0)
    chance = spacing * torch.distributions.Normal(0.0, 1.0).log_prob(eps).exp()
    return float(chance @ (0.5 * between.square() + between * eps).sigmoid())


def _of_the_origin(x: Tensor, c: Coefficients) -> Tensor:
    """log P(z_k | x) of the point that made x (T, 3, E), of x's shape."""
    log = gaussian_chain.log_posterior(x, c)
    return torch.stack([log[:, k, :, k] for k in range(log.shape[-1])], 1)


def _pairs(path: Path, eps: Tensor) -> Tensor:
    """log P(z_k | alpha z_k + sigma eps) at all times, (T, 3, E)."""
    c = path.at(TIMES[:, None, None])
    return _of_the_origin(c.alpha * gaussian_chain.POINTS[:, None] + c.sigma * eps, c)


def _fall(values: Tensor) -> float:
    """By how much the values (T, ..) fall below an earlier one, at most."""
    return float((values.cummax(0).values - values).max())


def _on_average(path: Path) -> float:
    eps, spacing = trapezoid.line(361, 9.0)
    log = _pairs(path, eps)
    chance = spacing * torch.distributions.Normal(0.0, 1.0).log_prob(eps).exp()
    return worst(_fall((values @ chance) @ gaussian_chain.WEIGHTS) for values in (log, log.exp()))


def _one_by_one(path: Path) -> float:
    return _fall(_pairs(path, torch.linspace(-4, 4, 33, dtype=torch.float64)).exp())


def _along_the_flow(path: Path) -> float:
    times = TIMES.tolist()
    x = path.at(TIMES[0]).sigma * torch.linspace(-3, 3, 33, dtype=torch.float64)[:, None]
    states = [x]

    def field(x: Tensor, t: float) -> Tensor:
        c = path.at(torch.full((len(x),), t, dtype=torch.float64))
        mean = gaussian_chain.exact_denoiser(x[:, 0], c)[:, None]
        return convert(mean, x, c, get_target("x1"), get_target("velocity"))

    for start, end in itertools.pairwise(times):
        x = integrate(field, x, torch.linspace(start, end, SUBSTEPS + 1, dtype=torch.float64).tolist(), "rk4")[0]
        states.append(x)
    c = path.at(TIMES[:, None])
    log = gaussian_chain.log_posterior(torch.stack(states)[..., 0], c)
    last = log[-1].argmax(-1)
    return _fall(log.exp()[:, torch.arange(len(last)), last])
