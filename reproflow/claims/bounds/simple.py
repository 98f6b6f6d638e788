r"""Bounds: whether weight 1 on the cross-entropy is a bound depends on the schedule (ST-10)."""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor

from reproflow.claims.policy import Context, Measurement, claim
from reproflow.exact import three_gaussians
from reproflow.foundation import registry
from reproflow.numerics.arrays import on_arrays
from reproflow.theory import bounds
from reproflow.theory.bounds import CERTIFIED, Bound
from reproflow.theory.log_snr import log_snr
from reproflow.theory.objective import Objective
from reproflow.theory.paths import Path, forward_path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

BAD = "m=(s+4s^8)/5"
SPECS = {BAD: "expr:1 - ((1 - t) + 4*(1 - t)**8)/5", "polynomial(1/2)": "polynomial:n=0.5"}
NAMED = ("linear", "cosine", "polynomial", "geometric", *SPECS)
SLOPE = "slope"
MONOTONE = "monotone"
NO_LOG = "m for log m"
ON_BAD = f"on {BAD}"
INVERTED = "|alpha'|/(1-alpha)"
ELBO = "w = 1 on it"
RISE = 1e-6
POINTS = 1001


def _cases() -> tuple[str, ...]:
    registered = (entry.name for entry in registry.entries("path", "masked"))
    return (*(f"{path} {SLOPE}" for path in (*registered, *SPECS)), *(f"{path} {MONOTONE}" for path in NAMED))


def _controls(case: str) -> tuple[str, ...]:
    path, what = case.rsplit(" ", 1)
    if what == SLOPE:
        return (NO_LOG,)
    return (ELBO,) if path == BAD else (ON_BAD, INVERTED)


@claim(
    "ST-10",
    title="the simple weighting is a bound where the masking probability is log-concave",
    source="001 Fig. 2 (right), Fig. 3; the condition is our own",
    kind="exact",
    tolerance=RISE,
    cases=_cases,
    controls=_controls,
    expected={f"{BAD} {MONOTONE}": "refuted"},
)
def simple_weighting(case: str, variant: str, context: Context) -> Measurement:
    """Weight 1 on the cross-entropy has w = (1-alpha)/|alpha'|, which rises with noise-time s iff log m is concave.

    Statement: with m(s) = 1 - alpha the probability of a mask, dw/ds = -(log m)''/((log m)')², so that the simple
        weighting is a sum of bounds on the linear, cosine, polynomial and geometric schedules, but not on every one:
        on m = (s + 4 s^8)/5 w falls for s > 0.4847 (where 128 s^14 - 160 s^7 + 1 < 0), though m rises all the way.
    Assumptions: uniform time; m twice differentiable and increasing in s.
    Proof idea: w = m/m' = 1/(log m)', and the derivative of that.
    Computed: case `slope`: dw/ds of the canonical form by automatic differentiation, against (log m)' and (log m)'' by
        central differences of order four (h = 0.001) of the bare schedule; largest distance at 81 times in [0.1, 0.9],
        relative to the largest |dw/ds|; every registered masked path. `monotone`: by how much w rises with lam above
        its running minimum, over t in [1e-4, 1 - 1e-4]; log-concavity by differences and the verdict of `theory.bounds`
        must say the same.
    Source: 001 calls the weighting simple and uses it with the cosine schedule; the condition is derived here.
    Refuted by: either number above 1e-6. Controls: concavity of m in place of log m; the same weight on
        m = (s + 4 s^8)/5, and 1/w, which must rise; on that schedule w = 1 must not.
    """
    name, what = case.rsplit(" ", 1)
    path = schedule(name)
    if what == SLOPE:
        return Measurement(_slope_gap(path, variant))
    return _monotone(BAD if variant == ON_BAD else name, variant)


def schedule(name: str) -> Path:
    """A registered masked path, or one of `SPECS`."""
    return forward_path(SPECS.get(name, name), "masked")


def _slope_gap(path: Path, variant: str) -> float:
    """Largest distance of dw/ds by the canonical form from that by the derivatives of log m."""
    t = torch.linspace(0.1, 0.9, 81, dtype=torch.float64)
    objective = Objective(path, get_time_law("uniform"), get_weighting("simple", "masked"))
    found = -objective.weight_slope(t) * path.at(t).dlam
    first, second = log_derivatives(path, t)
    if variant == NO_LOG:
        second = second + first**2  # m''/m
    wanted = -second / first**2
    return float((found - wanted).abs().max() / found.abs().max())


def log_derivatives(path: Path, t: Tensor, h: float = 1e-3) -> tuple[Tensor, Tensor]:
    """First and second derivative in noise-time of log m at t, by differences of order four."""

    def log_m(step: float) -> Tensor:
        return path(t - step)[1].log()

    return three_gaussians.difference(log_m, h), three_gaussians.second_difference(log_m, h)


def _monotone(name: str, variant: str) -> Measurement:
    """By how much w rises with lam; not a number where the verdict, or the schedule's concavity, says otherwise."""
    found = analysed(name, variant)
    rise = float((found.w / np.minimum.accumulate(found.w)).max()) - 1
    t = torch.linspace(0.02, 0.98, 97, dtype=torch.float64)
    first, second = log_derivatives(schedule(name), t)
    concave = bool((second <= 1e-6 * first**2).all())
    said = {"the verdict": found.verdict == CERTIFIED}
    if variant not in (INVERTED, ELBO):
        said["concavity"] = concave
    wrong = [what for what, monotone in said.items() if monotone != (rise <= RISE)]
    if wrong:
        return Measurement(math.nan, detail=f"w rises by {rise:.3g}, and {' and '.join(wrong)} says otherwise")
    return Measurement(rise, detail=found.verdict if found.verdict == CERTIFIED else found.reason)


@functools.lru_cache(maxsize=64)
def analysed(name: str, variant: str) -> Bound:
    """The verdict of `theory.bounds` on the simple weighting on a schedule, or on what a control makes of it."""
    path = schedule(name)
    weighting = get_weighting("elbo" if variant == ELBO else "simple", "masked")
    objective = Objective(path, get_time_law("uniform"), weighting)

    def w(t: Tensor) -> Tensor:
        value = objective.weight(t)
        return 1 / value if variant == INVERTED else value

    return bounds.analyse(on_arrays(w), on_arrays(lambda t: log_snr(path, t)), points=POINTS)
