"""Bounds: which of the masked weightings in use grow without limit next to the noise (ST-16)."""

from __future__ import annotations

import math

import torch

from reproflow.claims.policy import Context, Measurement, claim
from reproflow.theory.objective import get_objective

UNBOUNDED = ("fm", "simple")
BOUNDED = ("elbo", "sigmoid", "iddpm", "edm")
BY_SCHEDULE = "linear schedule"
SIGMOID = "the sigmoid weighting in its place"
FLOW = "the FM weighting in its place"
DISTANCES = (1e-6, 1e-5)
"""From the noise end, at t = 0 here."""


def _controls(case: str) -> tuple[str, ...]:
    if case in BOUNDED:
        return (FLOW,)
    return (BY_SCHEDULE, SIGMOID) if case == "simple" else (SIGMOID,)


@claim(
    "ST-16",
    title="FM and simple weightings of masked diffusion have no bound at the noise end, on the cosine schedule",
    source="001 Fig. 2 ('approaches infinity at t = 1')",
    kind="exact",
    tolerance=1e-3,
    cases=(*UNBOUNDED, *BOUNDED),
    controls=_controls,
)
def noise_end(case: str, variant: str, context: Context) -> Measurement:
    """w ~ 1/(1 - s) as noise-time s -> 1 for FM and simple, cosine schedule; ELBO, sigmoid, IDDPM, EDM do not grow.

    Statement: FM's sqrt((1-alpha)/alpha) has no bound on any schedule whose alpha vanishes. That the simple weighting,
        (1-alpha)/|alpha'|, has none is due to the schedule: the cosine one arrives with slope 0, the linear one does
        not, and there it tends to 1. A weight at the noise end, by which ST-12 divides, is to be had of neither without
        a cut; 001 plots them up to s = 0.999.
    Assumptions: uniform time; alpha = 1 - cos(pi/2 (1 - s)).
    Proof idea: alpha ~ pi²/8 (1 - s)², |alpha'| ~ pi²/4 (1 - s).
    Computed: the canonical weight by the package at 1 - s = 1e-5 and 1e-6, and the exponent of its growth between them.
        The statistic is the distance of the exponent from 1 (FM, simple), or the exponent itself if it is positive.
    Source: 001 Fig. 2, whose caption says it of these two and plots the six.
    Refuted by: a value above 1e-3. Another weighting in its place, of the other kind, and the simple one on the linear
        schedule, must be.
    """
    name = {SIGMOID: "sigmoid", FLOW: "fm"}.get(variant, case)
    growth = exponent(name, "linear" if variant == BY_SCHEDULE else "cosine")
    value = abs(growth - 1) if case in UNBOUNDED else max(0.0, growth)
    return Measurement(value, detail=f"w goes as (1 - s)^{-growth:.4f}")


def exponent(weighting: str, schedule: str) -> float:
    """The p of w ~ (1 - s)^-p next to the noise."""
    near, far = get_objective(schedule, "uniform", weighting, "masked").weight(
        torch.tensor(DISTANCES, dtype=torch.float64)
    )
    return math.log(float(near / far)) / math.log(DISTANCES[1] / DISTANCES[0])
