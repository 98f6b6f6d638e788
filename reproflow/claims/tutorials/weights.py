"""Tutorials: weights that stress an end of time (TUT-3), and weights that are made for one prediction (TUT-4)."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from reproflow.claims.policy import Context, Measurement, claim, told, worst
from reproflow.foundation import seeds
from reproflow.numerics.arrays import on_arrays
from reproflow.numerics.quadrature import integral
from reproflow.theory import bounds
from reproflow.theory.coefficients import Coefficients
from reproflow.theory.log_snr import log_snr
from reproflow.theory.objective import Objective
from reproflow.theory.paths import forward_path
from reproflow.theory.targets import convert, get_target
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

SWAPPED = "the two weights exchanged"
REVERSED = "read in 003's time"
SHARES = {"t_squared": 0.875, "one_minus_t_squared": 0.125}
"""Share of the mass on the data half, t > 1/2, in this project's time. 003's t² is our (1-t)², and the reverse."""
RISES = {"t_squared": (1e-4, 0.5), "one_minus_t_squared": None}
"""Where the canonical weight t(1-t), (1-t)³/t rises with t, on the range that is looked at."""
POINTS = 4001


@claim(
    "TUT-3",
    title="which endpoint each quadratic weight stresses, and what it costs",
    source="003, 'Weighted Loss', 'When to use'",
    kind="exact",
    tolerance=1e-6,
    cases=tuple(SHARES),
    controls=(SWAPPED, REVERSED),
)
def endpoint_emphasis(case: str, variant: str, context: Context) -> Measurement:
    """In 003's time t² has 1/8 of its mass on the data half t < 1/2 and (1-t)² has 7/8; only t² has the bound property.

    Statement: 003 offers "t² or (1-t)²" for quality "at t = 0", its data end: that takes (1-t)², here `t_squared`,
        while t², here `one_minus_t_squared`, stresses the noise. With uniform times on the velocity of the linear path
        they are canonically t (1-t) and (1-t)³/t in our time: the first rises for t < 1/2 (003's t > 1/2), and is no
        sum of bounds with positive coefficients; the second is.
    Assumptions: linear path, uniform times, the factor on the velocity error; t in [1e-4, 1 - 1e-4] for the bound.
    Proof idea: integrate; w = factor exp(-lam/2) with exp(-lam/2) = (1-t)/t.
    Computed: the share of the data half by quadrature of the registered weighting; the canonical weight of the package
        against the form above; and where it rises, by the package's analysis of the bound property, against the
        interval above. The statistic is the largest of the three distances (1 where one rises and the other does not).
    Source: 003 "Endpoint emphasis: w(t) = t² or w(t) = (1-t)²", "if sampling quality at t=0 is critical".
    Refuted by: a distance above 1e-6. The weights exchanged, as in 003's advice if t² is taken, and shares read off
        003's clock without turning it, must show one.
    """
    own = case if variant != SWAPPED else next(name for name in SHARES if name != case)
    weighting, path = get_weighting(own), forward_path("linear")
    w = on_arrays(Objective(path, get_time_law("uniform"), weighting).weight)
    factor = on_arrays(lambda t: weighting.at(path.at(t)))
    half = (0.0, 0.5) if variant == REVERSED else (0.5, 1.0)
    share = integral(factor, *half).value / integral(factor).value
    found = bounds.analyse(w, on_arrays(lambda t: log_snr(path, t)), points=POINTS)
    t = np.linspace(0.01, 0.99, 99)
    form = t * (1 - t) if case == "t_squared" else (1 - t) ** 3 / t
    parts = {
        "share": abs(share - SHARES[case]),
        "canonical": float(np.abs(w(t) / form - 1).max()),
        "rise": _distance(found.hull.t if found.hull else None, RISES[case]),
    }
    said = told(parts)
    return Measurement(worst(parts.values()), detail=f"{said}; {found.verdict}, data half {share:.4g}")


def _distance(found: tuple[float, float] | None, stated: tuple[float, float] | None) -> float:
    """How far two intervals are apart, end by end; 1 where there is only one of them."""
    if found is None or stated is None:
        return float(found is not stated)
    return worst(abs(a - b) for a, b in zip(found, stated, strict=True))


UNCONVERTED = "the weight on the prediction as it is"
V_FORM = "the form of VP's v"
GAMMA = 5.0

# Case: (path, weighting, prediction, the factor on it as a function of SNR).
Form = tuple[str, str, str, Callable[[Tensor], Tensor]]
FORMS: dict[str, Form] = {
    "min_snr on eps": ("cosine", "min_snr", "eps", lambda snr: snr.clamp(max=GAMMA) / snr),
    "min_snr on v": ("cosine", "min_snr", "v", lambda snr: snr.clamp(max=GAMMA) / (snr + 1)),
    "min_snr on velocity": ("linear", "min_snr", "velocity", lambda snr: snr.clamp(max=GAMMA) / (1 + snr.sqrt()) ** 2),
    "snr on eps": ("cosine", "snr", "eps", torch.ones_like),
    "snr on v": ("cosine", "snr", "v", lambda snr: snr / (snr + 1)),
    "snr on velocity": ("linear", "snr", "velocity", lambda snr: snr / (1 + snr.sqrt()) ** 2),
}


@claim(
    "TUT-4",
    title="SNR weights belong to the data prediction and change their form with the prediction",
    source="003, 'Weighted Loss'",
    kind="exact",
    tolerance=1e-11,
    cases=tuple(FORMS),
    controls=lambda case: (UNCONVERTED, V_FORM) if case.endswith("velocity") else (UNCONVERTED,),
)
def snr_weights(case: str, variant: str, context: Context) -> Measurement:
    """min(SNR, g) |x1 error|² = min(SNR, g)/SNR |eps error|² = min(SNR, g)/(SNR+1) |v error|², v on a VP path.

    Statement: the weights SNR and min(SNR, gamma) were proposed for the error of the predicted data. On eps they are 1
        and min(SNR, gamma)/SNR; on v of a variance-preserving path SNR/(SNR+1) and min(SNR, gamma)/(SNR+1); on the
        velocity of the linear path SNR/(1+sqrt SNR)² and min(SNR, gamma)/(1+sqrt SNR)². Put on a velocity as they are,
        as in 003, they are other objectives (and 1/SNR has an infinite mean, LOSS-7).
    Assumptions: one x, so that errors convert (LOSS-5); gamma = 5.
    Proof idea: d x1 = -(sigma/alpha) d eps, dv = -(alpha²+sigma²)/sigma d x1, du = (alpha' - alpha sigma'/sigma) d x1.
    Computed: the path's times at SNR = 0.01, 1, 25, 400; 256 random (x1, eps) and predictions in 8 dimensions; the
        registered weighting's factor on the x1 error against the form above on the converted prediction's error, as
        the largest relative distance of the two losses of a sample. Every sample has to agree, so the form holds at all
        x, not on average.
    Source: 003 "SNR-based: w(t) = 1/SNR(t)", "Min-SNR: w(t) = min(SNR(t), gamma)" on |v_theta - u_t|²; Hang et al.
        2023, section 3.4, and Salimans & Ho 2022 for what they are made for.
    Refuted by: a distance above 1e-11. The weight on the prediction without conversion must show one, and on the linear
        path's velocity so must v's form.
    """
    path_name, name, prediction, form = FORMS[case]
    path = forward_path(path_name)
    c = path.at(_at_snr(path_name).repeat_interleave(256))
    x1, eps, x1_hat = torch.randn(3, len(c.t), 8, generator=seeds.generator("TUT-4"), dtype=torch.float64)
    weighting, target = get_weighting(f"{name}:gamma={GAMMA}" if name == "min_snr" else name), get_target(prediction)
    data, own = _losses(x1, eps, x1_hat, c, prediction)
    if variant == UNCONVERTED:
        factor = weighting.at(c)
    elif variant == V_FORM:
        factor = weighting.at(c) / (c.snr + 1)
    else:
        factor = form(c.snr)
    if weighting.on != "x1":
        return Measurement(math.inf, detail=f"{name} is registered on {weighting.on}")
    shown = ", ".join(f"{value:.4g}" for value in factor[::256].tolist())
    distance = (factor * own / (weighting.at(c) * data) - 1).abs().max()
    return Measurement(float(distance), detail=f"factor on {target.name}: {shown}")


def _at_snr(path_name: str) -> Tensor:
    """Times at which SNR is 0.01, 1, 25, 400, from the paths' own formulas."""
    ratio = torch.tensor([0.01, 1.0, 25.0, 400.0], dtype=torch.float64).sqrt()
    return ratio / (1 + ratio) if path_name == "linear" else 2 / torch.pi * ratio.atan()


def _losses(x1: Tensor, eps: Tensor, x1_hat: Tensor, c: Coefficients, name: str) -> tuple[Tensor, Tensor]:
    """The squared error of the predicted data and that of the same prediction said as another target, (B,)."""
    target = get_target(name)
    x = c.alpha[:, None] * x1 + c.sigma[:, None] * eps
    converted = convert(x1_hat, x, c, get_target("x1"), target)
    return (x1_hat - x1).square().sum(1), (converted - target.of(x1, eps, c)).square().sum(1)
