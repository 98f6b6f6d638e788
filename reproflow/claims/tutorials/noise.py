"""Tutorials on other noise: a scale taken from the batch is no fixed prior; sparse noise has no density (TUT-12)."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from reproflow.claims.policy import REFUTED, Context, Measurement, claim

ONE_PRIOR = "matched variance is one prior"
DENSE = "sparse noise has a density"
NORMAL = "sampling may start from N(0, 1)"
WHOLE = "scale of the data set"
GAUSSIAN = "Gaussian noise"
SAME = "the law of training"
CONTROLS = {ONE_PRIOR: (WHOLE,), DENSE: (GAUSSIAN,), NORMAL: (SAME,)}
DATA = (-1.0, 0.0, 0.5, 2.0)
RATE = 0.1


@claim(
    "TUT-12",
    title="batch-matched noise is not one prior; sparse noise is not a density",
    source="003, Noise Distribution",
    kind="exact",
    tolerance=1e-9,
    cases=(ONE_PRIOR, DENSE, NORMAL),
    controls=lambda case: CONTROLS[case],
    expected={ONE_PRIOR: REFUTED, DENSE: REFUTED, NORMAL: REFUTED},
)
def noise_laws(case: str, variant: str, context: Context) -> Measurement:
    """x0.std() over a batch makes the noise's law depend on the batch; masked noise has P(x = 0) = dropout rate.

    Statement: that each choice of noise on the page is one law p_0 with a density, from which sampling may start, is
        false in three ways (three cases, each expected refuted).
    Assumptions: the page's x1 is noise (its time runs from data to noise), our x0; matched variance takes the standard
        deviation of the present batch; sparse noise multiplies N(0, 1) by an independent mask.
    Proof idea: matched: given the batch the noise is N(0, s²) with s random, so over batches it is a mixture of scales
        (kurtosis 3 E s⁴/(E s²)² > 3), depends on the data it is paired with, and no s is left at sampling. Sparse: the
        law is r delta_0 + (1 - r) N(0, 1) a coordinate. A flow maps equal starts to equal ends, so it cannot spread
        an atom into a density: those samples coincide in that coordinate's start [new].
    Computed: `matched`: all 256 batches of 4 out of 4 points, relative standard deviation of the scale over batches
        (detail: the kurtosis over batches, and P(s = 0)). `sparse`: the mass in [-h, h] for h = 1e-12, from the
        distribution function; for a density it is O(h). `sampling`: Kolmogorov distance between the law of training
        and that where sampling starts, 0.05 = r/2 for N(0, 1) in place of the sparse law: the path's boundary
        condition (PATH-2) must hold for the law that was trained on. Controls, which must be supported: one scale for
        the whole data set (all its orders); Gaussian noise; the same law, as a mixture over the mask.
    Source: 003, "Noise Distribution": "Matched variance", "Domain-specific".
    Refuted by: a statistic above 1e-9.
    """
    if case == ONE_PRIOR:
        return _scales(variant == WHOLE)
    if case == DENSE:
        rate = 0.0 if variant == GAUSSIAN else RATE
        mass = float(sparse_cdf(torch.tensor(1e-12).double(), rate) - sparse_cdf(torch.tensor(-1e-12).double(), rate))
        return Measurement(mass, detail=f"mass {mass:.3g} within 1e-12 of 0")
    x = torch.cat([torch.linspace(-5, 5, 2001, dtype=torch.float64), torch.tensor([-1e-12]).double()])
    scales = {0.0: RATE, 1.0: 1 - RATE} if variant == SAME else {1.0: 1.0}
    distance = float((sparse_cdf(x, RATE) - scaled_cdf(x, scales)).abs().max())
    return Measurement(distance, detail=f"Kolmogorov distance {distance:.3g}")


def _scales(whole: bool, size: int = 4) -> Measurement:
    """Relative standard deviation, over all batches of the data, of the scale that the noise is given.

    `whole` takes all of the data as one batch, in every order.
    """
    drawn = itertools.permutations(DATA) if whole else itertools.product(DATA, repeat=size)
    s = torch.tensor(list(drawn), dtype=torch.float64).std(1)
    kurtosis, degenerate = float(3 * (s**4).mean() / (s**2).mean() ** 2), float((s == 0).double().mean())
    detail = f"kurtosis {kurtosis:.3g} over batches, no noise at all in {degenerate:.2%} of them"
    return Measurement(float(s.std(correction=0) / s.mean()), detail=detail)


def sparse_cdf(x: Tensor, rate: float) -> Tensor:
    """P(noise <= x) of N(0, 1) times a mask that is 0 with probability `rate`."""
    normal = 0.5 * torch.erfc(-x / math.sqrt(2))
    return (1 - rate) * normal + rate * (x >= 0).to(x)


def scaled_cdf(x: Tensor, scales: dict[float, float]) -> Tensor:
    """P(s eps <= x) for a random scale s, given as {value: probability}; where s = 0 all is at 0."""
    parts = [p * (torch.special.ndtr(x / s) if s else (x >= 0).to(x)) for s, p in scales.items()]
    return torch.stack(parts).sum(0)
