"""Paths: p_t is a probability density inside (0, 1) (PATH-1), from noise at t = 0 to data at t = 1 (PATH-2)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import Normal

from reproflow.claims.policy import REFUTED, STATEMENT, Context, Measurement, claim, worst
from reproflow.exact import three_gaussians
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.paths import Path, forward_path

HEAVY = "weights of q not summing to 1"
VARIANCE = "variance entered as std"
INSIDE = "t = 1/2"
HALF = "half of the noise kept"
REVERSED = "time from data to noise"
DIRAC = "linear at t = 1"
TIMES = (0.05, 0.3, 0.6, 0.9)
NEAR = 1e-12
"""How far from t = 0 and 1 the limits are looked at: sqrt(2 t), the fastest alpha registered, is 1.4e-6 there."""


@claim(
    "PATH-1",
    title="p_t is a probability density as long as sigma > 0",
    source="004 condition 1",
    kind="exact",
    tolerance=1e-10,
    cases=lambda: (*three_gaussians.gaussian_paths(), DIRAC),
    controls=lambda case: (INSIDE,) if case == DIRAC else (HEAVY, VARIANCE),
    expected={DIRAC: REFUTED},
)
def valid_density(case: str, variant: str, context: Context) -> Measurement:
    """p_t(x) = int p_t(x|z) q(z) dz with p_t(x|z) = N(alpha z, sigma² I) is a density: positive, and int p_t dx = 1.

    Statement: averaging the conditional laws over the data gives a probability density at every t with sigma > 0. At
        t = 1, where sigma = 0, p_t(.|z) is a point mass: a law, which is all that 004 needs there, but no density.
    Assumptions: q is a probability density (or any law); sigma_t > 0.
    Proof idea: Fubini; each p_t(.|z) integrates to 1, and q does.
    Computed: for three Gaussians on a line at four times, the average over z by the trapezoid rule over [-6, 6], its
        integral over [-9, 9], that of `Mixture.log_density`, and their largest distance; the statistic is the largest
        deviation. A wrong variance still integrates to 1, and shows in that distance only. Case `linear at t = 1`: the
        mass within 1e-12 of alpha z, which a density of moderate height would leave at 1e-12, is 1.
    Source: 004, condition 1 of its list for probability paths ("valid probability distribution").
    Refuted by: a deviation above 1e-10. Controls: q with one weight halved; sigma² in the place of sigma. The point
        mass is expected refuted as a density; its control is the same mass at t = 1/2.
    """
    if case == DIRAC:
        sigma = forward_path("linear")(torch.tensor(1.0 if variant == STATEMENT else 0.5, dtype=torch.float64))[1]
        return Measurement(float(torch.erf(1e-12 / (math.sqrt(2) * sigma))), detail=f"sigma = {sigma:g}")
    times = torch.tensor(TIMES, dtype=torch.float64)
    return Measurement(worst(_deviation(forward_path(case).at(t), variant) for t in times))


def _deviation(c: Coefficients, variant: str) -> float:
    """The largest of |int p - 1| for both forms of p_t and of their distance."""
    x, dx = three_gaussians.line(181)
    z, dz = three_gaussians.line(1201, 6.0)
    q = _law(z, torch.ones_like(c.t), torch.zeros_like(c.t), HEAVY if variant == HEAVY else STATEMENT)
    scale = c.sigma**2 if variant == VARIANCE else c.sigma
    averaged = torch.exp(Normal(c.alpha * z[:, 0], scale).log_prob(x)) @ q * dz
    closed = three_gaussians.MIXTURE.log_density(x, c).exp()
    masses = [abs(float(p.sum()) * dx - 1) for p in (averaged, closed)]
    return worst(*masses, float((averaged - closed).abs().max()))


def _law(x: Tensor, alpha: Tensor, sigma: Tensor, variant: str = STATEMENT) -> Tensor:
    """Density at x (B, 1) of alpha x1 + sigma eps, with the data's second weight halved for the control; (B,)."""
    weights = three_gaussians.MIXTURE.weights * torch.tensor([1.0, 0.5 if variant == HEAVY else 1.0, 1.0])
    scales = (alpha**2 * three_gaussians.MIXTURE.stds**2 + sigma**2).sqrt()
    return torch.exp(Normal(alpha * three_gaussians.MIXTURE.means[:, 0], scales).log_prob(x)) @ weights


