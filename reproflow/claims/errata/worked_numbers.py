"""Errata in 004's worked example: a loss of 0.0025 (E07), points that move faster (E08), the 1e-5 (E09).

Its numbers throughout: z = [3, 4], noise [0.2, -0.5], t = 0.7, prediction [2.75, 4.45].
"""

from __future__ import annotations

import torch
from torch import Tensor

from reproflow.claims.errata.erratum import CORRECTED, PRINTED, erratum
from reproflow.claims.policy import Context, Measurement, worst
from reproflow.theory.paths import Path, forward_path
from reproflow.theory.processes.gaussian import blend, loss
from reproflow.theory.targets import get_target

QUADRATIC = "the same line walked as t²"
UNGUARDED = "without the 1e-5"

Z = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
NOISE = torch.tensor([[0.2, -0.5]], dtype=torch.float64)
PREDICTION = torch.tensor([[2.75, 4.45]], dtype=torch.float64)


@erratum("E07", title="the squared norm is 0.005; 0.0025 is the mean", source="004, worked example", tolerance=1e-12)
def squared_norm(form: str, context: Context) -> Measurement:
    """|u_pred - u_target|² = 0.05² + 0.05² = 0.005; printed 0.0025, which is what torch.mean gives in two dimensions.

    Statement: the number is the squared norm that its line writes. It is half of that: the code above it averages over
        the dimensions (as this package's losses do), the comment sums. In d dimensions they differ by the factor d,
        which must be known before two implementations' losses are compared.
    Assumptions: 004's numbers.
    Computed: the target from the registered linear path and the velocity at z = [3, 4], x_0 = [0.2, -0.5], t = 0.7;
        the squared norm, and the mean by the package's own loss. The statistic is the larger relative distance of the
        stated numbers (norm, mean) from them.
    Source: 004, step "compute loss": "(0.05)^2 + (0.05)^2 = 0.0025".
    Refuted by: a relative distance above 1e-12 (printed: one half).
    """
    c = forward_path("linear").at(torch.tensor([0.7], dtype=torch.float64))
    target = get_target("velocity").of(Z, NOISE, c)
    norm, mean = float((PREDICTION - target).norm() ** 2), float(loss(torch.ones_like(c.t), target, PREDICTION))
    stated = {PRINTED: (0.0025, 0.0025), CORRECTED: (0.005, 0.0025)}[form]
    gap = worst(abs(said - found) / found for said, found in zip(stated, (norm, mean), strict=True))
    return Measurement(gap, detail=f"squared norm {norm:.4g}, mean over dimensions {mean:.4g}")


@erratum(
    "E08",
    title="nothing speeds up along the linear path",
    source="004, eq. 8",
    tolerance=1e-7,
    controls=(QUADRATIC,),
)
def constant_speed(form: str, context: Context) -> Measurement:
    """|dx_t/dt| = |z - eps| at every t of the linear path; printed: points speed up by 1/(1-t) next to the data.

    Statement: in (z - x)/(1-t) the distance left shrinks as fast as the time left, and the speed of a point is
        constant, as 004 itself says later ("constant speed"). 1/(1-t) is how steep the field is across paths, which
        matters to a solver, not how fast a point goes. Read weakly, as any growth at all, the remark fails as well:
        the speed is the same to rounding.
    Assumptions: one path, from x_0 to z.
    Computed: speed along the registered linear path from t = 0.01 to 0.99, as the central difference of positions
        (h = 1e-6) and as (z - x)/(1-t) there; the statistic is the largest distance of either from the stated law,
        relative to the first speed.
    Source: 004, geometric interpretation of eq. 8 and "Why the scaling?": "we need to move faster".
    Refuted by: a relative distance above 1e-7. The same line with alpha = t², on which points do speed up,
        must show one.
    """
    t = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    path = forward_path("polynomial:n=2" if form == QUADRATIC else "linear")
    alpha, sigma = path(t)
    slope = (path.at(t).dsigma / sigma)[:, None]
    field = (path.at(t).dalpha[:, None] - slope * alpha[:, None]) * Z + slope * _positions(path, t)
    moved = (_positions(path, t + 1e-6) - _positions(path, t - 1e-6)) / 2e-6
    speeds = torch.stack([field.norm(dim=1), moved.norm(dim=1)])
    stated = speeds[:, :1] * ((1 - t[0]) / (1 - t) if form == PRINTED else torch.ones_like(t))
    gap = ((speeds - stated).abs() / speeds[:, :1]).max()
    first, last = (float(speed) for speed in speeds[0, [0, -1]])
    return Measurement(float(gap), detail=f"speed {first:.4g} at t = 0.01, {last:.4g} at 0.99")


@erratum(
    "E09",
    title="regress on z - eps, not on (z - x)/(1 - t + 1e-5)",
    source="004, training loop",
    tolerance=1e-6,
    controls=(UNGUARDED,),
)
def guarded_target(form: str, context: Context) -> Measurement:
    """The target of the linear path is z - eps; (z - x_t)/(1-t+1e-5) is too small by 1e-5/(1-t+1e-5), half at 1-t=1e-5.

    Statement: the quotient is the velocity. The 1e-5 that keeps it finite biases it (1e-4, 0.0099 and 0.5 of it at
        t = 0.9, 0.999 and 0.99999), and next to t = 1 float32 has few digits left of z - x_t. The numerator is known:
        z - eps needs no division, has no bias and no cancellation.
    Assumptions: float32, as in training; 004's z and noise.
    Computed: both forms in float32 at 1 - t = 10^-1 .. 10^-5; the statistic is the largest distance from z - eps in
        float64, relative to its norm.
    Source: 004, training loop, step 4: "(z - x_t) / (1 - t + 1e-5)".
    Refuted by: a relative distance above 1e-6. The quotient without the 1e-5, which only cancels, must show one.
    """
    distance = 10.0 ** -torch.arange(1.0, 6.0, dtype=torch.float64)
    t, z, noise = (1 - distance).float(), Z.float(), NOISE.float()
    path = forward_path("linear")
    if form == CORRECTED:
        u = get_target("velocity").of(z.expand(5, 2), noise.expand(5, 2), path.at(t))
    else:
        x = blend(*_shares(path, t, z, noise))
        u = (z - x) / (1 - t + (1e-5 if form == PRINTED else 0.0))[:, None]
    gaps = (u.double() - (Z - NOISE)).norm(dim=1) / (Z - NOISE).norm()
    said = ", ".join(f"{float(gap):.2g}" for gap in gaps)
    return Measurement(float(gaps.max()), detail=f"off by {said} at 1 - t = 0.1, .., 1e-5")


def _positions(path: Path, t: Tensor) -> Tensor:
    """x_t of the one pair at times (B,), (B, 2)."""
    return blend(*_shares(path, t, Z, NOISE))


def _shares(path: Path, t: Tensor, z: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """alpha, z, sigma, noise as `blend` takes them, for B times of one pair."""
    alpha, sigma = path(t)
    return alpha, z.expand(len(t), 2), sigma, noise.expand(len(t), 2)
