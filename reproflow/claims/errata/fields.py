"""Errata about the marginal velocity: its weights (E04), a sign (E05), and that it is one field of many (E06)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from reproflow.claims.errata.erratum import CORRECTED, PRINTED, erratum
from reproflow.claims.policy import Context, Measurement, worst
from reproflow.exact import three_gaussians
from reproflow.exact.mixture import Mixture
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.paths import forward_path
from reproflow.theory.targets import get_target

PRIOR = "weights p_data"
OUTWARD = "w = 0.1 x"

PLANE = Mixture(
    torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64),
    torch.tensor([[-1.0, 0.5], [1.0, 1.0], [0.25, -1.25]], dtype=torch.float64),
    torch.tensor([0.5, 0.375, 0.625], dtype=torch.float64),
)
TIMES = torch.tensor([0.2, 0.5, 0.8], dtype=torch.float64)
STEP = 2e-3
"""Of every 4th-order difference, in x and in t."""


@erratum(
    "E04",
    title="the posterior average is not weighted by p_data once more",
    source="004, marginal vector field; its eqs. 10, 12",
    tolerance=1e-8,
    controls=(PRIOR,),
)
def marginal_velocity_weights(form: str, context: Context) -> Measurement:
    """u_t(x) = int u_t(x|z) p_t(z|x) dz; printed with the weights p_t(z|x) p_data(z)/p_t(x), which do not sum to one.

    Statement: the formula gives the velocity that carries p_t. As printed it multiplies the posterior by the prior and
        divides by the evidence a second time; it is right with p_t(x|z) in place of p_t(z|x), or without p_data/p_t.
        004's own derivation (eqs. 10 and 12) is right, so that its remark that eq. 10 "is exactly equal to" the
        formula is not.
    Assumptions: data with a density (on a data set the printed p_data is a number, and the weights sum to p_data/p_t).
    Computed: int over z by the trapezoid rule, three Gaussians on a line, linear path, 61 points in [-2, 2] and t of
        0.2, 0.5, 0.8. On a line the velocity that carries p_t is -dF_t/dt / p_t, F_t the CDF, which knows no posterior;
        the t-derivative is a 4th-order difference. The statistic is the largest distance from it.
    Source: 004, "u(x) = int u(x|z) p(z|x) p_data(z) dz / p(x)", first formula of the marginal vector field.
    Refuted by: a distance above 1e-8. The prior in place of the posterior must show one.
    """
    x = torch.linspace(-2, 2, 61, dtype=torch.float64)[:, None]
    gaps, sums = [], []
    for t in TIMES:
        c = forward_path("linear").at(t)
        z, prior, posterior, density = _posterior(x, c)
        weight = {PRINTED: posterior * prior / density, CORRECTED: posterior, PRIOR: prior.expand_as(posterior)}[form]
        u = get_target("velocity").of(z, (x - c.alpha * z) / c.sigma, c)
        spacing = z[1] - z[0]
        gaps.append(((u * weight).sum(1) * spacing - _transport_velocity(x, t)).abs().max())
        sums.append(weight.sum(1) * spacing)
    least, most = (float(limit) for limit in torch.cat(sums).aminmax())
    return Measurement(worst(map(float, gaps)), detail=f"weights integrate to {least:.3g} .. {most:.3g}")


@erratum("E05", title="the two divergences are equal, not opposite", source="004, between eqs. 8 and 9", tolerance=1e-8)
def divergence_sign(form: str, context: Context) -> Measurement:
    """div(p_t u_t) = + div int p_t(x|z) u_t(x|z) p_data(z) dz; printed with a minus sign.

    Statement: 004 sets the right-hand sides of its eqs. 7 and 8 equal. Both carry the minus sign, so it drops out; the
        printed line keeps it on one side, and cancelling the divergences alone would give -u. The conclusion (eq. 9)
        is that of the right sign.
    Assumptions: p_t smooth; linear path.
    Computed: both sides by 4th-order differences, h = 0.002, of fluxes found apart: p_t u_t in closed form for three
        Gaussians on a line, the other by the trapezoid rule over z. Largest distance over x in [-3, 3] and three t.
    Source: 004, the line between eqs. 8 and 9: "div(p u) = -div(int ..)"; its eqs. 7 and 8 are right.
    Refuted by: a distance above 1e-8. The other sign shows twice the largest |dp_t/dt|.
    """
    x = torch.linspace(-3, 3, 61, dtype=torch.float64)[:, None]
    sign = -1 if form == PRINTED else 1

    def gap(c: Coefficients) -> Tensor:
        total = divergence(lambda at: _flux(at, c), x)
        return total - sign * divergence(lambda at: _conditional_flux(at, c), x)

    return Measurement(worst(float(gap(forward_path("linear").at(t)).abs().max()) for t in TIMES))


@erratum(
    "E06",
    title="equal divergences do not make equal fields",
    source="004, eq. 9",
    tolerance=1e-7,
    controls=(OUTWARD,),
)
def divergences_do_not_cancel(form: str, context: Context) -> Measurement:
    """Any u_t + w with div(p_t w) = 0 moves p_t as u_t does: the continuity equation does not determine the field.

    Statement: printed, "cancel the divergences": a field whose flux has the divergence of p_t u_t has the flux of
        p_t u_t. Right: only dp_t/dt + div(p_t u') = 0 follows. The posterior average is thus a definition (it is the
        one that conditional flow matching learns), not forced by the continuity equation. On a line the two coincide
        for fluxes that vanish at infinity; from two dimensions on they do not.
    Assumptions: dimension two; p_t smooth and positive.
    Computed: w = J grad log p_t, the score turned by 90 degrees, for which div(p_t w) = div(J grad p_t) = 0; three
        Gaussians in the plane, linear path, 41 x 41 points, three t. The statistic is, for u' = u_t + w, the largest
        |p_t u' - p_t u_t| (printed) or |dp_t/dt + div(p_t u')| (corrected) by 4th-order differences.
    Source: 004, "cancel the negative signs and divergences" before eq. 9.
    Refuted by: a value above 1e-7. The field 0.1 x in place of w must break the corrected form.
    """
    side = torch.linspace(-3, 3, 41, dtype=torch.float64)
    x = torch.cartesian_prod(side, side)
    path = forward_path("linear")

    def flux(x: Tensor, c: Coefficients) -> Tensor:
        u = PLANE.marginal_velocity(x, c) + (0.1 * x if form == OUTWARD else _turned_score(x, c))
        return PLANE.log_density(x, c).exp()[:, None] * u

    def gap(t: Tensor) -> Tensor:
        c = path.at(t)
        if form == PRINTED:
            return flux(x, c) - PLANE.log_density(x, c).exp()[:, None] * PLANE.marginal_velocity(x, c)
        dp = three_gaussians.difference(lambda step: PLANE.log_density(x, path.at(t + step)).exp(), STEP)
        return dp + divergence(lambda at: flux(at, c), x)

    return Measurement(worst(float(gap(t).abs().max()) for t in TIMES))


def divergence(field: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """div of a field (B, D) -> (B, D) at x, (B,), by 4th-order differences."""
    unit = torch.eye(x.shape[1], dtype=x.dtype)

    def along(axis: int) -> Tensor:
        return three_gaussians.difference(lambda h: field(x + h * unit[axis])[:, axis], STEP)

    return torch.stack([along(axis) for axis in range(x.shape[1])]).sum(0)


def _turned_score(x: Tensor, c: Coefficients) -> Tensor:
    score = PLANE.score(x, c)
    return torch.stack([-score[:, 1], score[:, 0]], 1)


def _posterior(x: Tensor, c: Coefficients) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """z (Z,), p_data(z) (Z,), p_t(z|x) (B, Z) and p_t(x) (B, 1), the latter two by the trapezoid rule over z."""
    column, spacing = three_gaussians.line(1201, 6.0)
    z = column[:, 0]
    prior = three_gaussians.MIXTURE.log_density(
        column, forward_path("linear").at(torch.ones((), dtype=torch.float64))
    ).exp()
    joint = torch.exp(torch.distributions.Normal(c.alpha * z, c.sigma).log_prob(x)) * prior
    density = joint.sum(1, keepdim=True) * spacing
    return z, prior, joint / density, density


def _flux(x: Tensor, c: Coefficients) -> Tensor:
    return three_gaussians.MIXTURE.log_density(x, c).exp()[:, None] * three_gaussians.MIXTURE.marginal_velocity(x, c)


def _conditional_flux(x: Tensor, c: Coefficients) -> Tensor:
    """int p_t(x|z) u_t(x|z) p_data(z) dz, (B, 1)."""
    z, _, posterior, density = _posterior(x, c)
    u = get_target("velocity").of(z, (x - c.alpha * z) / c.sigma, c)
    return (u * posterior * density).sum(1, keepdim=True) * (z[1] - z[0])


def _transport_velocity(x: Tensor, t: Tensor) -> Tensor:
    """-dF_t/dt / p_t at x (B, 1), (B,): on a line the one velocity that carries the toy mixture."""
    mixture, path = three_gaussians.MIXTURE, forward_path("linear")

    def cdf(step: float) -> Tensor:
        alpha, sigma = path(t + step)
        std = (alpha**2 * mixture.stds**2 + sigma**2).sqrt()
        return torch.special.ndtr((x - alpha * mixture.means[:, 0]) / std) @ mixture.weights

    return -three_gaussians.difference(cdf, 1e-3) / mixture.log_density(x, path.at(t)).exp()