@claim(
    "PATH-2",
    title="p_t goes from noise to data, whatever the data point",
    source="004 condition 2",
    kind="exact",
    tolerance=1e-5,
    cases=three_gaussians.gaussian_paths,
    controls=(HALF, REVERSED),
)
def boundary(case: str, variant: str, context: Context) -> Measurement:
    """alpha(0) = 0, sigma(0) = 1, alpha(1) = 1, sigma(1) = 0 give p_0(x|z) = N(0, I) for every z, and p_1 = q.

    Statement: as t -> 0 the conditional and the marginal density tend to the standard normal, as t -> 1 the marginal
        one tends to the data's and the conditional one to a point mass at z. A path that is registered with `expects`
        misses the end named there by design: it tends to the law alpha z + sigma eps of its own end, which is not noise
        or not data, by what the detail says.
    Assumptions: alpha, sigma continuous at the ends; q has a bounded, smooth density.
    Proof idea: p_t is the convolution of the data scaled by alpha with noise of scale sigma, continuous in both.
    Computed: the largest |p_t - limit| over x in [-6, 6] at t = 1e-12 and 1 - 1e-12 for three Gaussians on a line, and
        at t = 1e-12 that of p_t(x|z) for z = -3, 0, 3. At the other end p_t(x|z) becomes a point mass and its
        Wasserstein distance from it, at most |z| |1 - alpha| + sigma, is taken at |z| = 3. The rate is that of alpha
        and sigma, not of t: on sqrt(2 t) it is 1e-6 here, on the linear path 1e-12.
    Source: 004, condition 2 of its list for probability paths; 003's alpha = sqrt(1 - t²) in its own time.
    Refuted by: a distance above 1e-5 (densities are of order 0.4). Controls: sigma that falls to 1/2 only; a path
        written in the opposite time, as 003's and 001's are.
    """
    path, misses = forward_path(case), by_design(forward_path(case))
    values, notes = [], []
    for end, wanted in ((0.0, (0.0, 1.0)), (1.0, (1.0, 0.0))):
        required = torch.tensor(wanted, dtype=torch.float64)
        limit = torch.stack(path(torch.tensor(end, dtype=torch.float64))) if end in misses else required
        values.append(worst(_distances(path, end, limit, variant)))
        if end in misses:
            notes.append(_missed(end, limit, required))
    numbers = f"noise end {values[0]:.2g}, data end {values[1]:.2g}"
    return Measurement(worst(values), detail="; ".join([numbers, *(notes if variant == STATEMENT else [])]))


def by_design(path: Path) -> set[float]:
    """The ends, 0.0 or 1.0, that a path says it misses."""
    return {end for end in (0.0, 1.0) for each in path.entry.meta.get("expects", ()) if f"({end:.0f})" in each}


def _distances(path: Path, end: float, limit: Tensor, variant: str) -> list[float]:
    """Near an end, largest |p_t - limit|, and how far the conditional laws are from theirs."""
    x, _ = three_gaussians.line(241, 6.0)
    t = torch.tensor(abs(end - NEAR), dtype=torch.float64)
    alpha, sigma = path(1 - t if variant == REVERSED else t)
    if variant == HALF:
        sigma = 0.5 * (1 + sigma)
    c = Coefficients(t, alpha, sigma, torch.zeros_like(t), torch.zeros_like(t), "gaussian")
    found = [(three_gaussians.MIXTURE.log_density(x, c).exp() - _law(x, *limit)).abs().max()]
    if end == 0:
        z = torch.tensor([-3.0, 0.0, 3.0], dtype=torch.float64)
        conditional, wanted = (Normal(a * z, s).log_prob(x).exp() for a, s in ((alpha, sigma), limit))
        found.append((conditional - wanted).abs().max())
    else:
        found.append(3 * (alpha - limit[0]).abs() + (sigma - limit[1]).abs())
    return [float(value) for value in found]


def _missed(end: float, limit: Tensor, required: Tensor) -> str:
    x, _ = three_gaussians.line(241, 6.0)
    gap = float((_law(x, *limit) - _law(x, *required)).abs().max())
    what = "noise" if end == 0 else "data"
    return f"misses the {what} end by design: alpha {limit[0]:.4g}, sigma {limit[1]:.4g}, {gap:.2g} from the {what}"
