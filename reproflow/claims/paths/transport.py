"""Paths: the marginal velocity moves p_t (PATH-5), its flow carries p_0 to p_t (PATH-6), others do too (PATH-9)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from reproflow.claims.policy import REFUTED, Context, Measurement, claim, worst
from reproflow.exact import three_gaussians, transport
from reproflow.exact.mixture import Mixture
from reproflow.learning.networks.exact_denoiser import exact_denoiser
from reproflow.learning.sampling import ode
from reproflow.numerics import trapezoid
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.paths import Path, forward_path

SINE = "u + 0.05 sin x"
SIGN = "sign of u flipped"
UNROTATED = "score not rotated"
ON_A_LINE = "data on a line"
MOVES = "p (u + w) moves p"
UNIQUE = "the field is unique"
ENERGY = "E u.w = 0"
X_STEP = 5e-3
X_STEPS = (4e-2, 2e-2)
T_STEP = 1e-4

PLANE = Mixture(
    torch.tensor([0.3, 0.45, 0.25], dtype=torch.float64),
    torch.tensor([[-1.0, 0.5], [0.5, 1.0], [0.25, -1.25]], dtype=torch.float64),
    torch.tensor([0.5, 0.375, 0.625], dtype=torch.float64),
)


def _continuity_cases() -> tuple[str, ...]:
    return tuple(f"{path} {what}" for path in three_gaussians.gaussian_paths() for what in ("residual", "order"))


def _tolerance(case: str) -> float:
    return 0.05 if case.endswith("order") else 1e-6


@claim(
    "PATH-5",
    title="the marginal velocity satisfies the continuity equation",
    source="004 eqs. 1, 8",
    kind="exact",
    tolerance=_tolerance,
    cases=_continuity_cases,
    controls=(SINE, SIGN),
)
def continuity(case: str, variant: str, context: Context) -> Measurement:
    """d p_t/dt + div(p_t u_t) = 0 with u_t the posterior average of the conditional velocities.

    Statement: the marginal velocity moves the marginal density.
    Assumptions: p_t smooth and positive (here a mixture of three Gaussians on a line); t in [0.1, 0.9].
    Proof idea: each conditional pair satisfies its continuity equation; the equation is linear in p u, and
        integrating p_t(x|z) u_t(x|z) over the data gives p_t(x) u_t(x).
    Computed: both derivatives by 4th-order central differences, h = 0.005 in x and 1e-4 in t, largest absolute value
        over x in [-4, 4] and nine times (densities are of order 0.4). Case `order`: the residual must also shrink at
        order 4 when h is halved from 0.04, which that of a field that is nearly right does not.
    Source: 004 eqs. 1 and 8 (its later "div(p u) = -div(int ..)" has the sign wrong: E05); Lipman et al. 2023.
    Refuted by: a residual above 1e-6 or an order off by more than 0.05. u + 0.05 sin x and -u must show both.
    """
    name, what = case.split()
    if what == "order":
        coarse, fine = (continuity_residual(forward_path(name), variant, h, T_STEP) for h in X_STEPS)
        order = math.log2(coarse / fine)
        return Measurement(abs(order - 4), detail=f"order {order:.3f} on halving h from {X_STEPS[0]}")
    return Measurement(continuity_residual(forward_path(name), variant, X_STEP, T_STEP))


def continuity_residual(path: Path, variant: str, h: float, k: float) -> float:
    """Largest |d p/dt + d(p u)/dx| over x in [-4, 4] and nine times, by 4th-order differences of steps h (x), k (t)."""
    line, times = torch.linspace(-4, 4, 401, dtype=torch.float64), torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    x, t = line.repeat(len(times))[:, None], times.repeat_interleave(len(line))
    c = path.at(t)
    dp = three_gaussians.difference(lambda step: three_gaussians.MIXTURE.log_density(x, path.at(t + step)).exp(), k)
    flux = three_gaussians.difference(lambda step: _flux(x + step, c, variant), h)
    return float((dp + flux).abs().max())


def _flux(x: Tensor, c: Coefficients, variant: str) -> Tensor:
    u = three_gaussians.MIXTURE.marginal_velocity(x, c)
    if variant == SINE:
        u = u + 0.05 * torch.sin(x)
    if variant == SIGN:
        u = -u
    return three_gaussians.MIXTURE.log_density(x, c).exp() * u[:, 0]


@claim(
    "PATH-6",
    title="the flow of the marginal velocity carries p_0 to p_t",
    source="004, 'following the learned flow'; 002",
    kind="exact",
    tolerance=1e-4,
    cases=three_gaussians.gaussian_paths,
    controls=(SINE, SIGN),
)
def flow_transports(case: str, variant: str, context: Context) -> Measurement:
    """X_0 ~ p_0 and dX/dt = u_t(X) give X_t ~ p_t: on a line X_t = F_t^{-1}(F_0(X_0)).

    Statement: solving the ordinary differential equation from a sample of p_0 gives a sample of p_t at every t.
    Assumptions: u_t Lipschitz in x locally uniformly in t. Times run over [0.01, 0.99]: where a path misses the noise
        end by design, or the field is singular there, the start is its own p_t.
    Proof idea: the law of X_t satisfies the continuity equation of u_t with the same start, whose solution is unique.
        On a line paths do not cross, so F_t(X_t) is constant.
    Computed: the package's sampler, `sampling.integrate` with rk4 on the exact denoiser, 60 steps that shrink towards
        both ends (t = sin²); 81 starts from -4 to 4; at four times, the largest distance from F_t^{-1}(F_0(x)), which
        is found by bisection of distribution functions and knows no velocity.
    Source: 004, "Here's what we're trying to do"; 002, "we can simulate the flow model"; Lipman et al. 2023.
    Refuted by: a distance above 1e-4 (rk4's own error is at most 3e-5 here, on the EDM path). u + 0.05 sin x and -u
        must show one.
    """
    return Measurement(flow_error(case, variant, 60))


def flow_error(name: str, variant: str, steps: int, solver: str = "rk4") -> float:
    """Largest |X_t - F_t^{-1}(F_0(X_0))| at four times, for the sampler's X_t with that number of steps in all."""
    denoiser = exact_denoiser(name)

    def field(x: Tensor, t: float) -> Tensor:
        u = denoiser.velocity(x, x.new_full((1,), t).expand(len(x)))
        return {SINE: u + 0.05 * torch.sin(x), SIGN: -u}.get(variant, u)

    first_angle, last_angle = (math.asin(math.sqrt(t)) for t in (0.01, 0.99))
    times = torch.linspace(first_angle, last_angle, steps + 1, dtype=torch.float64).sin() ** 2
    start = torch.linspace(-4, 4, 81, dtype=torch.float64)[:, None]
    x = start
    gaps: list[float] = []
    for first, last in itertools.pairwise(range(0, steps + 1, steps // 4)):
        x, _ = ode.integrate(field, x, times[first : last + 1].tolist(), solver)
        ends = (denoiser.path.at(times[k]) for k in (0, last))
        gaps.append(float((x - transport.flow_map(three_gaussians.MIXTURE, start, *ends)).abs().max()))
    return worst(gaps)


@claim(
    "PATH-9",
    title="the continuity equation does not determine the field",
    source="004 eqs. 7-9",
    kind="exact",
    tolerance=1e-6,
    cases=(MOVES, UNIQUE, ENERGY),
    controls=lambda case: (ON_A_LINE,) if case == UNIQUE else (UNROTATED,),
    expected={UNIQUE: REFUTED},
)
def many_fields(case: str, variant: str, context: Context) -> Measurement:
    """div(p_t w) = 0 with w = J grad log p_t, J a quarter turn: u + w moves p_t as u does, and is another field.

    Statement: in two or more dimensions dp/dt = -div(p u) has many solutions u. That its right side equals -div of the
        summed conditional fluxes does not imply that the fluxes are equal: "cancel the divergences" is no deduction,
        and the posterior average is *the* target by definition. Among all solutions it is the one of least kinetic
        energy, where noise and data are independent: then it is a gradient (PATH-7), hence E u.w = 0 for every such w.
    Assumptions: p_t smooth and positive; two dimensions. On a line, with no flux at infinity, the field is unique.
    Proof idea: p J grad log p = J grad p, and div J grad = 0. For the energy: int grad phi . (p w) = -int phi div(p w).
    Computed: three Gaussians in the plane, every registered path, t = 0.3 and 0.7. Continuity of u + w by 4th-order
        differences (h = 0.005) on 31² points; the largest |w| where that is satisfied; E u.w by the trapezoid rule,
        relative to the root of E|u|² E|w|².
    Source: 004, from its eqs. 7 and 8 to 9; the observation is the project's own.
    Refuted by: a residual or an E u.w above 1e-6. `the field is unique`, which 004 needs, is expected refuted: two
        fields of one p_t differ by w; its control on a line, posterior average against -dF/dt / p, must agree.
        Control of the others: the score itself in the place of its quarter turn.
    """
    measure = {MOVES: _plane_residual, UNIQUE: _distance_of_fields, ENERGY: _energy_overlap}[case]
    paths = [forward_path(name) for name in three_gaussians.gaussian_paths()]
    times = torch.tensor([0.3, 0.7], dtype=torch.float64)
    return Measurement(worst(measure(path, t, variant) for path in paths for t in times))


def _turned(x: Tensor, c: Coefficients, variant: str) -> Tensor:
    """w at x (B, 2): the score turned by 90 degrees, or as it is for the control."""
    score = PLANE.score(x, c)
    return score if variant == UNROTATED else torch.stack([-score[:, 1], score[:, 0]], 1)


def _plane_residual(path: Path, t: Tensor, variant: str) -> float:
    """Largest |dp/dt + div(p (u + w))| over [-3, 3]²."""
    x, c = trapezoid.square(31, 3.0)[0], path.at(t)

    def flux(unit: Tensor) -> Callable[[float], Tensor]:
        return lambda step: _plane_flux(x + step * unit, c, variant) @ unit

    change = three_gaussians.difference(lambda step: PLANE.log_density(x, path.at(t + step)).exp(), T_STEP)
    across, up = (three_gaussians.difference(flux(unit), X_STEP) for unit in torch.eye(2, dtype=torch.float64))
    return float((change + across + up).abs().max())


def _plane_flux(x: Tensor, c: Coefficients, variant: str) -> Tensor:
    field = PLANE.marginal_velocity(x, c) + _turned(x, c, variant)
    return PLANE.log_density(x, c).exp()[:, None] * field


def _distance_of_fields(path: Path, t: Tensor, variant: str) -> float:
    """Largest distance of two fields of the same p_t; not a number where one of them is none."""
    c = path.at(t)
    if variant == ON_A_LINE:
        x, mixture = torch.linspace(-3, 3, 31, dtype=torch.float64)[:, None], three_gaussians.MIXTURE
        other = transport.flux_velocity(x, t, path, mixture.weights, mixture.means[:, 0], mixture.stds)
        return float((mixture.marginal_velocity(x, c) - other).abs().max())
    if _plane_residual(path, t, variant) > 1e-6:
        return math.nan
    return float(_turned(trapezoid.square(31, 3.0)[0], c, variant).norm(dim=1).max())


def _energy_overlap(path: Path, t: Tensor, variant: str) -> float:
    """|E u.w| relative to the root of E|u|² E|w|²."""
    x, c = trapezoid.square(101, 6.0)[0], path.at(t)
    p, u, w = PLANE.log_density(x, c).exp(), PLANE.marginal_velocity(x, c), _turned(x, c, variant)
    overlap, first, second = (float(p @ (a * b).sum(1)) for a, b in ((u, w), (u, u), (w, w)))
    return abs(overlap) / math.sqrt(first * second)
