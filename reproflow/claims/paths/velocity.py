"""Paths: the conditional velocity is the path's time derivative (PATH-3), the marginal one its average (PATH-4)."""

from __future__ import annotations

import torch
from scipy import stats
from torch import Tensor

from reproflow.claims.policy import Context, Measurement, claim, worst
from reproflow.exact import three_gaussians, transport
from reproflow.exact.empirical import posterior_mean
from reproflow.foundation import seeds
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.paths import Path, forward_path
from reproflow.theory.targets import convert, get_target

FLIPPED = "sign of dsigma flipped"
MISSING = "dsigma missing"
PRIOR = "prior average"
PRINTED = "posterior times q/p_t"

POINTS, COUNTS = torch.tensor([[-1.5, -0.25, 0.5, 1.75], [3, 1, 2, 1]], dtype=torch.float64)
"""A finite data set on a line: its points, and how often each occurs."""


def _controls(case: str) -> tuple[str, ...]:
    """A sigma' that is left out shows only where it is not 1 throughout (in size: 003's time runs the other way)."""
    slopes = forward_path(case).at(torch.linspace(0.02, 0.98, 49, dtype=torch.float64)).dsigma.abs()
    return (FLIPPED,) if torch.allclose(slopes, torch.ones_like(slopes)) else (FLIPPED, MISSING)


@claim(
    "PATH-3",
    title="the conditional velocity is the time derivative of the path",
    source="004 step 5; 002; 003",
    kind="exact",
    tolerance=1e-8,
    cases=three_gaussians.gaussian_paths,
    controls=_controls,
)
def conditional_velocity(case: str, variant: str, context: Context) -> Measurement:
    """u_t(x|z) = (alpha' - (sigma'/sigma) alpha) z + (sigma'/sigma) x, on the path alpha' z + sigma' eps, = dx_t/dt.

    Statement: both forms equal the derivative of alpha z + sigma eps in t at fixed z and eps.
    Assumptions: alpha, sigma differentiable, sigma > 0; t in [0.02, 0.98].
    Proof idea: differentiate at fixed z and eps; put eps = (x - alpha z)/sigma for the form in (x, z).
    Computed: central difference of the path with h = 1e-6 in float64, for 64 (z, eps) in 8 dimensions at 49 times; the
        statistic is the largest relative distance of either form from it.
    Source: 004 step 5 and eq. 8 of its example; 002; 003's VP form -sigma sigma'/sqrt(1-sigma²) x0 + sigma' x1.
    Refuted by: a relative distance above 1e-8. Controls: sigma' with its sign flipped; sigma' left out of 003's VP
        form, which is the derivative in sigma where that in t is meant. The latter changes nothing where sigma = t, as
        in 003's own choice, so it is tried on the other registered paths only.
    """
    t = torch.linspace(0.02, 0.98, 49, dtype=torch.float64).repeat_interleave(64)
    z, eps = torch.randn(2, len(t), 8, generator=seeds.generator("PATH-3"), dtype=torch.float64)
    path = forward_path(case)
    reference = central_difference(path, z, eps, t)
    distances = [(form - reference).norm(dim=1) / reference.norm(dim=1) for form in _forms(path.at(t), z, eps, variant)]
    return Measurement(float(torch.stack(distances).max()))


def central_difference(path: Path, z: Tensor, eps: Tensor, t: Tensor, h: float = 1e-6) -> Tensor:
    """d/dt of alpha z + sigma eps at fixed z, eps (B, D), by a central difference; t (B,)."""
    ends = [alpha[:, None] * z + sigma[:, None] * eps for alpha, sigma in (path(t + h), path(t - h))]
    return (ends[0] - ends[1]) / (2 * h)


def _forms(c: Coefficients, z: Tensor, eps: Tensor, variant: str) -> list[Tensor]:
    """The velocity along the path and as a function of (x, z), each (B, D), from the coefficients the variant holds."""
    if variant == FLIPPED:
        c = Coefficients(c.t, c.alpha, c.sigma, c.dalpha, -c.dsigma, c.process)
    if variant == MISSING:
        # 003's sigma rises in its time, so only the size is left out: the sign is that of the time's direction.
        size = c.dsigma.abs()
        c = Coefficients(c.t, c.alpha, c.sigma, c.dalpha / size, c.dsigma / size, c.process)
    x = c.alpha[:, None] * z + c.sigma[:, None] * eps
    slope = (c.dsigma / c.sigma)[:, None]
    return [get_target("velocity").of(z, eps, c), (c.dalpha[:, None] - slope * c.alpha[:, None]) * z + slope * x]


