"""Tutorials: how fast Euler, Heun and RK4 converge on the flow, and where they ask for the velocity (TUT-7)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from reproflow.claims.policy import STATEMENT, Context, Measurement, claim
from reproflow.exact import three_gaussians, transport
from reproflow.learning.networks.exact_denoiser import exact_denoiser
from reproflow.learning.sampling import ode

FAST = "field 10 % too fast"
FROZEN = "every stage at the time of the first"
HEUN = "heun"
ORDERS = {"euler": 1, "heun": 2, "rk4": 4}
PATHS = ("linear", "cosine")
STEPS = (40, 80)
LAST = "euler, last of 100 evaluations"


def _cases() -> tuple[str, ...]:
    return (*(f"{solver} {path}" for solver in ORDERS for path in PATHS), LAST)


def _controls(case: str) -> tuple[str, ...]:
    if case == LAST:
        return (HEUN,)
    return (FAST,) if case.startswith("euler") else (FAST, FROZEN)


@claim(
    "TUT-7",
    title="Euler converges at order 1, Heun at 2, RK4 at 4; Euler never asks at t = 1",
    source="004, 'The Euler method'",
    kind="exact",
    tolerance=lambda case: 0.99 + 1e-9 if case == LAST else 0.1,
    cases=_cases,
    controls=_controls,
)
def solver_orders(case: str, variant: str, context: Context) -> Measurement:
    """The error at t = 1 of n steps falls like n^-1 with Euler's method, n^-2 with Heun's, n^-4 with RK4.

    Statement: "fancier solvers give better quality with fewer steps" in the sense of these orders; and 004's loop of
        100 Euler steps of 0.01 asks for the velocity at t = 0, .., 0.99 only, never at t = 1, where (z - x)/(1 - t) is
        0/0. Heun and RK4 do ask there.
    Assumptions: a velocity that is smooth on [0, 1] (data with a density; linear or cosine path).
    Proof idea: Taylor expansion of the step; stability carries local errors to the end.
    Computed: the package's `sampling.integrate` on the exact denoiser, 61 starts from -3 to 3, root mean square
        distance from F_1^{-1}(Phi(x)); the order is log2 of the ratio at 40 and 80 steps, the statistic its distance
        from the stated one. Last evaluation: the latest time at which the solver asks for the velocity.
    Source: 004, its sampling loop and the remark after it; Hairer, Norsett & Wanner 1993, II.1-3.
    Refuted by: an order off by more than 0.1, or a time after 0.99. Controls: a field 10 % too fast, whose error stays;
        stages that all look at the time of the first, which leaves order 1; Heun's method in the last case.
    """
    if case == LAST:
        return Measurement(_last_time("euler" if variant == STATEMENT else variant))
    solver, path = case.split()
    coarse, fine = (solver_error(solver, path, variant, steps) for steps in STEPS)
    order = math.log2(coarse / fine)
    detail = f"order {order:.3f}, error {coarse:.2g} and {fine:.2g} at {STEPS[0]} and {STEPS[1]} steps"
    return Measurement(abs(order - ORDERS[solver]), detail=detail)


def solver_error(solver: str, path: str, variant: str, steps: int) -> float:
    """Root mean square error at t = 1 of the solver's flow from 61 starts."""
    start, wanted = _exact_end()
    denoiser, stages = exact_denoiser(path), len(ode.TABLEAUS[solver].b)
    times = torch.linspace(0, 1, steps + 1, dtype=torch.float64).tolist()
    asked = 0

    def field(x: Tensor, t: float) -> Tensor:
        nonlocal asked
        at = times[asked // stages] if variant == FROZEN else t
        asked += 1
        u = denoiser.velocity(x, x.new_full((1,), at).expand(len(x)))
        return 1.1 * u if variant == FAST else u

    x, _ = ode.integrate(field, start, times, solver)
    return float((x - wanted).square().mean().sqrt())


def _exact_end() -> tuple[Tensor, Tensor]:
    start = torch.linspace(-3, 3, 61, dtype=torch.float64)[:, None]
    return start, transport.monotone_map(three_gaussians.MIXTURE, start)


def _last_time(solver: str) -> float:
    """The latest time at which 100 steps of the solver on [0, 1] ask for the velocity."""
    asked: list[float] = []

    def field(x: Tensor, t: float) -> Tensor:
        asked.append(t)
        return x

    times = torch.linspace(0, 1, 101, dtype=torch.float64).tolist()
    ode.integrate(field, torch.zeros(1, 1, dtype=torch.float64), times, solver)
    return max(asked)