@claim(
    "PATH-4",
    title="the marginal velocity is the posterior average of the conditional ones",
    source="004 eqs. 10-12",
    kind="exact",
    tolerance=1e-12,
    cases=three_gaussians.gaussian_paths,
    controls=(PRIOR, PRINTED),
)
def marginal_velocity(case: str, variant: str, context: Context) -> Measurement:
    """u_t(x) = E[u_t(x|Z) | X_t = x] = int u_t(x|z) p_t(x|z) q(z) dz / p_t(x).

    Statement: the average over the posterior p_t(z|x) is the field whose flux is the sum of the conditional fluxes; on
        a line it is the only one, u_t(x) = -dF_t/dt / p_t(x) with F_t the distribution function.
    Assumptions: E|u_t(x|Z)| finite (any finite data set). On a line and with no flux at infinity the last form holds.
    Proof idea: Bayes; p_t(x) u_t(x) is the sum of the conditional fluxes, each of which satisfies its own continuity
        equation. Integrated in x that is dF_t/dt + p_t u_t = 0.
    Computed: four points of probabilities 3/7, 1/7, 2/7, 1/7. Posterior average: `empirical.posterior_mean` of seven
        rows, some equal, converted to a velocity. Sum of fluxes: `Target.of` at (z, eps) = (z, (x - alpha z)/sigma),
        weighted with scipy's normal densities. Flux: F_t differentiated in t and x by forward mode, where neither a
        posterior nor the path's own derivative occurs. For three Gaussians, `Mixture.marginal_velocity` against their
        flux. At four times, x from 3 sigma below to 3 sigma above the points; largest distance relative to |u| + 1.
    Source: 004 eqs. 10-12. (Its first "Marginal Vector Field Formula" has the posterior times p_data/p_t: E04.)
    Refuted by: a relative distance above 1e-12. Controls: the prior average, sum of q(z) u_t(x|z); 004's first formula,
        whose weights p_t(z|x) q(z)/p_t(x) do not sum to 1.
    """
    times = torch.linspace(0.05, 0.95, 4, dtype=torch.float64)
    return Measurement(worst(_field_distance(forward_path(case), t, variant) for t in times))


def _field_distance(path: Path, t: Tensor, variant: str) -> float:
    c = path.at(t)
    x = (c.alpha * POINTS + c.sigma * torch.linspace(-3, 3, 7, dtype=torch.float64)[:, None]).reshape(-1, 1)
    mean = posterior_mean(x, POINTS.repeat_interleave(COUNTS.long())[:, None], c)
    attended = convert(mean, x, c, get_target("x1"), get_target("velocity"))
    flux = transport.flux_velocity(x, t, path, COUNTS / COUNTS.sum(), POINTS, torch.zeros_like(POINTS))
    averaged = _average(x, c, variant)
    mixture = three_gaussians.MIXTURE
    smooth = transport.flux_velocity(x, t, path, mixture.weights, mixture.means[:, 0], mixture.stds)
    pairs = ((averaged, flux), (attended, flux), (mixture.marginal_velocity(x, c), smooth))
    return worst(float(((a - b).abs() / (1 + b.abs())).max()) for a, b in pairs)


def _average(x: Tensor, c: Coefficients, variant: str) -> Tensor:
    """Sum of u_t(x|z) over the points with the weights of the variant; x (B, 1) -> (B, 1)."""
    eps = (x - c.alpha * POINTS) / c.sigma
    conditional = get_target("velocity").of(POINTS.expand_as(eps), eps, c)
    prior = (COUNTS / COUNTS.sum()).expand_as(eps)
    likelihood = torch.from_numpy(stats.norm.pdf(x, c.alpha * POINTS, c.sigma))
    density = (likelihood * prior).sum(1, keepdim=True)
    weights = {PRIOR: prior, PRINTED: likelihood * prior / density * prior / density}
    return (weights.get(variant, likelihood * prior / density) * conditional).sum(1, keepdim=True)
